"""Evaluate depth on a split: predict disparities or read them from a file, score them, and report the metrics.

Example:
    python evaluate_depth.py --load_weights_folder DIR --eval_mono --data_path DIR
"""

from pathlib import Path

from common.atomic_files import check_writable
from common.command_help import DEPTH_EVALUATION
from common.environment import prepare_environment, run_script
from evaluation.corruption_report import read_baseline, report_corruptions
from evaluation.depth_report import output_folder, report_disparities
from evaluation.disparity_files import benchmark_ids, read_disparities
from evaluation.ground_truth import IMPROVED_SPLIT, build_test_dataset
from evaluation.leakage_check import check_leakage
from inference.corruption_prediction import predict_corrupted
from inference.from_options import with_local_weights
from inference.split_prediction import predict_split
from options import Options, parse_options


def main() -> None:
    """Parse the options and evaluate."""
    opt = parse_options(description=__doc__, command=DEPTH_EVALUATION)
    opt.check_for_evaluation()
    prepare_environment()
    evaluate(opt)


def evaluate(opt: Options) -> dict[str, float] | None:
    """Run the protocol, print the metrics, and write ``metrics_SPLIT.json`` and the folder ``scores_SPLIT``.

    Returns:
        The seven metrics; None with ``--no_eval``, and for the benchmark split, which only KITTI's server can score.

    Raises:
        DataError: Images, disparities or ground truth are missing or damaged, or do not match the split.
        UserError: The output folder is not writable.
        WeightsError: The weights are missing or damaged, or do not fit the networks.
    """
    opt = with_local_weights(opt)
    if opt.eval_eigen_to_benchmark and opt.eval_split == "eigen":
        opt = opt.replace(eval_split=IMPROVED_SPLIT)
    check_writable(output_folder(opt))
    baseline = read_baseline(opt)
    dataset, split_dir = build_test_dataset(opt)
    if opt.ext_disp_to_eval:
        scaled_disps = read_disparities(Path(opt.ext_disp_to_eval), len(dataset.lines), benchmark_ids(opt))
        means = report_disparities(opt, dataset, split_dir, scaled_disps)
    else:
        check_leakage(opt, dataset.lines)
        split = predict_split(opt, dataset)
        means = report_disparities(opt, dataset, split_dir, split.scaled_disps, split.uncertainty, split.depth_network)
    if opt.corruption_names:
        disps = predict_corrupted(opt, dataset, opt.corruption_names)
        report_corruptions(opt, dataset, split_dir, disps, baseline)
    return means


if __name__ == "__main__":
    run_script(main)
