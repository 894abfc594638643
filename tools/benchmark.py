"""Time data loading, training steps, evaluation and prediction; print one line of JSON per measurement.

Example: python tools/benchmark.py --only step --repeat 5 --height 192 --width 640

Benchmarks with a baseline alternate between the two implementations, so background load affects both equally.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_help import accepts_options_of
from common.command_line import OptionParser
from common.environment import prepare_environment, run_script, set_device
from common.errors import OptionsError
from options import parse_tool_options
from tools.benchmarks.measure import use_one_core

BENCHMARKS = ("loader", "step", "evaluate", "predict")  # implemented by tools.benchmarks.NAME_benchmark


def main() -> None:
    """Run each benchmark in a separate process, to measure its own peak memory."""
    parser = OptionParser(
        description=__doc__,
        epilog=accepts_options_of(
            "train.py", "--height, --width, --batch_size, --use_stereo, --data_path,\n--split, --config, ..."
        ),
    )
    parser.add_argument(
        "--only", action="append", choices=BENCHMARKS, help="benchmark to run; repeatable (default: all)"
    )
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="measurements per benchmark (default: 7)")
    own, opt = parse_tool_options(parser)
    if own.repeat < 1:
        raise OptionsError(f"--repeat: got {own.repeat}, allowed: an integer of at least 1")
    names = list(dict.fromkeys(own.only or BENCHMARKS))
    if len(names) > 1:
        _, others = parser.parse_known_args()
        for name in names:
            command = [sys.executable, __file__, "--only", name, "--repeat", str(own.repeat), *others]
            status = subprocess.run(command).returncode
            if status:
                raise SystemExit(status)
        return
    (name,) = names
    if name == "loader":
        use_one_core()
    prepare_environment()
    set_device(opt.device)
    for line in importlib.import_module(f"tools.benchmarks.{name}_benchmark").run(opt, own.repeat):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    run_script(main)
