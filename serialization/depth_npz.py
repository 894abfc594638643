"""Exported ground truth, ``gt_depths.npz``: this project's own, and the community's with a pickled array."""

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
from serialization.opening import report_damage
from serialization.safe_pickle import ArrayUnpickler

KINDS = ("lidar", "improved")
AXES = ("legacy", "camera")
_COMMUNITY_KEY = "data"


@dataclass(frozen=True)
class GroundTruthFile:
    """Depth maps of a split's test frames, in its order."""

    depths: Sequence[np.ndarray]
    """Each float32 (h, w), metres, 0 where unknown. The community's are a list; of this project's file each is read,
    and checked, when it is asked for."""
    kind: str | None
    """One of ``KINDS``; None where the file does not say, as in the community's."""
    axis: str | None
    """One of ``AXES``: along which of the lidar's or the camera's axes depth is measured; None as above."""


@dataclass(frozen=True)
class _NumberedDepths(Sequence):
    """The arrays "0" to "N-1" of this project's file; only the path is kept, so that other processes can read too."""

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
    """Reads either file without running anything that it asks for.

    This project's holds arrays "0" to "N-1", and "kind" and "axis" as text; the community's a pickled array
    of arrays under "data".

    Raises:
        DataError: the file is missing, damaged, unsafe, or of another format; also in reading one of ``depths``.
    """
    with _opened(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        about = {key: str(_read_array(archive, f"{key}.npy", path)) for key in ("kind", "axis") if key in names}
        depths: Sequence[np.ndarray]
        if _COMMUNITY_KEY in names:
            arrays = _read_array(archive, f"{_COMMUNITY_KEY}.npy", path)
            depths = [_checked_depth(depth, i, path) for i, depth in enumerate(arrays)]
        else:
            depths = _NumberedDepths(path, max(len(set(names) - {"kind", "axis"}), 1))
            missing = [str(i) for i in range(len(depths)) if str(i) not in names]
            if missing:
                raise DataError(
                    f"{path} is no exported ground truth: it lacks the array '{missing[0]}' and holds "
                    f'{", ".join(names)}. Expected were "0" to "N-1", "kind" and "axis", or "{_COMMUNITY_KEY}".'
                )
    return GroundTruthFile(depths, _choice(about, "kind", KINDS, path), _choice(about, "axis", AXES, path))


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive; whatever goes wrong with it is a DataError that names it."""
    advice = "Copy or export it again, or remove it: ground truth then comes straight from the dataset."
    with report_damage(path, "exported ground truth", DataError, advice), zipfile.ZipFile(path) as archive:
        yield archive


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


def _choice(about: dict[str, str], key: str, allowed: tuple[str, ...], path: Path) -> str | None:
    if key in about and about[key] not in allowed:
        raise DataError(f"{path}: {key} is {about[key]!r}; one of {', '.join(allowed)} was expected.")
    return about.get(key)
