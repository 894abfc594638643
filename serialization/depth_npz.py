"""Read and write exported ground truth (``gt_depths.npz``): this project's format, and the original pickled one."""

import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from common.atomic_files import atomic_file
from common.errors import DataError
from common.text_files import abbreviate
from serialization.opening import content_limit, open_regular, report_damage
from serialization.safe_pickle import ArrayUnpickler

KINDS = ("lidar", "improved", "stereo", "laser", "kinect")
AXES = ("legacy", "camera")
_COMMUNITY_KEY = "data"
# Bytes: a float64 depth map of 32 million pixels. Zeros compress to a thousandth of their size.
_LARGEST_MAP = 1 << 28


@dataclass(frozen=True)
class GroundTruthFile:
    """Depth maps of a split's test frames, in the order of the split."""

    depths: Sequence[np.ndarray]
    """Each float32 (h, w), metres, 0 where unknown. A list for the original format; read and checked lazily, one map
    at a time, for this project's format."""
    kind: str | None
    """One of ``KINDS``; None if the file does not specify it, as in the original format."""
    axis: str | None
    """One of ``AXES``: whether depth is measured along the lidar's ("legacy") or the camera's axis; None if not
    specified."""


@dataclass(frozen=True)
class _NumberedDepths(Sequence):
    """Lazy sequence of the arrays "0" to "N-1" in this project's format.

    Only the path is stored, which makes the sequence picklable for worker processes.
    """

    path: Path
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < self.count:
            raise IndexError(index)
        with _opened(self.path) as archive:
            return _checked_depth(_read_array(archive, f"{index}.npy", self.path), index, self.path)


def read_gt_depths(path: Path) -> GroundTruthFile:
    """Read exported ground truth in either format, without executing file content.

    This project's format contains the arrays "0" to "N-1", and "kind" and "axis" as text. The original format contains
    a pickled array of arrays, "data".

    Raises:
        DataError: the file is missing, damaged, unsafe, or in another format; also raised when a depth map is read.
    """
    with _opened(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        about = {key: str(_read_array(archive, f"{key}.npy", path)) for key in ("kind", "axis") if key in names}
        depths: Sequence[np.ndarray]
        if _COMMUNITY_KEY in names:
            arrays = _read_array(archive, f"{_COMMUNITY_KEY}.npy", path)
            depths = [_checked_depth(depth, i, path) for i, depth in enumerate(_checked_maps(arrays))]
        else:
            depths = _NumberedDepths(path, max(len(set(names) - {"kind", "axis"}), 1))
            held = set(names)
            missing = [str(i) for i in range(len(depths)) if str(i) not in held]
            if missing:
                raise DataError(
                    f"'{path}' is not exported ground truth: array '{missing[0]}' not found among "
                    f"{', '.join(map(abbreviate, names[:8]))}. "
                    f'Expected "0" to "N-1", "kind" and "axis", or "{_COMMUNITY_KEY}".'
                )
    return GroundTruthFile(depths, _choice(about, "kind", KINDS, path), _choice(about, "axis", AXES, path))


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive; convert every exception into a ``DataError`` that names the file."""
    advice = "Copy or export it again, or remove it: evaluation then computes the ground truth from the dataset."
    with (
        open_regular(path, DataError) as stream,
        report_damage(path, "exported ground truth", DataError, advice),
        zipfile.ZipFile(stream) as archive,
    ):
        yield archive


def write_gt_depths(path: Path, depths: Iterable[np.ndarray], kind: str, axis: str) -> None:
    """Write ground truth in this project's format: compressed, without pickle, readable by ``numpy.load``.

    Args:
        path: the file; written atomically.
        depths: float32 (h, w) each, metres, 0 where unknown; consumed one by one to bound memory use.
        kind: one of ``KINDS``.
        axis: one of ``AXES``.

    Raises:
        UserError: the file cannot be written.
    """
    numbered = ((str(i), depth) for i, depth in enumerate(depths))
    with atomic_file(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in chain(numbered, (("kind", np.array(kind)), ("axis", np.array(axis)))):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy_format.write_array(member, array, allow_pickle=False)


def _read_array(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    """Read a .npy member; arrays of objects are read by the restricted unpickler."""
    info = archive.getinfo(name)
    limit = content_limit(path.stat().st_size) if name == f"{_COMMUNITY_KEY}.npy" else _LARGEST_MAP
    if info.file_size > limit or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"'{path}': {abbreviate(name)} has {info.file_size} bytes uncompressed, allowed: {limit}, stored or "
            "deflated. Export the ground truth again."
        )
    with archive.open(name) as stream:
        is_version_1 = npy_format.read_magic(stream) == (1, 0)
        read_header = npy_format.read_array_header_1_0 if is_version_1 else npy_format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            return ArrayUnpickler(stream, path, info.file_size, error=DataError).load()
        # NumPy allocates what the header declares.
        if math.prod(shape) * dtype.itemsize != info.file_size - stream.tell():
            raise ValueError(f"{abbreviate(name)} of shape {abbreviate(shape)} has {info.file_size} bytes")
    with archive.open(name) as stream:
        return npy_format.read_array(stream, allow_pickle=False)


def _checked_maps(arrays: object) -> np.ndarray:
    if not isinstance(arrays, np.ndarray):
        raise ValueError(f"it contains a {type(arrays).__name__} instead of an array")
    return arrays


def _checked_depth(depth: object, index: int, path: Path) -> np.ndarray:
    # NumPy would also convert nested lists, which can share their elements: a few bytes then become any size.
    array = depth.astype(np.float32, copy=False) if isinstance(depth, np.ndarray) and depth.ndim == 2 else None
    if array is None or not np.isfinite(array).all():
        found = f"of shape {depth.shape}" if isinstance(depth, np.ndarray) else f"of type {type(depth).__name__}"
        raise DataError(
            f"'{path}': entry {index} {found} is not a depth map. Expected finite numbers of shape (height, width). "
            "Export the ground truth again."
        )
    return array


def _choice(about: dict[str, str], key: str, allowed: tuple[str, ...], path: Path) -> str | None:
    if key in about and about[key] not in allowed:
        raise DataError(f"'{path}': {key} is {abbreviate(about[key])}, expected one of {', '.join(allowed)}.")
    return about.get(key)
