"""Compare this project with a checkout of the original PyTorch code: training steps in lockstep, and evaluation.

Example: python tools/compare_with_original.py monodepth2 --data_path DIR --split NAME

Both start from the same weights, which the original writes, and see the same batches, without augmentation and without
tie-breaking noise. Needs PyTorch and torchvision. Runs on the CPU.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_line import OptionParser
from common.environment import prepare_environment, run_script
from common.errors import OptionsError
from options import Options, parse_tool_options
from tools.original.checkout import check_checkout, check_torch

# Small enough for a laptop; train.py's defaults are the published ones.
DEFAULTS = {"height": 96, "width": 320, "batch_size": 4}


def main() -> None:
    """Parse the options, run the comparison, and print its table; exit with code 1 if the implementations differ."""
    checkout, steps, opt = parse_command_line()
    check_checkout(checkout)
    check_torch()
    prepare_environment()

    from tools.original.comparison import compare
    from tools.original.result_table import format_comparison

    table, agrees = format_comparison(compare(opt, checkout, steps))
    print(table)
    if not agrees:
        raise SystemExit(1)


def parse_command_line(argv: list[str] | None = None) -> tuple[Path, int, Options]:
    """Return the checkout, the number of steps, and the options of the training.

    Raises:
        OptionsError: An option is unknown, missing or invalid.
    """
    parser = OptionParser(
        description=__doc__,
        epilog="Without --data_path, a small built-in world is generated. Options of train.py that the original has\n"
        "are accepted, see python train.py --help: --height (default: 96), --width (default: 320), --batch_size\n"
        "(default: 4), --use_stereo, --dataset, --eval_split (default: the split), --num_layers, ...",
    )
    parser.add_argument("checkout", type=Path, metavar="CHECKOUT", help="folder of the original; the first argument")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="training steps (default: 20)")
    own, opt = parse_tool_options(parser, argv)
    if own.steps < 1:
        raise OptionsError(f"--steps: got {own.steps}, expected an integer of at least 1")
    changes = {name: value for name, value in DEFAULTS.items() if name not in opt.explicitly_set}
    return own.checkout, own.steps, opt.replace(**changes)


if __name__ == "__main__":
    run_script(main)
