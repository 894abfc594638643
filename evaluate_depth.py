"""Scores depth on a split: predict, or read predictions; compare with ground truth; report.

``python evaluate_depth.py --load_weights_folder DIR --eval_mono --data_path DIR``
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.build import build_dataset, build_loader
from datasets.mono_dataset import MonoDataset
from datasets.splits import find_split, read_split_lines
from environment import prepare_environment, run_script, set_device
from errors import DataError
from evaluation.depth_protocol import DepthEvaluation, DepthProtocol, evaluate_depths
from evaluation.report import format_metrics_table, save_metrics
from options import Options, parse_options
from serialization.atomic import atomic_file
from serialization.depth_npz import read_gt_depths

# What imports Paddle is imported where it is used, so that a mistyped option is told at once.

IMPROVED_SPLIT = "eigen_benchmark"


@dataclass(frozen=True)
class GroundTruth:
    """Depth of every frame of a split: metres, 0 where unknown, None for a frame without; and where it comes from."""

    depths: list[np.ndarray | None]
    kind: str
    source: str


def main() -> None:
    """Parses the options and evaluates."""
    opt = parse_options()
    opt.check_for_evaluation()
    prepare_environment()
    evaluate(opt)


def evaluate(opt: Options) -> dict[str, float] | None:
    """Runs the protocol, prints the table and writes ``metrics.json``.

    Returns:
        The seven metrics; None with ``--no_eval``.

    Raises:
        DataError, WeightsError: what is needed is missing, damaged, or does not fit together.
    """
    dataset, split_dir = build_test_dataset(opt)
    names = [str(line) for line in dataset.lines]
    output_dir = _output_dir(opt)
    if opt.ext_disp_to_eval:
        scaled_disps = read_disparities(Path(opt.ext_disp_to_eval), len(names), _benchmark_ids(opt))
    else:
        scaled_disps = predict_frames(opt, dataset)
    if opt.save_pred_disps:
        path = output_dir / f"disps_{opt.eval_split_name}_split.npy"
        _save_array(path, scaled_disps)
        print(f"Disparities of {len(names)} frames in {path}")
    if opt.no_eval:
        return None
    truth = load_ground_truth(opt, dataset, split_dir)
    protocol = DepthProtocol.choose(
        truth.kind,
        opt.eval_crop,
        median_scaling=not (opt.eval_stereo or opt.disable_median_scaling),
        scale_factor=dataset.STEREO_SCALE_FACTOR if opt.eval_stereo else opt.pred_depth_scale_factor,
    )
    result = evaluate_depths(scaled_disps, truth.depths, protocol, names)
    print(_describe(truth, protocol, result, len(names)))
    print(format_metrics_table(result.means))
    save_metrics(output_dir / "metrics.json", result.means)
    print(f"Metrics in {output_dir / 'metrics.json'}")
    return result.means


def build_test_dataset(opt: Options) -> tuple[MonoDataset, Path]:
    """The split's test frames, without neighbours, and the split's folder; the size is set when predicting."""
    split_dir = find_split(opt.eval_split, opt.data_path)
    dataset = build_dataset(
        "kitti_depth" if opt.eval_split_name == IMPROVED_SPLIT else opt.dataset,
        opt.data_path,
        read_split_lines(split_dir, "test"),
        height=opt.height,
        width=opt.width,
        frame_ids=(0,),
        train=False,
        extension=".png" if opt.png else ".jpg",
        gt_depth=opt.gt_depth,
    )
    return dataset, split_dir


def predict_frames(opt: Options, dataset: MonoDataset) -> np.ndarray:
    """Scaled disparities of the dataset's frames by the weights of the options: float32 (N, H, W).

    Raises:
        DataError, WeightsError: an image or the weights are missing or damaged.
    """
    from inference import DepthPredictor

    set_device(opt.device)
    predictor = DepthPredictor.from_folder(
        opt.load_weights_folder,
        num_layers=opt.num_layers,
        height=opt.height if "height" in opt.given else None,
        width=opt.width if "width" in opt.given else None,
        min_depth=opt.min_depth,
        max_depth=opt.max_depth,
    )
    if opt.eval_stereo and predictor.info and not predictor.info.use_stereo:
        print(
            "Note: these weights were trained without stereo pairs, so their depth has no scale: --eval_mono finds one."
        )
    if predictor.left_out:
        print(f"Not in the networks, left out: {', '.join(predictor.left_out)}")
    dataset.height, dataset.width = predictor.size
    loader = build_loader(
        dataset,
        batch_size=min(opt.batch_size, len(dataset)),
        shuffle=False,
        num_workers=opt.num_workers,
        seed=opt.seed,
        drop_last=False,
    )
    print(f"Predicting {len(dataset)} frames at {predictor.size[1]}x{predictor.size[0]}")
    try:
        return predictor.predict_all(loader, opt.post_process)
    finally:
        loader.close()


def read_disparities(path: Path, num_frames: int, ids: np.ndarray | None = None) -> np.ndarray:
    """Scaled disparities from a file, one for each frame of the split.

    Args:
        path: .npy, float32 (N, H, W).
        num_frames: of the split.
        ids: which of the file's frames are the split's; None for all.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    try:
        scaled_disps = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"--ext_disp_to_eval {path} cannot be read as a .npy file of float32 (frames, height, width): {error}"
        ) from error
    if scaled_disps.ndim != 3 or not np.issubdtype(scaled_disps.dtype, np.floating):
        raise DataError(
            f"--ext_disp_to_eval {path} holds {scaled_disps.dtype} of shape {scaled_disps.shape}; "
            "float32 (frames, height, width) was expected"
        )
    if ids is not None:
        if ids.max() >= len(scaled_disps):
            raise DataError(
                f"--eval_eigen_to_benchmark picks frame {ids.max()} of the Eigen test, but {path} holds "
                f"{len(scaled_disps)} frames; disparities of all Eigen test frames were expected"
            )
        scaled_disps = scaled_disps[ids]
    if len(scaled_disps) != num_frames:
        raise DataError(f"{path} holds {len(scaled_disps)} disparities, but the split has {num_frames} test frames")
    return scaled_disps.astype(np.float32, copy=False)


def _benchmark_ids(opt: Options) -> np.ndarray | None:
    """Which of the Eigen test frames have improved ground truth; None unless asked for."""
    if not opt.eval_eigen_to_benchmark:
        return None
    path = find_split("benchmark", opt.data_path) / "eigen_to_benchmark_ids.npy"
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"--eval_eigen_to_benchmark needs {path}, the list published with the benchmark split: {error}"
        ) from error


def load_ground_truth(opt: Options, dataset: MonoDataset, split_dir: Path) -> GroundTruth:
    """The split's ``gt_depths.npz`` if it is there and of the kind and axis asked for, else the dataset's own files.

    Raises:
        DataError: the file is damaged, or its number of frames is not the split's.
    """
    path = split_dir / "gt_depths.npz"
    if path.is_file():
        exported = read_gt_depths(path)
        # The community's files name neither: they hold lidar but for one split, along the published tables' axis.
        kind = exported.kind or ("improved" if opt.eval_split_name == IMPROVED_SPLIT else "lidar")
        axis = exported.axis or "legacy"
        if kind == "lidar" and dataset.GROUND_TRUTH == "improved":
            print(f"{path} holds lidar; the improved ground truth comes from the dataset instead")
        elif kind == "lidar" and axis != opt.gt_depth:
            print(f"{path} has the {axis} axis; --gt_depth {opt.gt_depth} comes from the dataset instead")
        else:
            if len(exported.depths) != len(dataset.lines):
                raise DataError(
                    f"{path} holds {len(exported.depths)} depth maps, but the split has {len(dataset.lines)} test "
                    "frames; export it again, or remove it: ground truth then comes straight from the dataset"
                )
            return GroundTruth(list(exported.depths), kind, str(path))
    depths = [dataset.ground_truth(line) for line in dataset.lines]
    return GroundTruth(depths, dataset.GROUND_TRUTH, opt.data_path)


def _output_dir(opt: Options) -> Path:
    """Where results go: asked for, else beside the weights or the prediction file."""
    if opt.eval_out_dir:
        return Path(opt.eval_out_dir)
    return Path(opt.load_weights_folder) if opt.load_weights_folder else Path(opt.ext_disp_to_eval).parent


def _save_array(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as stream:
        np.save(stream, array)


def _describe(truth: GroundTruth, protocol: DepthProtocol, result: DepthEvaluation, num_frames: int) -> str:
    """What was compared with what, in which way."""
    scaling = "median scaling" if protocol.median_scaling else f"depth times {protocol.scale_factor:g}"
    text = f"{num_frames - len(result.skipped)} frames, {truth.kind} ground truth of {truth.source}, "
    text += f"crop {protocol.crop}, {scaling}"
    if protocol.median_scaling:
        ratios = result.ratios[np.isfinite(result.ratios)]
        median = np.median(ratios)
        text += f"; ratios: median {median:.3f}, relative spread {np.std(ratios / median):.3f}"
    if result.skipped:
        text += f"\n{len(result.skipped)} frames skipped, without ground truth that counts: "
        text += ", ".join(result.skipped[:5]) + (" ..." if len(result.skipped) > 5 else "")
    return text


if __name__ == "__main__":
    run_script(main)
