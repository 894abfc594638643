"""Test whether two evaluations of the same frames differ significantly.

Example: python tools/compare_runs.py runs/a/scores_eigen runs/b/scores_eigen --details

A and B are outputs of evaluate_depth.py: frames.csv, its folder scores_SPLIT, or the parent folder if it contains only
one scores_SPLIT.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from common.command_line import OptionParser
from common.environment import run_script
from common.errors import DataError
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.statistics import DRAWS, intervals, sign_flip_test
from evaluation.result_files import RATIO_COLUMN, SHIFT_COLUMN
from evaluation.saved_results import differing_settings, read_evaluation


def main() -> None:
    """Parse the command line and print the table."""
    parser = OptionParser(
        description=__doc__,
        epilog="B - A: mean difference over the frames scored in both.\n"
        "95 % interval: bootstrap interval of this mean.\n"
        f"p: share of {DRAWS} random sign flips of the differences whose mean is at least as far from 0.\n"
        "Neighbouring frames are correlated, so both are overconfident.",
    )
    parser.add_argument("a", type=Path, metavar="A", help="frames.csv of evaluate_depth.py, or its folder")
    parser.add_argument("b", type=Path, metavar="B", help="frames.csv of the other run, or its folder")
    parser.add_argument(
        "--details", action="store_true", help="compare all common columns (default: the seven standard metrics)"
    )
    own = parser.parse_args()
    print(compare(own.a, own.b, own.details))


def compare(a: Path, b: Path, details: bool = False) -> str:
    """Build the table of differences B - A over the frames scored in both, matched by name.

    Args:
        a, b: frames.csv or a folder that contains it.
        details: whether to compare all common columns instead of the seven standard metrics.

    Raises:
        DataError: a file is missing or is not a frames.csv, or no frame is scored in both.
    """
    ours, theirs = (read_evaluation(path) for path in (a, b))
    paths = [ours.path, theirs.path]
    (frames_a, columns_a), (frames_b, columns_b) = ((one.frames, one.columns) for one in (ours, theirs))
    names = list(METRIC_NAMES)
    if details:
        valued = [{name for name, values in c.items() if np.isfinite(values).any()} for c in (columns_a, columns_b)]
        aside = (*METRIC_NAMES, RATIO_COLUMN, SHIFT_COLUMN)
        names += [name for name in columns_a if name in valued[0] & valued[1] and name not in aside]
    place = {name: i for i, name in enumerate(frames_b)}
    common = [(i, place[name]) for i, name in enumerate(frames_a) if name in place]
    # Exclude frames that either evaluation skipped from both means.
    scored = [(i, j) for i, j in common if np.isfinite([columns_a["abs_rel"][i], columns_b["abs_rel"][j]]).all()]
    if not scored:
        raise DataError(
            f"'{paths[0]}' and '{paths[1]}' have no scored frame in common. Compare runs on the same split."
        )
    rows_a, rows_b = np.array(scored).T
    lines = [f"A: {paths[0]}", f"B: {paths[1]}", f"{len(scored)} frames in both, matched by name"]
    left = [len(frames) - len(scored) for frames in (frames_a, frames_b)]
    if any(left):
        lines.append(f"excluded: {left[0]} of A, {left[1]} of B (skipped in one of them, or missing in the other)")
    differing = ", ".join(f"{key} {one} and {other}" for key, one, other in differing_settings(ours, theirs))
    lines += [f"Note: A and B were scored with different settings: {differing}"] if differing else []
    width = max(map(len, names))
    lines.append(f"{'':{width}} {'A':>9} {'B':>9} {'B - A':>9}   {'95 % interval':>19} {'p':>8}")
    for name in names:
        values_a, values_b = columns_a[name][rows_a], columns_b[name][rows_b]
        lines.append(f"{name:{width}} {_row(values_a, values_b)}")
    return "\n".join(lines)


def _row(a: np.ndarray, b: np.ndarray) -> str:
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        return "no frame with a value in both"
    a, b = a[both], b[both]
    differences = (b - a)[:, None]
    (low,), (high,) = intervals(differences)
    (p,) = sign_flip_test(differences)
    return f"{a.mean():9.4f} {b.mean():9.4f} {differences.mean():+9.4f}   {low:+9.4f}{high:+10.4f} {p:8.4f}"


if __name__ == "__main__":
    run_script(main)
