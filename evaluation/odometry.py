"""The odometry protocol: the frames of a sequence, its true poses, and what is reported of predicted motions."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from common.atomic_files import atomic_file, write_json
from common.errors import DataError, as_data_error
from datasets.build import dataset_class, dataset_from
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from evaluation.metrics.pose_metrics import SNIPPET_MOTIONS, PoseEvaluation, evaluate_poses
from evaluation.metrics.trajectories import chain_motions, kitti_format, tum_format
from evaluation.result_tables import format_pose_tables
from options import Options

FRAME_SECONDS = 0.1  # KITTI's camera takes ten pictures a second


@dataclass(frozen=True, eq=False)
class OdometrySequence:
    """The frames whose motion is scored.

    Attributes:
        dataset: has all of them, in order, as its lines.
        folder: of the sequence, as in a split line.
        true_poses: (N, 4, 4), T_world_from_camera, from the identity; None with ``--no_eval``.
    """

    dataset: MonoDataset
    folder: str
    true_poses: np.ndarray | None


def open_sequence(opt: Options) -> OdometrySequence:
    """Find the frames of ``--eval_split`` and, but for ``--no_eval``, their true poses.

    Raises:
        DataError: frames or true poses are missing, or their numbers differ.
    """
    odometry = re.fullmatch(r"odom_(\d+)", opt.eval_split)
    dataset = dataset_from(opt, [], kind=dataset_class("kitti_odom" if odometry else opt.dataset))
    folder = odometry[1] if odometry else opt.eval_split.strip("/")
    dataset = dataset.replace(lines=sequence_lines(dataset, folder))
    if opt.no_eval:
        return OdometrySequence(dataset, folder, None)
    truth = dataset.poses(folder)
    if len(truth) != len(dataset.lines):
        raise DataError(
            f"{folder} has {len(dataset.lines)} images, but true poses of {len(truth)} frames: motion is scored over a "
            "whole sequence. Copy both again."
        )
    return OdometrySequence(dataset, folder, np.linalg.inv(truth[0]) @ truth)  # from the identity, as predictions are


def sequence_lines(dataset: MonoDataset, folder: str) -> list[SplitLine]:
    """List all frames of a sequence, from 0 on.

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


def report_motions(opt: Options, sequence: OdometrySequence, motions: np.ndarray) -> PoseEvaluation | None:
    """Score motions, print the tables, and write metrics and trajectory to the output folder.

    Args:
        motions: (N - 1, 4, 4), T_target_to_source from each frame to the next, scene units.

    Returns:
        The metrics; None without true poses.

    Raises:
        DataError: a motion is not finite.
        UserError: a file cannot be written.
    """
    scale_factor = sequence.dataset.STEREO_SCALE_FACTOR if opt.eval_stereo else opt.pred_depth_scale_factor
    output_dir = Path(opt.eval_out_dir or str(opt.load_weights_folder))
    name, truth = opt.eval_split_name, sequence.true_poses
    if truth is None:
        poses = chain_motions(motions)
        poses[:, :3, 3] *= scale_factor
        _write_trajectory(output_dir, name, poses, {"predicted": poses[:, :3, 3]}, "in predicted units")
        return None
    align_scale = not (opt.eval_stereo or opt.disable_median_scaling)
    with as_data_error():
        result = evaluate_poses(truth, motions, align_scale=align_scale, scale_factor=scale_factor)
    print(_describe(opt.eval_split, truth, result, align_scale))
    print(format_pose_tables(result.as_dict()))
    path = output_dir / f"pose_metrics_{name}.json"
    write_json(path, {"sequence": sequence.folder, "frames": len(truth), **result.as_dict()})
    print(f"Metrics in {path}")
    lines = {"truth": truth[:, :3, 3], "predicted, aligned": result.aligned}
    _write_trajectory(output_dir, name, result.poses, lines, "in metres")
    return result


def _write_trajectory(folder: Path, name: str, poses: np.ndarray, lines: dict[str, np.ndarray], unit: str) -> None:
    """Write the predicted poses in KITTI's and TUM's format, and a drawing of trajectories.

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
        _draw_trajectories(lines, f"{name}, {unit}").savefig(stream, format="png", dpi=120)
    print(f"Trajectory in {folder / f'trajectory_{name}_kitti.txt'} and ..._tum.txt, drawn in {picture}")


def _draw_trajectories(lines: dict[str, np.ndarray], title: str) -> Figure:
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
