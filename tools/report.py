"""Write the report of a training run: a single HTML file for offline reading.

Example: python tools/report.py log_dir/mono_640x192 --frames 6 --out report.html
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.atomic_files import atomic_file, check_file_writable
from common.command_line import OptionParser
from common.environment import prepare_environment, run_script
from common.errors import OptionsError
from options import parse_tool_options


def main() -> None:
    """Parse the command line and write the report."""
    own, given = parse_tool_options(_parser())
    if own.frames < 1:
        raise OptionsError(f"--frames: got {own.frames}, expected an integer of at least 1")
    changes = {name: getattr(given, name) for name in given.explicitly_set}
    path = own.out or own.run_dir / "report.html"
    check_file_writable(path)
    prepare_environment()

    from serialization.weights_download import resolve_weights
    from tools.reporting.html_report import build_report
    from tools.reporting.run_folder import read_run

    run = read_run(own.run_dir, own.weights and Path(resolve_weights(own.weights)), changes)
    page = build_report(run, own.frames).encode()
    with atomic_file(path) as stream:
        stream.write(page)
    print(f"Report saved to '{path}' ({len(page) / 1e6:.1f} MB)")


def _parser() -> OptionParser:
    parser = OptionParser(
        description=__doc__,
        epilog="Options of train.py override those of the run: --data_path, --eval_split, --device, ...",
    )
    parser.add_argument(
        "run_dir", type=Path, metavar="RUN_DIR", help="folder of the run, LOG_DIR/MODEL_NAME; the first argument"
    )
    parser.add_argument("--weights", type=Path, help="weights to show (default: RUN_DIR/models/weights_best)")
    parser.add_argument("--frames", type=int, default=4, help="number of frames to show (default: 4)")
    parser.add_argument("--out", type=Path, help="output file (default: RUN_DIR/report.html)")
    return parser


if __name__ == "__main__":
    run_script(main)
