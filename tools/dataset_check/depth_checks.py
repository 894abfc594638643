"""Check that validation and test lines have readable ground truth."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from common.errors import DataError
from datasets.checks import FolderListing
from datasets.mono_dataset import MonoDataset
from tools.dataset_check.findings import Finding

LINES = 16  # per task of a process


class DepthLines(NamedTuple):
    """A part, and a dataset of some of its lines that have a ground truth file."""

    part: str
    dataset: MonoDataset


def choose_depth_lines(
    part: str, dataset: MonoDataset, listing: FolderListing, faulty_files: Collection[str]
) -> tuple[list[DepthLines], list[Finding]]:
    """Split the lines with ground truth into tasks, and report the lines without.

    Lines with a faulty calibration are in neither: the calibration is reported once, not for each of its lines.
    """
    lines, missing = [], []
    for line in dataset.lines:
        path = dataset.ground_truth_path(line)
        if path is None:  # the dataset has no ground truth
            return [], []
        if not listing.holds(path):
            kind = "val_depth_missing" if part == "val" else "test_depth_missing"
            missing.append(Finding(kind, path, str(line), part, "not found"))
        elif not any(file in faulty_files for file in dataset.needed_calibration(line, with_depth=True)):
            lines.append(line)
    pieces = [
        DepthLines(part, dataset.replace(lines=lines[start : start + LINES])) for start in range(0, len(lines), LINES)
    ]
    return pieces, missing


def examine_depth(piece: DepthLines) -> list[Finding]:
    """Report ground truth that is damaged, or has no point in the image."""
    return list(_examine(piece))


def _examine(piece: DepthLines) -> Iterator[Finding]:
    for line in piece.dataset.lines:
        about = piece.dataset.ground_truth_path(line), str(line), piece.part
        try:
            depth = piece.dataset.ground_truth(line)
        except DataError as error:
            yield Finding("depth_damaged", *about, str(error))
            continue
        if depth is not None and not depth.any():
            yield Finding("depth_damaged", *about, "no point projects into the image")
