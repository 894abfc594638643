"""Check that calibration files exist, are complete and plausible, and match the size of the images."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from common.errors import DataError
from datasets.cameras import field_of_view
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from tools.dataset_check.findings import Finding

# Images of another day of KITTI differ by up to 1.3 %. Those cropped for the depth benchmark change shape by 4.3 %,
# those resized to 1024x320 by 3.4 %.
DOWNSCALED, SAME_SHAPE = 0.95, 0.04
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
    return [use for use in uses.values() if use.files]


def check_files(uses: Iterable[CalibrationUse]) -> Iterator[Finding]:
    """Report calibration files that are missing or lack entries, each once."""
    needed: dict[str, tuple[CalibrationUse, dict[str, int]]] = {}
    for use in uses:
        for path, entries in use.files.items():
            needed.setdefault(path, (use, {}))[1].update(entries)
    for path, (use, entries) in needed.items():
        about = path, str(use.line), use.part
        try:
            found = use.dataset.read_calibration(path)
        except DataError as error:
            if not os.path.exists(path):
                yield Finding("calibration_missing", *about, "not found")
            elif not isinstance(error.__cause__, OSError):
                yield Finding("calibration_incomplete", *about, str(error))
            else:
                yield Finding("calibration_missing", *about, str(error.__cause__))
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


def view_of(use: CalibrationUse, image_size: tuple[int, int] | None) -> tuple[CameraView | None, Finding | None]:
    """Compute the view of a camera, and report what is wrong with its calibration.

    Args:
        use: A camera with complete calibration files.
        image_size: (height, width) of the drive's images; None if no image could be decoded.

    Returns:
        The view, a finding, or both; each None otherwise. Neither if neither calibration nor image states a size.
    """
    about = next(iter(use.files)), str(use.line), use.part
    try:
        K, size = use.dataset.intrinsics(use.line, use.line.side)
    except DataError as error:
        return None, Finding("calibration_implausible", *about, str(error))
    size = size or image_size
    if size is None:
        return None, None
    (height, width), (fx, fy), (cx, cy) = size, np.diag(K)[:2].tolist(), K[:2, 2].tolist()
    angles = field_of_view(width, fx), field_of_view(height, fy)
    at_size = f"at {width}x{height}"
    if not FIELD_OF_VIEW[0] <= angles[0] <= FIELD_OF_VIEW[1]:
        detail = f"focal length {fx:g} pixels {at_size}: horizontal FOV {angles[0]:.0f} degrees"
        return None, Finding("calibration_implausible", *about, detail)
    if not (0 < cx < width and 0 < cy < height):
        detail = f"principal point ({cx:g}, {cy:g}) outside the image {at_size}"
        return None, Finding("calibration_implausible", *about, detail)
    view = CameraView(size, (fx, fy), angles)
    if image_size not in (None, size):
        detail = f"calibrated for {width}x{height}, the images of {use.line.folder} are {image_size[1]}x{image_size[0]}"
        if not _is_downscaled(image_size, size):
            return None, Finding("calibration_size", *about, detail)
        return view, Finding("images_downscaled", *about, detail)
    return view, None


def _is_downscaled(size: tuple[int, int], original: tuple[int, int]) -> bool:
    """Whether images (height, width) were downscaled rather than cropped or taken by another camera."""
    down, across = size[0] / original[0], size[1] / original[1]
    return max(down, across) < DOWNSCALED and abs(across / down - 1) <= SAME_SHAPE
