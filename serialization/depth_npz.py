"""Exported ground truth, ``gt_depths.npz``: this project's own, and the community's with a pickled array."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from errors import DataError
from serialization.atomic import atomic_file
from serialization.safe_pickle import ArrayUnpickler

KINDS = ("lidar", "improved")
AXES = ("legacy", "camera")
_COMMUNITY_KEY = "data"


@dataclass(frozen=True)
class GroundTruthFile:
    """Depth maps of a split's test frames, in its order."""

    depths: list[np.ndarray]
    """Each float32 (h, w), metres, 0 where unknown."""
    kind: str | None
    """One of ``KINDS``; None where the file does not say, as in the community's."""
    axis: str | None
    """One of ``AXES``: along which of the lidar's or the camera's axes depth is measured; None as above."""


def read_gt_depths(path: Path) -> GroundTruthFile:
    """Reads either file without running anything that it asks for.

    This project's holds arrays "0" to "N-1", and "kind" and "axis" as text; the community's a pickled array
    of arrays under "data".

    Raises:
        DataError: the file is missing, damaged, unsafe, or of another format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {name.removesuffix(".npy"): _read_array(archive, name, path) for name in archive.namelist()}
        if _COMMUNITY_KEY in arrays:
            depths = list(arrays[_COMMUNITY_KEY])
        else:
            depths = [arrays[str(i)] for i in range(len(arrays.keys() - {"kind", "axis"}))]
        return GroundTruthFile(
            depths=[_checked_depth(depth, i, path) for i, depth in enumerate(depths)],
            kind=_choice(arrays, "kind", KINDS, path),
            axis=_choice(arrays, "axis", AXES, path),
        )
    except DataError:
        raise
    except KeyError as missing:
        raise DataError(
            f"{path} is no exported ground truth: it lacks the array {missing} and holds "
            f'{", ".join(arrays)}. Expected were "0" to "N-1", "kind" and "axis", or "{_COMMUNITY_KEY}".'
        ) from missing
    except Exception as fault:  # Foreign bytes can fail anywhere in the readers, with any exception.
        raise DataError(
            f"{path} cannot be read as exported ground truth: {fault or type(fault).__name__}. "
            "Copy or export it again, or remove it: ground truth then comes straight from the dataset."
        ) from fault


def write_gt_depths(path: Path, depths: Iterable[np.ndarray], kind: str, axis: str) -> None:
    """Writes this project's file, compressed and without pickle; ``numpy.load`` reads it too.

    Args:
        path: the file, whole or absent whatever happens.
        depths: as in `GroundTruthFile`; taken one by one, so that they need not fit into memory together.
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
    """One .npy member; an array of objects by the restricted unpickler."""
    with archive.open(name) as stream:
        is_version_1 = npy_format.read_magic(stream) == (1, 0)
        read_header = npy_format.read_array_header_1_0 if is_version_1 else npy_format.read_array_header_2_0
        _, _, dtype = read_header(stream)
        if dtype.hasobject:
            return np.asarray(ArrayUnpickler(stream, path, error=DataError).load())
    with archive.open(name) as stream:
        return npy_format.read_array(stream, allow_pickle=False)


def _checked_depth(depth: object, index: int, path: Path) -> np.ndarray:
    array = np.asarray(depth, dtype=np.float32)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise DataError(
            f"{path}: entry {index} is no depth map: finite numbers of shape (height, width) were expected; "
            f"its shape is {array.shape}. Export the ground truth again."
        )
    return array


def _choice(arrays: dict[str, np.ndarray], key: str, allowed: tuple[str, ...], path: Path) -> str | None:
    if key not in arrays:
        return None
    value = str(arrays[key])
    if value not in allowed:
        raise DataError(f"{path}: {key} is {value!r}; one of {', '.join(allowed)} was expected.")
    return value
