"""Check that calibration files exist, are complete and plausible, and match the size of the images."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from common.errors import DataError
from datasets.cameras import field_of_view
from datasets.kitti_calibration import read_calibration_file
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from tools.dataset_check.findings import Finding

FIELD_OF_VIEW = 20, 150  # degrees, horizontal: from a telephoto lens to beyond any rectilinear lens


class CalibrationUse(NamedTuple):
    """A camera whose calibration the split needs, and the first split line that needs it."""

    dataset: MonoDataset
    line: SplitLine
    part: str
    files: dict[str, dict[str, int]]
    """Path -> {entry: count of numbers}, as ``MonoDataset.needed_calibration`` returns it."""


class CameraView(NamedTuple):
    """Size (height, width) and focal lengths (x, y) in pixels; field of view (horizontal, vertical) in degrees."""

    size: tuple[int, int]
    focal_length: tuple[float, float]
    field_of_view: tuple[float, float]


def calibration_uses(parts: Mapping[str, MonoDataset], depth_parts: Collection[str]) -> list[CalibrationUse]:
    """List every camera whose calibration training or ground truth needs, once with and once without ground truth."""
    uses: dict[tuple[str, str, bool], CalibrationUse] = {}
    for part, dataset in parts.items():
        with_depth = part in depth_parts
        if dataset.mean_intrinsics and not with_depth:
            continue
        for line in dataset.lines:
            key = line.folder, line.side, with_depth
            if key not in uses:
                uses[key] = CalibrationUse(dataset, line, part, dataset.needed_calibration(line, with_depth))
    return list(uses.values())


def check_files(uses: Iterable[CalibrationUse]) -> Iterator[Finding]:
    """Report calibration files that are missing or lack entries, each once."""
    needed: dict[str, tuple[CalibrationUse, dict[str, int]]] = {}
    for use in uses:
        for path, entries in use.files.items():
            needed.setdefault(path, (use, {}))[1].update(entries)
    for path, (use, entries) in needed.items():
        about = path, str(use.line), use.part
        try:
            found = read_calibration_file(path)
        except DataError as error:
            is_there = not isinstance(error.__cause__, FileNotFoundError)
            yield Finding("calibration_missing", *about, str(error.__cause__) if is_there else "not found")
            continue
        faults = [_fault(found.get(entry), entry, count) for entry, count in entries.items()]
        if any(faults):
            yield Finding("calibration_incomplete", *about, "; ".join(filter(None, faults)))


def _fault(value: np.ndarray | str | None, entry: str, count: int) -> str | None:
    if value is None:
        return f"entry {entry} is missing"
    if not isinstance(value, np.ndarray) or value.size != count:
        return f"entry {entry}: expected {count} numbers"
    return None if np.isfinite(value).all() else f"entry {entry} contains numbers that are not finite"


def view_of(use: CalibrationUse, image_size: tuple[int, int] | None) -> CameraView | Finding | None:
    """Compute the view of a camera, or report what is wrong with its calibration.

    Args:
        use: A camera with complete calibration files.
        image_size: (height, width) of the drive's images; None if no image could be decoded.

    Returns:
        The view or a finding; None if neither the calibration nor an image states a size.
    """
    K, size = use.dataset.intrinsics(use.line, use.line.side)
    size = size or image_size
    if size is None:
        return None
    (height, width), (fx, fy), (cx, cy) = size, np.diag(K)[:2].tolist(), K[:2, 2].tolist()
    about = next(iter(use.files)), str(use.line), use.part
    if min(fx, fy, height, width) <= 0:
        detail = f"focal lengths {fx:g} and {fy:g} pixels, size {width}x{height}"
        return Finding("calibration_implausible", *about, detail)
    angles = field_of_view(width, fx), field_of_view(height, fy)
    at_size = f"at {width}x{height}"
    if not FIELD_OF_VIEW[0] <= angles[0] <= FIELD_OF_VIEW[1]:
        detail = f"focal length {fx:g} pixels {at_size}: horizontal FOV {angles[0]:.0f} degrees"
        return Finding("calibration_implausible", *about, detail)
    if not (0 < cx < width and 0 < cy < height):
        detail = f"principal point ({cx:g}, {cy:g}) outside the image {at_size}"
        return Finding("calibration_implausible", *about, detail)
    if image_size not in (None, size):
        detail = f"calibrated for {width}x{height}, the images of {use.line.folder} are {image_size[1]}x{image_size[0]}"
        return Finding("calibration_size", *about, detail)
    return CameraView(size, (fx, fy), angles)
