"""Score two baselines on a split: constant depth and the mean training depth map. Trained weights must beat both.

Example: python tools/evaluate_baselines.py --split eigen_zhou --eval_split eigen --data_path kitti_data
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_help import BASELINES
from common.environment import run_script
from evaluation.result_tables import format_metrics_table
from options import parse_options
from tools.reporting.baseline_scores import baseline_protocol, open_test_split, score_baselines


def main() -> None:
    """Print the seven metrics of both baselines, by the protocol of evaluate_depth.py with median scaling."""
    opt = parse_options(description=__doc__, command=BASELINES)
    test = open_test_split(opt)
    protocol = baseline_protocol(opt, test)
    for name, result in score_baselines(opt, test).items():
        count = len(test.dataset) - len(result.skipped)
        print(f"{name}, {count} frames, median scaling\n{format_metrics_table(result.means, protocol)}")


if __name__ == "__main__":
    run_script(main)
