"""Scores camera motion on a sequence: predict, compare with the true poses, report, save and draw the trajectory.

``python evaluate_pose.py --eval_split odom_9 --load_weights_folder DIR --data_path DIR``
"""

import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from common.atomic_files import atomic_file, write_json
from common.environment import prepare_environment, run_script, set_device
from common.errors import DataError, as_data_error
from datasets.build import build_loader, dataset_from
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from evaluation.metrics.pose_metrics import SNIPPET_MOTIONS, PoseEvaluation, evaluate_poses
from evaluation.metrics.trajectories import chain_motions, kitti_format, motions_along, tum_format
from evaluation.result_tables import format_pose_tables
from options import Options, parse_options

# What imports Paddle is imported where it is used, so that a mistyped option is told at once.

FRAME_SECONDS = 0.1  # KITTI's camera takes ten pictures a second


def main() -> None:
    """Parses the options and evaluates."""
    opt = parse_options()
    opt.check_for_pose_evaluation()
    prepare_environment()
    evaluate(opt)


def evaluate(opt: Options) -> PoseEvaluation | None:
    """Runs the protocol, prints the tables, and writes metrics and trajectory to the output folder.

    Returns:
        The metrics; None with ``--no_eval``.

    Raises:
        DataError, WeightsError: what is needed is missing, damaged, or does not fit together.
    """
    dataset, folder = build_sequence(opt)
    dataset = dataset.replace(lines=find_frames(dataset, folder))
    truth = None if opt.no_eval else dataset.poses(folder)
    if truth is not None and len(truth) != len(dataset.lines):
        raise DataError(
            f"{folder} has {len(dataset.lines)} images, but true poses of {len(truth)} frames: motion is scored over a "
            "whole sequence. Copy both again."
        )
    motions = predict_motions(opt, dataset)
    scale_factor = dataset.STEREO_SCALE_FACTOR if opt.eval_stereo else opt.pred_depth_scale_factor
    output_dir = Path(opt.eval_out_dir or opt.load_weights_folder)
    name = opt.eval_split_name
    if truth is None:
        poses = chain_motions(motions)
        poses[:, :3, 3] *= scale_factor
        save_trajectory(output_dir, name, poses, {"predicted": poses[:, :3, 3]}, "in predicted units")
        return None
    truth = np.linalg.inv(truth[0]) @ truth  # begins at the identity, as the prediction does
    align_scale = not (opt.eval_stereo or opt.disable_median_scaling)
    with as_data_error():
        result = evaluate_poses(truth, motions, align_scale=align_scale, scale_factor=scale_factor)
    print(_describe(opt.eval_split, truth, result, align_scale))
    print(format_pose_tables(result.as_dict()))
    path = output_dir / f"pose_metrics_{name}.json"
    write_json(path, {"sequence": folder, "frames": len(truth), **result.as_dict()})
    print(f"Metrics in {path}")
    lines = {"truth": truth[:, :3, 3], "predicted, aligned": result.aligned}
    save_trajectory(output_dir, name, result.poses, lines, "in metres")
    return result


def build_sequence(opt: Options) -> tuple[MonoDataset, str]:
    """The dataset that the sequence is of, without lines, and the sequence's folder as in a split line."""
    odometry = re.fullmatch(r"odom_(\d+)", opt.eval_split)
    dataset = dataset_from(opt, [], name="kitti_odom" if odometry else None)
    return dataset, odometry[1] if odometry else opt.eval_split.strip("/")


def find_frames(dataset: MonoDataset, folder: str) -> list[SplitLine]:
    """All frames of a sequence, from 0 on.

    Raises:
        DataError: the folder holds no images or too few, or one between them is missing.
    """
    images = Path(dataset.image_path(SplitLine(folder, 0, "l"), 0, "l")).parent
    frames = {int(path.stem) for path in images.glob(f"*{dataset.extension}") if path.stem.isdecimal()}
    if not frames:
        raise DataError(
            f"There are no {dataset.extension} images in {images}. --eval_split takes odom_N for a sequence of KITTI "
            "odometry (odom_9, odom_10), or the folder of a drive in --data_path (DATE/DRIVE); --png reads .png images."
        )
    lines = [SplitLine(folder, frame, "l") for frame in range(max(frames) + 1)]
    missing = [dataset.image_path(line, 0, "l") for line in lines if line.frame not in frames]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(lines)} frames of {folder} are missing, the first of them {missing[0]}: "
            "motion is predicted over a whole sequence. Copy it again."
        )
    if len(lines) <= SNIPPET_MOTIONS:
        raise DataError(f"{folder} has {len(lines)} frames; at least {SNIPPET_MOTIONS + 1} were expected, one snippet.")
    return lines


def predict_motions(opt: Options, dataset: MonoDataset) -> np.ndarray:
    """Motions from each of the dataset's frames to the next, by the weights of the options: (N - 1, 4, 4).

    Raises:
        DataError, WeightsError: an image or the weights are missing or damaged.
    """
    from inference.pose_predictor import PosePredictor

    set_device(opt.device)
    predictor = PosePredictor.from_folder(
        opt.load_weights_folder,
        num_layers=opt.num_layers,
        pose_model_type=opt.pose_model_type,
        pose_model_input=opt.pose_model_input,
        frame_ids=opt.frame_ids,
        height=opt.height if "height" in opt.given else None,
        width=opt.width if "width" in opt.given else None,
        min_depth=opt.min_depth,
        max_depth=opt.max_depth,
    )
    if opt.eval_stereo and predictor.info and not predictor.info.use_stereo:
        print("Note: these weights were trained without stereo pairs, so their motion has no scale.")
    num_frames = len(dataset)
    targets = predictor.targets(num_frames)
    if not targets:
        raise DataError(f"{num_frames} frames are too few for a pose network that sees frames {predictor.frame_ids}.")
    height, width = predictor.size
    lines = [dataset.lines[target] for target in targets]
    dataset = dataset.replace(lines=lines, frame_ids=predictor.frame_ids, height=height, width=width)
    loader = build_loader(
        dataset,
        batch_size=min(opt.batch_size, len(dataset)),
        shuffle=False,
        num_workers=opt.num_workers,
        seed=opt.seed,
        drop_last=False,
    )
    print(f"Predicting the motion of {num_frames} frames at {predictor.size[1]}x{predictor.size[0]}")
    try:
        return motions_along(predictor.predict_all(loader))
    finally:
        loader.close()


def save_trajectory(folder: Path, name: str, poses: np.ndarray, lines: dict[str, np.ndarray], unit: str) -> None:
    """Writes the predicted poses in KITTI's and TUM's format, and a drawing of trajectories.

    Args:
        poses: (N, 4, 4), T_world_from_camera.
        lines: what to draw, label -> positions (N, 3) with x to the right and z forward.
        unit: of the drawing.
    """
    seconds = np.arange(len(poses)) * FRAME_SECONDS
    for ending, text in (("kitti", kitti_format(poses)), ("tum", tum_format(poses, seconds))):
        with atomic_file(folder / f"trajectory_{name}_{ending}.txt") as stream:
            stream.write(text.encode())
    picture = folder / f"trajectory_{name}.png"
    with atomic_file(picture) as stream:
        draw_trajectories(lines, f"{name}, {unit}").savefig(stream, format="png", dpi=120)
    print(f"Trajectory in {folder / f'trajectory_{name}_kitti.txt'} and ..._tum.txt, drawn in {picture}")


def draw_trajectories(lines: dict[str, np.ndarray], title: str) -> Figure:
    """Trajectories from above, x to the right and z upwards; a dot where each begins."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    for (label, positions), colour in zip(lines.items(), ("black", "tab:blue"), strict=False):
        axes.plot(positions[:, 0], positions[:, 2], color=colour, linewidth=1.4, label=label)
        axes.plot(*positions[0, [0, 2]], color=colour, marker="o", markersize=5)
    axes.set(title=title, xlabel="x, to the right", ylabel="z, forward")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def _describe(split: str, truth: np.ndarray, result: PoseEvaluation, align_scale: bool) -> str:
    """What was compared with what, in which way."""
    length = np.linalg.norm(np.diff(truth[:, :3, 3], axis=0), axis=1).sum()
    how = "the scale of the Sim(3) alignment" if align_scale else "as given"
    return f"{split}: {len(truth)} frames, {length:.0f} m; motion times {result.scale:.4g}, {how}"


if __name__ == "__main__":
    run_script(main)
