"""Check the lists of a split, and find the images that they need."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from common.errors import DataError
from datasets.checks import FolderListing
from datasets.mono_dataset import OTHER_SIDE, MonoDataset
from datasets.splits import SplitLine, read_split_lines
from tools.dataset_check.findings import Finding


class NeededImage(NamedTuple):
    """An image that a split needs. ``line`` is the line of this frame, or else the first line that needs it."""

    frame: int
    path: str
    speed_path: str | None
    line: SplitLine
    part: str

    def finding(self, kind: str, detail: str) -> Finding:
        """Create a finding about this image."""
        return Finding(kind, self.path, str(self.line), self.part, detail)


@dataclass
class CameraImages:
    """The existing images of one camera of a drive that a split needs, by frame number."""

    drive: str
    side: str
    images: dict[int, NeededImage] = field(default_factory=dict)


def read_lists(split_dir: Path) -> tuple[dict[str, list[SplitLine]], list[Finding]]:
    """Read the lines of every part of a split, training first, and report lists that cannot be read.

    Raises:
        DataError: If the folder contains no readable list.
    """
    names = sorted(path.stem for path in split_dir.glob("*_files*.txt"))
    if not names:
        raise DataError(f"{split_dir}: no lists found. Expected train_files.txt, val_files.txt or test_files.txt.")
    lists, unreadable = {}, []
    for part in sorted((name.replace("_files", "") for name in names), key=_order):
        try:
            lists[part] = read_split_lines(split_dir, part)
        except DataError as error:
            kind = "list_unreadable" if part in ("train", "val") else "test_list_unreadable"
            unreadable.append(Finding(kind, str(split_dir), None, part, str(error)))
    if not lists:
        raise DataError("\n".join(finding.detail for finding in unreadable))
    return lists, unreadable


def _order(part: str) -> tuple[int, str]:
    return ("train", "val").index(part) if part in ("train", "val") else 2, part


def check_lists(parts: Mapping[str, MonoDataset]) -> Iterator[Finding]:
    """Report lines that are listed twice in a part, or in two parts."""
    part_of: dict[SplitLine, str] = {}
    for part, dataset in parts.items():
        for line, times in Counter(dataset.lines).items():
            if times > 1:
                yield Finding("listed_twice", None, str(line), part, f"listed {times} times in this list")
            if line in part_of:
                yield Finding("parts_overlap", None, str(line), part, f"also in the {part_of[line]} list")
            part_of.setdefault(line, part)


def find_images(
    parts: Mapping[str, MonoDataset], listing: FolderListing
) -> tuple[dict[str, CameraImages], list[Finding]]:
    """Find the images that all parts need, as folder -> camera, and report missing ones."""
    cameras: dict[str, CameraImages] = {}
    missing = []
    for part, dataset in parts.items():
        for line in dataset.lines:
            for frame, path in zip(dataset.frame_ids, dataset.frame_paths(line), strict=True):
                side, offset = (OTHER_SIDE[line.side], 0) if frame == "s" else (line.side, frame)
                image = NeededImage(line.frame + offset, path, dataset.speed_path(line, offset), line, part)
                if listing.holds(path):
                    # Some datasets have the frames of many drives in one folder.
                    key = f"{os.path.dirname(path)}:{line.folder}"
                    camera = cameras.setdefault(key, CameraImages(line.folder, side))
                    if frame == 0 or image.frame not in camera.images:
                        camera.images[image.frame] = image
                else:
                    missing.append(_missing(image, frame))
    return cameras, missing


def _missing(image: NeededImage, frame: int | str) -> Finding:
    if frame == 0:
        return image.finding("image_missing", "not found")
    if frame == "s":
        return image.finding("pair_missing", "not found")
    return image.finding("neighbour_missing", f"not found, frame {frame:+d} of the line")
