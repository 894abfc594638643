"""Train Monodepth2 on a split.

Example:
    python train.py --config configs/monodepthv2/mdp.yml --data_path DIR --log_dir DIR
"""

from common.atomic_files import check_writable
from common.command_help import TRAINING
from common.environment import ended_by_ctrl_c, prepare_environment, run_script, set_device
from options import parse_options


def main() -> None:
    """Parse the options and train."""
    opt = parse_options(description=__doc__, command=TRAINING)
    if opt.resume is None:  # a resumed run may have another folder
        check_writable(opt.run_dir)
    prepare_environment()
    with ended_by_ctrl_c():
        from trainer import Trainer
        from training.distributed import init_distributed

    set_device(opt.device)
    with init_distributed(opt.distributed_timeout) as context:
        Trainer.from_options(opt, context).train()


if __name__ == "__main__":
    run_script(main)
