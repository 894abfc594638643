"""Read HDF5 files of arrays, the format of published backbones: flat, with PyTorch's names."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.errors import WeightsError
from common.text_files import abbreviate
from serialization.opening import content_limit, open_regular, report_damage

if TYPE_CHECKING:  # slow to import, and most weights are in other formats
    import h5py

_MAX_ARRAYS = 10_000


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """Read a flat HDF5 file without renaming.

    Returns:
        Name -> array.

    Raises:
        WeightsError: the file is missing, truncated, in another format, or contains anything but numeric arrays.
    """
    import h5py

    path = Path(path)
    # h5py opens the path itself: a Python stream would be slower.
    with open_regular(path), report_damage(path, "HDF5"), h5py.File(path, "r") as file:
        if len(file) > _MAX_ARRAYS:
            raise WeightsError(f"'{path}' has {len(file)} entries, expected at most {_MAX_ARRAYS}.")
        datasets = {name: _checked_dataset(file, name, path) for name in file}
        # Every link counts, also several to one dataset. A chunk is unpacked as a whole for any part of it.
        declared = sum(max(item.nbytes, _chunk_bytes(item)) for item in datasets.values())
        if declared > content_limit(path.stat().st_size):
            raise WeightsError(f"'{path}' declares {declared} bytes of arrays, too many for the size of the file.")
        return {name: item[()] for name, item in datasets.items()}


def _checked_dataset(file: "h5py.File", name: str, path: Path) -> "h5py.Dataset":
    import h5py

    # Soft links, virtual datasets and external storage can point to other files on this machine.
    is_own = isinstance(file.get(name, getlink=True), h5py.HardLink)
    item = file[name] if is_own else None
    is_array = isinstance(item, h5py.Dataset) and not item.is_virtual and not item.external
    if not is_array or item.dtype.kind not in "biuf":
        raise WeightsError(f"'{path}': {abbreviate(name)} is not a numeric array stored in the file itself.")
    return item


def _chunk_bytes(item: "h5py.Dataset") -> int:
    return math.prod(item.chunks or (0,)) * item.dtype.itemsize
