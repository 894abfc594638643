"""HDF5 files of arrays, as published backbones come: flat, PyTorch's names at the top level."""

from pathlib import Path

import h5py
import numpy as np

from common.errors import WeightsError
from serialization.opening import report_damage

# No weights compress to less than this part of their size.
_MOST_COMPRESSED = 100


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """Name -> array, as they stand in the file.

    Raises:
        WeightsError: the file is missing, cut off, of another format, or holds anything but arrays of
            numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path} cannot be read: there is no such file.")
    with report_damage(path, "HDF5"), h5py.File(path, "r") as file:
        return {name: _read_array(file, name, path) for name in file}


def _read_array(file: h5py.File, name: str, path: Path) -> np.ndarray:
    # A link, and numbers kept elsewhere, may lead to another file of this machine.
    is_own = isinstance(file.get(name, getlink=True), h5py.HardLink)
    item = file[name] if is_own else None
    is_array = isinstance(item, h5py.Dataset) and not item.is_virtual and not item.external
    if not is_array or item.dtype.kind not in "biuf":
        raise WeightsError(f"{path} holds something else than numbers under {name!r}; flat arrays were expected.")
    if item.nbytes > _MOST_COMPRESSED * path.stat().st_size:
        raise WeightsError(f"{path} claims {item.nbytes} bytes for {name!r}, which cannot be in a file of its size.")
    return item[()]
