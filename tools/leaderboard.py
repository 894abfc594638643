"""Build one table from evaluations of the same frames, with the significance of differences and the networks' cost.

Example: python tools/leaderboard.py runs/a/models/weights_best runs/b/models/weights_best --out board.html board.tex

RUN is an output of evaluate_depth.py: frames.csv, its folder scores_SPLIT, or the parent folder if it contains only
one scores_SPLIT.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.atomic_files import atomic_file, check_file_writable
from common.command_line import OptionParser
from common.environment import prepare_environment, run_script
from common.errors import OptionsError
from evaluation.metrics.depth_metrics import METRIC_NAMES

FORMATS = (".md", ".tex", ".html")


def main() -> None:
    """Parse the command line, print the table as Markdown and write the files."""
    own = _parser().parse_args()
    wrong = [str(path) for path in own.out if path.suffix not in FORMATS]
    if wrong:
        raise OptionsError(f"--out: got {', '.join(wrong)}, allowed: files that end in {', '.join(FORMATS)}")
    if own.names is not None and len(own.names) != len(own.runs):
        raise OptionsError(f"--names: got {len(own.names)} names for {len(own.runs)} runs; pass one name per run")
    for path in own.out:
        check_file_writable(path)
    prepare_environment()

    from evaluation.saved_results import read_evaluation
    from tools.reporting.leaderboard import build_leaderboard, caption, distinct_names
    from tools.reporting.leaderboard_formats import latex, markdown, page

    runs = [read_evaluation(path) for path in own.runs]
    names = own.names or distinct_names([run.path for run in runs])
    entries = build_leaderboard(runs, names, own.sort)
    title = caption(runs[0], len(runs))
    print(markdown(entries, own.sort, title), end="")
    for path in own.out:
        write = {".md": markdown, ".tex": latex, ".html": page}[path.suffix]
        with atomic_file(path) as stream:
            stream.write(write(entries, own.sort, title).encode())
        print(f"Saved '{path}'")


def _parser() -> OptionParser:
    parser = OptionParser(description=__doc__)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="frames.csv of evaluate_depth.py, or a folder"
    )
    parser.add_argument("--names", nargs="+", help="names of the runs (default: what distinguishes their paths)")
    parser.add_argument(
        "--sort", choices=METRIC_NAMES, default=METRIC_NAMES[0], help="metric that ranks the runs (default: abs_rel)"
    )
    parser.add_argument(
        "--out", type=Path, nargs="+", default=[], help="files to write: Markdown (.md), LaTeX (.tex), HTML (.html)"
    )
    return parser


if __name__ == "__main__":
    run_script(main)
