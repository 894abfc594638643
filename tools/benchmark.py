"""Times data loading, training, evaluation and prediction, and prints one line of JSON for each.

``python tools/benchmark.py [--only NAME] [--repeat N]``; further options are those of train.py, with the same meaning.
Where there is a baseline, it runs in turn with ours: what else the machine does then weighs on both alike.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.environment import prepare_environment, run_script, set_device
from common.errors import OptionsError
from common.option_types import OptionParser
from options import parse_options
from tools.benchmarks.measure import use_one_core

BENCHMARKS = ("loader", "step", "evaluate", "predict")  # NAME_benchmark in `tools.benchmarks` runs each


def main() -> None:
    """Parses the options, and runs each benchmark in a process of its own: its peak memory is its own too."""
    parser = OptionParser(
        description="Times data loading, training steps, evaluation and prediction; a line of JSON for each.",
        epilog="Further options are those of train.py, with the same meaning: --height, --width, --batch_size, "
        "--use_stereo, --data_path, --split, --config.",
        allow_abbrev=False,
    )
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="run this one alone; may be repeated")
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="how often each is timed (default: 7)")
    own, others = parser.parse_known_args()
    opt = parse_options(others)
    if own.repeat < 1:
        raise OptionsError(f"--repeat: got {own.repeat}, allowed: an integer of at least 1")
    names = list(dict.fromkeys(own.only or BENCHMARKS))
    if len(names) > 1:
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
