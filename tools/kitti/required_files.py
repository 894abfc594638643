"""Determine the files that a split requires, grouped by archive."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import DataError
from datasets.build import build_dataset
from datasets.kitti_benchmark import ARCHIVE_FOLDER, read_benchmark_lines
from datasets.splits import SplitLine, read_split_lines
from evaluation.ground_truth import BENCHMARK_SPLIT
from tools.kitti.archives import (
    Archive,
    benchmark_archive,
    calibration_archive,
    depth_archive,
    drive_archive,
    is_sequence,
    odometry_archives,
)

STEREO_ALONE = {"eigen_full"}  # includes first and last frames of drives, which lack a neighbour
HAS_IMPROVED = {"eigen_benchmark"}  # is evaluated on the improved ground truth


@dataclass
class RequiredFiles:
    """Required files of an archive, as paths relative to the data folder.

    Attributes:
        files: images, calibration, poses.
        scans: lidar scans and depth maps. KITTI lacks some, so they may be absent after the archive is unpacked.
    """

    files: set[str] = field(default_factory=set)
    scans: set[str] = field(default_factory=set)

    def add(self, other: "RequiredFiles") -> None:
        """Add the files that another split requires of the same archive."""
        self.files |= other.files
        self.scans |= other.scans


def required_files(split: Path, extension: str, improved: bool = False) -> dict[Archive, RequiredFiles]:
    """Determine the files that training, validation and testing on a split require.

    Training and validation lines require their neighbours and the other camera, test lines only their own image.
    Validation and test lines also require ground truth.

    Args:
        split: folder of the split.
        extension: image extension, ".jpg" or ".png".
        improved: whether to include KITTI's improved ground truth for raw drives.

    Returns:
        Archive -> required files.

    Raises:
        DataError: a list is missing, cannot be read, or does not refer to KITTI.
    """
    images = _benchmark_images(split)
    lists = _read_lists(split, left_out=["test"] if images else [])
    if not lists:
        return images
    if all(is_sequence(line.folder) for lines in lists.values() for line in lines):
        return _odometry_files(lists, extension)
    return {**_raw_files(lists, split.name, extension, improved or split.name in HAS_IMPROVED), **images}


def _benchmark_images(split: Path) -> dict[Archive, RequiredFiles]:
    """Determine the test images of the benchmark, whose split lines are "image N"; none for other splits."""
    path = split / "test_files.txt"
    if split.name != BENCHMARK_SPLIT or not path.is_file():
        return {}
    lines = read_benchmark_lines(path)
    files = {f"{ARCHIVE_FOLDER}/{line.folder}/{line.frame:010d}.png" for line in lines}
    return {benchmark_archive(frozenset(line.folder for line in lines)): RequiredFiles(files)}


def _read_lists(split: Path, left_out: Collection[str]) -> dict[str, list[SplitLine]]:
    """Read the lists of a split, part -> lines; parts are "train", "val", "test", "test_09" etc."""
    parts = sorted(path.stem.replace("_files", "") for path in split.glob("*_files*.txt"))
    lists = {part: read_split_lines(split, part) for part in parts if part not in left_out}
    if not lists and not left_out:
        raise DataError(f"The split '{split}' contains no lists of KITTI images.")
    return lists


def _raw_files(
    lists: dict[str, list[SplitLine]], name: str, extension: str, improved: bool
) -> dict[Archive, RequiredFiles]:
    drives: dict[str, RequiredFiles] = defaultdict(RequiredFiles)
    depth = RequiredFiles()
    for part, lines in lists.items():
        neighbours = () if part == "test" or name in STEREO_ALONE else (-1, 1)
        dataset = _dataset("kitti", lines, (0, *neighbours, *(() if part == "test" else ("s",))), extension)
        with_maps = _dataset("kitti_depth", lines, (0,), extension)
        for line in lines:
            needed = drives[line.folder]
            needed.files.update(dataset.frame_paths(line))
            if part != "train":
                needed.scans.add(dataset.ground_truth_path(line))
                depth.scans.add(with_maps.ground_truth_path(line))
    required = {drive_archive(folder): needed for folder, needed in sorted(drives.items())}
    for folder in drives:
        day = folder.split("/")[0]
        required[calibration_archive(folder)] = RequiredFiles(
            {f"{day}/calib_{what}.txt" for what in ("cam_to_cam", "velo_to_cam")}
        )
    if improved:
        required[depth_archive(frozenset(drives))] = depth
    return required


def _odometry_files(lists: dict[str, list[SplitLine]], extension: str) -> dict[Archive, RequiredFiles]:
    images = RequiredFiles()
    for part, lines in lists.items():
        # Odometry is evaluated on the motion from each test frame to the next.
        dataset = _dataset("kitti_odom", lines, (0, 1) if part.startswith("test") else (0, -1, 1, "s"), extension)
        for line in lines:
            images.files.update(dataset.frame_paths(line))
    sequences = frozenset(line.folder.zfill(2) for lines in lists.values() for line in lines)
    color, calibration, poses = odometry_archives(sequences)
    return {
        color: images,
        calibration: RequiredFiles({f"sequences/{sequence}/calib.txt" for sequence in sequences}),
        poses: RequiredFiles({f"poses/{sequence}.txt" for sequence in sequences}),
    }


def _dataset(layout: str, lines: list[SplitLine], frame_ids: tuple, extension: str):
    """Build a dataset to get image paths relative to the data folder."""
    return build_dataset(layout, "", lines, height=32, width=32, frame_ids=frame_ids, train=False, extension=extension)
