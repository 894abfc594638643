"""Odometry protocol: find the frames and true poses of a sequence, and report predicted motions."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.atomic_files import atomic_file, write_json
from common.errors import DataError, as_data_error
from datasets.build import dataset_class, dataset_from
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from evaluation.metrics.pose_metrics import SNIPPET_MOTIONS, PoseEvaluation, evaluate_poses
from evaluation.metrics.trajectories import chain_motions, kitti_format, tum_format
from evaluation.result_tables import format_pose_tables
from options import Options

if TYPE_CHECKING:  # slow to import, and only needed to draw
    from matplotlib.figure import Figure

FRAME_SECONDS = 0.1  # assumed without recorded times: KITTI records 10 frames per second


@dataclass(frozen=True, eq=False)
class OdometrySequence:
    """Frames of one sequence, with their true poses.

    Attributes:
        dataset: Dataset with all frames as its lines, in order.
        folder: Folder of the sequence, as in a split line.
        true_poses: (N, 4, 4), T_world_from_camera, starting at the identity; None with ``--no_eval``.
        seconds: (N,), times of the frames.
    """

    dataset: MonoDataset
    folder: str
    true_poses: np.ndarray | None
    seconds: np.ndarray


def open_sequence(opt: Options) -> OdometrySequence:
    """Find the frames of ``--eval_split`` and, without ``--no_eval``, their true poses.

    Raises:
        DataError: Frames or true poses are missing, or their numbers differ; or recorded times are damaged.
    """
    odometry = re.fullmatch(r"odom_(\d+)", opt.eval_split)
    dataset = dataset_from(opt, [], kind=dataset_class("kitti_odom" if odometry else opt.dataset))
    folder = odometry[1] if odometry else opt.eval_split.strip("/")
    lines = sequence_lines(dataset, folder, complete=not opt.no_eval)
    frames = [line.frame for line in lines]
    dataset = dataset.replace(lines=lines, sequence=frames)
    seconds = _frame_seconds(dataset, folder, frames)
    if opt.no_eval:
        return OdometrySequence(dataset, folder, None, seconds)
    truth = dataset.poses(folder)
    if len(truth) != len(dataset.lines):
        raise DataError(
            f"{folder} has {len(dataset.lines)} images, but true poses of {len(truth)} frames. Motion is scored over a "
            "complete sequence. Copy both again."
        )
    return OdometrySequence(
        dataset, folder, np.linalg.inv(truth[0]) @ truth, seconds
    )  # at the identity, like predictions


def _frame_seconds(dataset: MonoDataset, folder: str, frames: list[int]) -> np.ndarray:
    """Return the times of the frames, as recorded or else since frame 0, and print where they come from."""
    times = dataset.frame_times(folder)
    without = [frame for frame in frames if times is None or frame not in times.seconds]
    if times is not None and not without:
        print(f"Times of the trajectory (TUM format): {times.source}")
        return np.array([times.seconds[frame] for frame in frames])
    reason = "no recorded times found"
    if times is not None:
        reason = f"{times.source} has no time for {len(without)} of the {len(frames)} frames, the first is {without[0]}"
    print(f"Note: {reason}. The times of the trajectory (TUM format) assume {1 / FRAME_SECONDS:g} frames per second.")
    return np.array(frames) * FRAME_SECONDS


def sequence_lines(dataset: MonoDataset, folder: str, *, complete: bool) -> list[SplitLine]:
    """List all frames of a sequence, ascending.

    Args:
        dataset: Dataset with the images.
        folder: Folder of the sequence, as in a split line.
        complete: Require all frames from 0 to the last, as true poses have them.

    Raises:
        DataError: The folder contains no images or too few, or a frame is missing although ``complete``.
    """
    images = Path(dataset.image_path(SplitLine(folder, 0, "l"), 0, "l")).parent
    frames = {int(path.stem) for path in images.glob(f"*{dataset.extension}") if path.stem.isdecimal()}
    if not frames:
        raise DataError(
            f"No {dataset.extension} images found in {images}. Pass --eval_split odom_N for a sequence of KITTI "
            "odometry (odom_9, odom_10), or the folder of a drive in --data_path (DATE/DRIVE). Pass --png to read "
            ".png images."
        )
    missing = max(frames) + 1 - len(frames)
    if missing and complete:
        first = next(frame for frame in range(max(frames)) if frame not in frames)
        raise DataError(
            f"{missing} of the {max(frames) + 1} frames of {folder} are missing, the first is "
            f"{dataset.image_path(SplitLine(folder, first, 'l'), 0, 'l')}. Motion is scored over a complete sequence. "
            "Copy it again, or pass --no_eval to predict the trajectory of the others."
        )
    lines = [SplitLine(folder, frame, "l") for frame in sorted(frames)]
    gaps = sum(after.frame > before.frame + 1 for before, after in itertools.pairwise(lines))
    if gaps:
        print(
            f"Note: the frame numbers of {folder} have {gaps} gaps. Motion across a gap is predicted from the frame "
            "before it to the frame after it."
        )
    if len(lines) <= SNIPPET_MOTIONS:
        raise DataError(f"{folder} has {len(lines)} frames; expected at least {SNIPPET_MOTIONS + 1}, one snippet.")
    return lines


def report_motions(opt: Options, sequence: OdometrySequence, motions: np.ndarray) -> PoseEvaluation | None:
    """Score motions, print the metrics, and write metrics and trajectory to the output folder.

    Args:
        motions: (N - 1, 4, 4), T_target_to_source from each frame to the next, scene units.

    Returns:
        The metrics; None without true poses.

    Raises:
        DataError: A motion is not finite.
        UserError: A file cannot be written.
    """
    scale_factor = sequence.dataset.STEREO_SCALE_FACTOR if opt.eval_stereo else opt.pred_depth_scale_factor
    output_dir = Path(opt.eval_out_dir or str(opt.load_weights_folder))
    name, truth = opt.eval_split_name, sequence.true_poses
    if truth is None:
        poses = chain_motions(motions)
        poses[:, :3, 3] *= scale_factor
        _write_trajectory(
            output_dir, name, poses, sequence.seconds, {"predicted": poses[:, :3, 3]}, "in predicted units"
        )
        return None
    align_scale = not (opt.eval_stereo or opt.disable_median_scaling)
    with as_data_error():
        result = evaluate_poses(truth, motions, align_scale=align_scale, scale_factor=scale_factor)
    print(_describe(opt.eval_split, truth, result, align_scale))
    print(format_pose_tables(result.as_dict()))
    path = output_dir / f"pose_metrics_{name}.json"
    write_json(path, {"sequence": sequence.folder, "frames": len(truth), **result.as_dict()})
    print(f"Saved metrics to {path}")
    lines = {"truth": truth[:, :3, 3], "predicted, aligned": result.aligned}
    _write_trajectory(output_dir, name, result.poses, sequence.seconds, lines, "in metres")
    return result


def _write_trajectory(
    folder: Path, name: str, poses: np.ndarray, seconds: np.ndarray, lines: dict[str, np.ndarray], unit: str
) -> None:
    """Write the predicted poses in KITTI and TUM format, and plot trajectories.

    Args:
        poses: (N, 4, 4), T_world_from_camera.
        seconds: (N,), times of the frames.
        lines: Trajectories to plot, label -> positions (N, 3) with x right and z forward.
        unit: Unit of the plot, for its title.
    """
    for ending, text in (("kitti", kitti_format(poses)), ("tum", tum_format(poses, seconds))):
        with atomic_file(folder / f"trajectory_{name}_{ending}.txt") as stream:
            stream.write(text.encode())
    picture = folder / f"trajectory_{name}.png"
    with atomic_file(picture) as stream:
        _draw_trajectories(lines, f"{name}, {unit}").savefig(stream, format="png", dpi=120)
    print(f"Saved trajectory to {folder / f'trajectory_{name}_kitti.txt'} and ..._tum.txt, and its plot to {picture}")


def _draw_trajectories(lines: dict[str, np.ndarray], title: str) -> "Figure":
    """Plot trajectories from above, x to the right and z upwards; a dot marks each start."""
    from matplotlib.figure import Figure

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
    """Summarise the comparison: frames, path length and scaling."""
    length = np.linalg.norm(np.diff(truth[:, :3, 3], axis=0), axis=1).sum()
    how = "from the Sim(3) alignment" if align_scale else "as given"
    return f"{split}: {len(truth)} frames, {length:.0f} m; motion scaled by {result.scale:.4g}, {how}"
