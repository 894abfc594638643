"""Scores constant depth and the mean depth map of the training frames on a split: what training must beat.

``python tools/evaluate_baselines.py --split NAME --eval_split NAME --data_path DIR``
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.environment import run_script
from evaluation.result_tables import format_metrics_table
from options import parse_options
from tools.reporting.baseline_scores import open_test_split, score_baselines


def main() -> None:
    """Prints the seven metrics of both, by the protocol of evaluate_depth.py with median scaling."""
    opt = parse_options()
    test = open_test_split(opt)
    for name, result in score_baselines(opt, test).items():
        count = len(test.dataset) - len(result.skipped)
        print(f"{name}, {count} frames, median scaling\n{format_metrics_table(result.means)}")


if __name__ == "__main__":
    run_script(main)
