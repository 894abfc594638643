"""Trains Monodepth2: ``python train.py --config configs/monodepthv2/mdp.yml --data_path DIR --log_dir DIR``."""

from common.environment import ended_by_ctrl_c, prepare_environment, run_script, set_device
from options import parse_options


def main() -> None:
    """Parses the options, builds a Trainer, runs it."""
    opt = parse_options()
    prepare_environment()
    with ended_by_ctrl_c():
        from trainer import Trainer
        from training.distributed import join_peers

    set_device(opt.device)
    with join_peers() as peers:
        Trainer(opt, peers).train()


if __name__ == "__main__":
    run_script(main)
