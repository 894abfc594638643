"""A split made by rule from any tree of KITTI raw: what may be trained and validated on, and nothing of the Eigen test.

As in Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017, frames at which the car hardly
moves are left out, since they teach no depth. There, optical flow decides; here, the speed that the vehicle measured,
and optical flow where that is not there.
"""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from common.atomic_files import atomic_file
from common.errors import DataError
from common.image_motion import MEASURED_WIDTH, STATIC_MOTION, measure_motion, static_frames
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
STRETCH = 50  # frames, 5 s: neighbours are nearly the same image, so validation takes stretches


@dataclass
class RuleSplit:
    """A split, and what was left out of it.

    Args:
        train, val: the lines, both cameras of each frame, in the order of drives and frames.
        drives: drives with frames in the split.
        test_drives: drives left out since the Eigen test has them.
        without_neighbours: frames left out since they, or the frames before or after, are not there for both cameras.
        static: frames left out since the car hardly moves.
        by_images: frames of drives whose motion is measured in images, since the vehicle's own is not there.
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
    """Makes a split of all drives of a tree but those of the Eigen test: the same for the same tree and arguments.

    Args:
        data_path: the tree, with DATE/DRIVE/image_02/data and image_03/data.
        val_share: of the frames, for validation; in [0, 1).
        seed: decides which stretches they come from.
        min_speed: m/s; slower frames are left out.
        pool: reads images.
        watch: given the drives to go through, gives them back one by one: to show progress.

    Raises:
        DataError: there is no drive to train on, or a file of oxts is not as KITTI's.
    """
    folders = sorted(path.parent for path in data_path.glob("*/*/image_02") if (path.parent / "image_03").is_dir())
    split = RuleSplit(test_drives=sum(folder.name in EIGEN_TEST_DRIVES for folder in folders))
    folders = [folder for folder in folders if folder.name not in EIGEN_TEST_DRIVES]
    kept: list[tuple[str, int]] = []
    for folder in watch(folders):
        frames = _moving_frames(folder, min_speed, pool, split)
        kept += [(f"{folder.parent.name}/{folder.name}", frame) for frame in frames]
        split.drives += bool(frames)
    if not kept:
        raise DataError(
            f"{data_path} has no frames to train on: {len(folders)} drives with both colour cameras "
            f"(DATE/DRIVE/image_02/data, image_03/data), {split.test_drives} more of the Eigen test; of their frames, "
            f"{split.without_neighbours} lack a neighbour or the other camera, {split.static} hardly move."
        )
    validated = _validated(kept, val_share, seed)
    for folder, frame in kept:
        lines = split.val if (folder, frame) in validated else split.train
        lines += [SplitLine(folder, frame, side) for side in "lr"]
    return split


def write_split(split: RuleSplit, folder: Path) -> None:
    """Writes the lists, each whole or not at all; a part without lines has none.

    Raises:
        DataError: the folder holds other lists already.
    """
    for part in ("train", "val"):
        path = folder / f"{part}_files.txt"
        content = "".join(f"{line}\n" for line in getattr(split, part)).encode()
        if path.is_file() and path.read_bytes() != content:
            raise DataError(f"{path} is there and differs: delete it, or choose another name.")
        if content:
            with atomic_file(path) as stream:
                stream.write(content)


def _moving_frames(folder: Path, min_speed: float, pool: Executor, split: RuleSplit) -> list[int]:
    """The frames of a drive that have what training needs and show motion; counts the others in the split."""
    left, right = (_images(folder / camera / "data") for camera in ("image_02", "image_03"))
    both = left.keys() & right.keys()
    frames = sorted(frame for frame in both if frame - 1 in both and frame + 1 in both)
    split.without_neighbours += len(left.keys() | right.keys()) - len(frames)
    motion = [folder / "oxts" / "data" / f"{frame:010d}.txt" for frame in frames]
    if all(path.is_file() for path in motion):
        static = {frame for frame, speed in zip(frames, pool.map(_speed, motion), strict=True) if speed < min_speed}
    else:
        split.by_images += len(frames)
        static = static_frames(_motions(left, frames, pool), min_speed * STATIC_MOTION)
    moving = [frame for frame in frames if frame not in static]
    split.static += len(frames) - len(moving)
    return moving


def _images(folder: Path) -> dict[int, Path]:
    """The images of a camera by their frame, jpg or png."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return {int(path.stem): path for path in paths if path.suffix in (".jpg", ".png") and path.stem.isdecimal()}


def _speed(path: Path) -> float:
    """Speed in m/s, forwards or backwards, from a file of oxts."""
    speed = read_speed(path)
    if speed is None:
        raise DataError(f"{path} is not a file of oxts: 30 numbers were expected. Copy it again, or remove the folder.")
    return abs(speed)


def _motions(images: dict[int, Path], frames: list[int], pool: Executor) -> list[tuple[int, float]]:
    """Measure the motion into each of the frames and their successors, from the frame before."""
    needed = sorted({frame + offset for frame in frames for offset in (-1, 0, 1)})
    grey = pool.map(lambda frame: load_small_grey(images[frame], MEASURED_WIDTH)[1], needed)
    small = dict(zip(needed, grey, strict=True))
    after = [frame for frame in needed if frame - 1 in small]
    return list(zip(after, pool.map(lambda frame: measure_motion(small[frame - 1], small[frame]), after), strict=True))


def _validated(kept: list[tuple[str, int]], share: float, seed: int) -> set[tuple[str, int]]:
    """The share of the frames that is validated on, stretch by stretch."""

    def rank(frame: tuple[str, int]) -> tuple[bytes, int]:
        # A hash orders stretches alike on every machine, and whatever other drives there are.
        return hashlib.sha256(f"{seed} {frame[0]} {frame[1] // STRETCH}".encode()).digest(), frame[1]

    return set(sorted(kept, key=rank)[: round(share * len(kept))])
