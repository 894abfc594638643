"""Generate a training and validation split from a tree of KITTI raw or odometry, without the drives of its test split.

Frames in which the car hardly moves are excluded because they provide no depth signal, as in Zhou et al., "Unsupervised
Learning of Depth and Ego-Motion from Video", CVPR 2017. Zhou et al. detect them by optical flow; this module uses the
vehicle's measured speed, and optical flow only if the speed is unavailable.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from common.atomic_files import atomic_file
from common.errors import DataError
from common.image_motion import MEASURED_WIDTH, measure_motion, static_frames
from common.images import load_small_grey
from datasets.kitti_poses import read_speed
from datasets.splits import SplitLine

# The drives of Eigen et al.'s 697 test images ("Depth Map Prediction from a Single Image", NeurIPS 2014).
EIGEN_TEST_DRIVES = frozenset(
    f"{date}_drive_{number:04d}_sync"
    for date, numbers in {
        "2011_09_26": (2, 9, 13, 20, 23, 27, 29, 36, 46, 48, 52, 56, 59, 64, 84, 86, 93, 96, 101, 106, 117),
        "2011_09_28": (2,),
        "2011_09_29": (71,),
        "2011_09_30": (16, 18, 27),
        "2011_10_03": (27, 47),
    }.items()
    for number in numbers
)
ODOMETRY_TEST_SEQUENCES = frozenset(("9", "10"))  # of the paper; 11 to 21 have no poses
# Median motion on KITTI (10 Hz), with the car's speed from lidar and tracked points: 0.0023 at about 0.9 m/s, 0.0044 at
# 2.5 m/s, 0.0145 at 12 m/s.
MOTION_AT_1_MS = 0.0023
STRETCH = 50  # frames, 5 s; validation uses whole stretches because neighbouring frames are nearly identical


@dataclass
class RuleSplit:
    """A generated split with counts of the excluded frames.

    Attributes:
        train, val: split lines for both cameras of each frame, ordered by drive and frame.
        drives: number of drives with frames in the split.
        test_drives: number of drives excluded because they belong to the Eigen test split, or sequences of the odometry
            test split.
        without_neighbours: number of frames excluded because they, the previous or the next frame are missing for one
            of the cameras.
        static: number of frames excluded because the car hardly moves.
        by_images: number of frames in drives whose motion is measured in images because oxts data is missing.
    """

    train: list[SplitLine] = field(default_factory=list)
    val: list[SplitLine] = field(default_factory=list)
    drives: int = 0
    test_drives: int = 0
    without_neighbours: int = 0
    static: int = 0
    by_images: int = 0


def split_by_rule(
    data_path: Path,
    val_share: float,
    seed: int,
    min_speed: float,
    pool: Executor,
    watch: Callable[[list[Path]], Iterable[Path]] = iter,
) -> RuleSplit:
    """Generate a split from all drives of a tree except those of the test split; deterministic.

    Args:
        data_path: the tree, with DATE/DRIVE/image_02/data and image_03/data, or sequences/NN/image_2 and image_3.
        val_share: share of the frames for validation, in [0, 1).
        seed: seed that selects the stretches for validation.
        min_speed: minimum speed in m/s; slower frames are excluded.
        pool: executor that reads images.
        watch: wraps the list of drives' folders and yields them one by one, to show progress.

    Raises:
        DataError: no drive is usable for training, or an oxts file is invalid.
    """
    folders = sorted(path.parent for path in data_path.glob("*/*/image_02") if (path.parent / "image_03").is_dir())
    folders += sorted(
        path.parent for path in data_path.glob("sequences/*/image_2") if (path.parent / "image_3").is_dir()
    )
    tested = [folder for folder in folders if _is_tested(folder)]
    split = RuleSplit(test_drives=len(tested))
    folders = [folder for folder in folders if folder not in tested]
    kept: list[tuple[str, int]] = []
    for folder in watch(folders):
        name, frames = _split_folder(folder), _moving_frames(folder, min_speed, pool, split)
        kept += [(name, frame) for frame in frames]
        split.drives += bool(frames)
    if not kept:
        raise DataError(
            f"'{data_path}' contains no frames for training: {len(folders)} drives with both colour cameras "
            "(DATE/DRIVE/image_02/data and image_03/data, or sequences/NN/image_2 and image_3) and "
            f"{split.test_drives} more of the test split. "
            f"{split.without_neighbours} frames lack a neighbour or the other camera, {split.static} are static."
        )
    validated = _validated(kept, val_share, seed)
    for folder, frame in kept:
        lines = split.val if (folder, frame) in validated else split.train
        lines += [SplitLine(folder, frame, side) for side in "lr"]
    return split


def write_lists(lists: Mapping[str, list[SplitLine]], folder: Path) -> None:
    """Write the lists of the parts atomically; a part without lines gets no file.

    Raises:
        DataError: the folder already contains different lists.
    """
    for part, lines in lists.items():
        path = folder / f"{part}_files.txt"
        content = "".join(f"{line}\n" for line in lines).encode()
        if path.is_file() and path.read_bytes() != content:
            raise DataError(f"'{path}' exists with other content. Delete it, or choose another name.")
        if content:
            with atomic_file(path) as stream:
                stream.write(content)


def _is_odometry(folder: Path) -> bool:
    return folder.parent.name == "sequences"


def _split_folder(folder: Path) -> str:
    """Return the folder of split lines: DATE/DRIVE, or the number of a sequence without leading zeros, as published."""
    if _is_odometry(folder):
        return folder.name.lstrip("0") or "0"
    return f"{folder.parent.name}/{folder.name}"


def _is_tested(folder: Path) -> bool:
    if _is_odometry(folder):
        return _split_folder(folder) in ODOMETRY_TEST_SEQUENCES
    return folder.name in EIGEN_TEST_DRIVES


def _moving_frames(folder: Path, min_speed: float, pool: Executor, split: RuleSplit) -> list[int]:
    """List the usable moving frames of a drive; count the excluded ones in ``split``."""
    cameras = ("image_2", "image_3") if _is_odometry(folder) else ("image_02/data", "image_03/data")
    left, right = (_images(folder / camera) for camera in cameras)
    both = left.keys() & right.keys()
    frames = sorted(frame for frame in both if frame - 1 in both and frame + 1 in both)
    split.without_neighbours += len(left.keys() | right.keys()) - len(frames)
    motion = [folder / "oxts" / "data" / f"{frame:010d}.txt" for frame in frames]
    if all(path.is_file() for path in motion):
        static = {frame for frame, speed in zip(frames, pool.map(_speed, motion), strict=True) if speed < min_speed}
    else:
        split.by_images += len(frames)
        static = static_frames(_motions(left, frames, pool), min_speed * MOTION_AT_1_MS)
    moving = [frame for frame in frames if frame not in static]
    split.static += len(frames) - len(moving)
    return moving


def _images(folder: Path) -> dict[int, Path]:
    """List the images (JPEG or PNG) of a camera, frame -> path."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return {int(path.stem): path for path in paths if path.suffix in (".jpg", ".png") and path.stem.isdecimal()}


def _speed(path: Path) -> float:
    """Read the absolute speed in m/s from an oxts file."""
    speed = read_speed(path)
    if speed is None:
        raise DataError(f"'{path}' is not an oxts file. Expected 30 numbers. Copy it again, or remove its folder.")
    return abs(speed)


def _motions(images: dict[int, Path], frames: list[int], pool: Executor) -> list[tuple[int, float]]:
    """Measure the image motion from the previous frame to each frame and to its successor."""
    needed = sorted({frame + offset for frame in frames for offset in (-1, 0, 1)})
    grey = pool.map(lambda frame: load_small_grey(images[frame], MEASURED_WIDTH)[1], needed)
    small = dict(zip(needed, grey, strict=True))
    after = [frame for frame in needed if frame - 1 in small]
    motions = pool.map(lambda frame: measure_motion(small[frame - 1], small[frame], percentile=50), after)
    return list(zip(after, motions, strict=True))


def _validated(kept: list[tuple[str, int]], share: float, seed: int) -> set[tuple[str, int]]:
    """Select the share of the frames for validation, in whole stretches."""

    def rank(frame: tuple[str, int]) -> tuple[bytes, int]:
        # A hash orders the stretches independently of the machine and of the other drives in the tree.
        return hashlib.sha256(f"{seed} {frame[0]} {frame[1] // STRETCH}".encode()).digest(), frame[1]

    return set(sorted(kept, key=rank)[: round(share * len(kept))])
