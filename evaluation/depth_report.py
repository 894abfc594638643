"""Report disparities of a split: score, print and save them, or write files for an external server."""

from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_files import atomic_file
from datasets.mono_dataset import MonoDataset
from evaluation.benchmark_submission import write_submission
from evaluation.error_pictures import extreme_panels, write_panels
from evaluation.frame_details import DENSE_SHARE
from evaluation.ground_truth import BENCHMARK_SPLIT, GroundTruth, find_ground_truth, protocol_from
from evaluation.metrics.alignment import Alignment
from evaluation.metrics.depth_protocol import DepthEvaluation, DepthProtocol
from evaluation.metrics.statistics import scale_consistency
from evaluation.published_results import compare_published
from evaluation.result_files import FRAMES_FILE, SUMMARY_FILE, result_files, write_results
from evaluation.result_tables import METRICS_FILE, format_metric_sets, format_metrics_table, save_metrics
from evaluation.split_scores import SplitPrediction, score_frames
from options import Options

EXTREMES = 3  # number of worst frames, and of best frames, to draw


def report_disparities(
    opt: Options,
    dataset: MonoDataset,
    split_dir: Path,
    scaled_disps: np.ndarray,
    uncertainty: np.ndarray | None = None,
    depth_network: str | None = None,
) -> dict[str, float] | None:
    """Score disparities, print the metrics, and write ``metrics_SPLIT.json`` and the folder ``scores_SPLIT``.

    ``metrics.json`` is a copy of the latest ``metrics_SPLIT.json``.

    Args:
        dataset, split_dir: From ``build_test_dataset``.
        scaled_disps: float (N, h, w) of the dataset's frames, 1 / depth in scene units.
        uncertainty: float (N, h, w), as in ``SplitPrediction``; None if it is unknown.
        depth_network: Key of ``DEPTH_NETWORKS`` of the prediction, for the summary; None if it is unknown.

    Returns:
        The seven metrics; None with ``--no_eval``, and for the benchmark split, which only KITTI's server can score.

    Raises:
        DataError: Disparities or ground truth are damaged, or no ground truth is valid.
        UserError: A file cannot be written.
    """
    output_dir, count = output_folder(opt), len(dataset.lines)
    if opt.save_pred_disps:
        path = output_dir / f"disps_{opt.eval_split_name}_split.npy"
        with atomic_file(path) as stream:
            np.save(stream, scaled_disps)
        print(f"Saved disparities of {count} frames to {path}")
    if opt.no_eval:
        return None
    if opt.eval_split_name == BENCHMARK_SPLIT:
        path = output_dir / "benchmark_submission.zip"
        write_submission(path, scaled_disps, dataset.lines, protocol_from(opt, type(dataset), "improved"))
        print(f"Saved {count} depth maps to {path}. Submit it to KITTI's benchmark server for scores.")
        return None
    truth = find_ground_truth(opt, dataset, split_dir)
    prediction = SplitPrediction(scaled_disps, protocol_from(opt, type(dataset), truth.kind), uncertainty)
    (result,), details = score_frames([prediction], truth, dataset, opt.num_workers, opt.eval_details, opt.metrics)
    print(_describe(truth, prediction.protocol, result, count))
    print(format_metrics_table(result.means, prediction.protocol))
    path = save_metrics(output_dir, opt.eval_split_name, result.means, prediction.protocol)
    print(f"Saved metrics to {path}, and to {METRICS_FILE}")
    summary = _write_scores(opt, dataset, prediction, truth, result, details, depth_network)
    if opt.compare_published:
        print(compare_published(summary))
    return result.means


def _write_scores(
    opt: Options,
    dataset: MonoDataset,
    prediction: SplitPrediction,
    truth: GroundTruth,
    result: DepthEvaluation,
    details: dict[str, np.ndarray],
    depth_network: str | None,
) -> dict[str, Any]:
    """Write the folder ``scores_SPLIT``, with ``--eval_details`` also its panels; print and return a summary."""
    folder = output_folder(opt) / f"scores_{opt.eval_split_name}"
    if opt.eval_details:
        panels = extreme_panels(dataset, prediction, truth, result, EXTREMES)
        print(f"Saved {write_panels(folder, panels)} panels of the worst and best frames to {folder}")
    name = Path(opt.load_weights_folder or str(opt.ext_disp_to_eval)).absolute().name
    names = [str(line) for line in dataset.lines]
    about = about_prediction(opt, prediction, depth_network)
    files, summary = result_files(name, names, result, details, prediction.protocol, truth, about)
    write_results(folder, files)
    if opt.metrics != "eigen" or opt.uncertainty:
        print(format_metric_sets(summary["details"]))
    if "edges/accuracy" in details and np.isnan(details["edges/accuracy"]).all():
        print(
            f"Depth edges are not scored: less than {DENSE_SHARE:.0%} of the pixels of each frame have ground truth, "
            "or it has no edge. Edges need dense depth, such as that of the built-in world."
        )
    interval = summary["metrics"]["abs_rel"]
    print(
        f"abs_rel {interval['mean']:.3f}, 95 % bootstrap interval over frames {interval['low']:.3f} to "
        f"{interval['high']:.3f}\nSaved scores per frame to {folder / FRAMES_FILE}, and the summary to {SUMMARY_FILE}"
    )
    return summary


def about_prediction(opt: Options, prediction: SplitPrediction, depth_network: str | None) -> dict[str, Any]:
    """Return the entries "split" and "prediction" of a summary: what was predicted, and how."""
    height, width = prediction.scaled_disps.shape[1:]
    made = {"depth_network": depth_network, "height": height, "width": width, "post_process": opt.post_process}
    return {"split": opt.eval_split_name, "prediction": made}


def output_folder(opt: Options) -> Path:
    """Return ``--eval_out_dir``, else the folder of the weights or of the disparity file."""
    if opt.eval_out_dir:
        return Path(opt.eval_out_dir)
    return Path(opt.load_weights_folder) if opt.load_weights_folder else Path(opt.ext_disp_to_eval).parent


def _describe(truth: GroundTruth, protocol: DepthProtocol, result: DepthEvaluation, num_frames: int) -> str:
    """Summarise the comparison: frames, ground truth, protocol and scaling."""
    text = f"{num_frames - len(result.skipped)} frames, {truth.kind} ground truth from {truth.source}, "
    text += protocol.describe_scaling()
    if protocol.per_dataset and protocol.aligns:
        shared = Alignment(np.nanmedian(result.ratios), 0.0 if result.shifts is None else np.nanmedian(result.shifts))
        text += f"; factor on depth {shared.ratio:.4g}" + (f", shift {shared.shift:.4g} 1/m" if shared.shift else "")
    elif protocol.median_scaling:
        scale = scale_consistency(result.ratios)
        text += f"; ratios: median {scale['median']:.3f}, relative spread {scale['relative_std']:.3f}"
    if result.skipped:
        text += f"\nSkipping {len(result.skipped)} frames without valid ground truth: "
        text += ", ".join(result.skipped[:5]) + (" ..." if len(result.skipped) > 5 else "")
    return text
