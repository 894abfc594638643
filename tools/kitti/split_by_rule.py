"""A split made by rule from any tree of KITTI raw: what may be trained and validated on, and nothing of the Eigen test.

As in Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017, frames at which the car hardly
moves are left out, since they teach no depth. There, optical flow tells; here, the speed that the vehicle measured.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from common.atomic_files import atomic_file
from common.errors import DataError
from common.images import load_image
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
SMALL = (156, 48)  # width and height at which images are compared
# Pixels of the small image from frame to frame, for each m/s at 10 Hz: the median over the built-in world, where
# oxts has the speed (0.04 to 0.11).
SHIFT_PER_SPEED = 0.066


@dataclass
class RuleSplit:
    """A split, and what was left out of it.

    Args:
        train, val: the lines, both cameras of each frame, in the order of drives and frames.
        drives: drives with frames in the split.
        test_drives: drives left out since the Eigen test has them.
        without_neighbours: frames left out since they, or the frames before or after, are not there for both cameras.
        still: frames left out since the car hardly moves.
        by_images: frames of drives whose motion was told by images, since the vehicle's own is not there.
    """

    train: list[SplitLine] = field(default_factory=list)
    val: list[SplitLine] = field(default_factory=list)
    drives: int = 0
    test_drives: int = 0
    without_neighbours: int = 0
    still: int = 0
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
            f"{split.without_neighbours} lack a neighbour or the other camera, {split.still} hardly move."
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
        speeds = list(pool.map(_speed, motion))
    else:
        split.by_images += len(frames)
        speeds = [shift / SHIFT_PER_SPEED for shift in _shifts(left, frames, pool)]
    moving = [frame for frame, speed in zip(frames, speeds, strict=True) if speed >= min_speed]
    split.still += len(frames) - len(moving)
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


def _shifts(images: dict[int, Path], frames: list[int], pool: Executor) -> list[float]:
    """How far each frame's image moves to the next one and from the one before, in pixels of the small image."""
    wanted = sorted({frame + offset for frame in frames for offset in (-1, 0, 1)})
    small = dict(zip(wanted, pool.map(lambda frame: _small(images[frame]), wanted), strict=True))
    steps = {a: _shift(small[a], small[b]) for a, b in itertools.pairwise(wanted) if b == a + 1}
    return [(steps[frame - 1] + steps[frame]) / 2 for frame in frames]


def _small(path: Path) -> np.ndarray:
    """The image in grey, float32 (48, 156)."""
    return np.asarray(load_image(path).convert("L").convert("F").resize(SMALL, Image.Resampling.BOX))


def _shift(a: np.ndarray, b: np.ndarray) -> float:
    """The median motion along the image's gradient, |b - a| / |gradient|, where there is more gradient than elsewhere.

    The median passes over what moves by itself in front of a car that stands.
    """
    gradient = np.hypot(*np.gradient((a + b) / 2))
    textured = gradient > np.median(gradient)
    if not textured.any():
        return 0.0
    return float(np.median(np.abs(b - a)[textured] / gradient[textured]))


def _validated(kept: list[tuple[str, int]], share: float, seed: int) -> set[tuple[str, int]]:
    """The share of the frames that is validated on, stretch by stretch."""

    def rank(frame: tuple[str, int]) -> tuple[bytes, int]:
        # A hash orders stretches alike on every machine, and whatever other drives there are.
        return hashlib.sha256(f"{seed} {frame[0]} {frame[1] // STRETCH}".encode()).digest(), frame[1]

    return set(sorted(kept, key=rank)[: round(share * len(kept))])
