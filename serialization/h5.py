"""Read HDF5 files of arrays, the format of published backbones: flat, with PyTorch's names."""

from pathlib import Path

import h5py
import numpy as np

from common.errors import WeightsError
from serialization.opening import report_damage

# Maximum compression ratio of plausible weights: protects against decompression bombs.
_MOST_COMPRESSED = 100


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """Read a flat HDF5 file without renaming.

    Returns:
        Name -> array.

    Raises:
        WeightsError: the file is missing, truncated, in another format, or contains anything but numeric arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"'{path}' not found.")
    with report_damage(path, "HDF5"), h5py.File(path, "r") as file:
        return {name: _read_array(file, name, path) for name in file}


def _read_array(file: h5py.File, name: str, path: Path) -> np.ndarray:
    # Soft links, virtual datasets and external storage can point to other files on this machine.
    is_own = isinstance(file.get(name, getlink=True), h5py.HardLink)
    item = file[name] if is_own else None
    is_array = isinstance(item, h5py.Dataset) and not item.is_virtual and not item.external
    if not is_array or item.dtype.kind not in "biuf":
        raise WeightsError(f"'{path}': {name!r} is not a numeric array stored in the file itself.")
    if item.nbytes > _MOST_COMPRESSED * path.stat().st_size:
        raise WeightsError(f"'{path}' declares {item.nbytes} bytes for {name!r}, too many for the size of the file.")
    return item[()]
