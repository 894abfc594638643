"""Which reader and writer a file's ending names, and arrays under Paddle's names from any of them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from common.errors import WeightsError
from serialization.h5 import read_h5
from serialization.naming import is_pytorch, to_paddle
from serialization.pdparams import read_pdparams, write_pdparams
from serialization.safetensors_file import read_safetensors, write_safetensors
from serialization.torch_file import read_torch_file

# A new format is a reader and a line here.
READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".pdparams": read_pdparams,
    ".safetensors": read_safetensors,
    ".pth": lambda path: read_torch_file(path).arrays,
    ".h5": read_h5,
}
WRITERS: dict[str, Callable[[Path, Mapping[str, np.ndarray]], None]] = {
    ".pdparams": write_pdparams,
    ".safetensors": write_safetensors,
}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """A file's arrays under Paddle's names, whichever of the two namings it has.

    Raises:
        WeightsError: the file is missing, damaged, unsafe, or has none of the endings of ``READERS``.
    """
    path = Path(path)
    if path.suffix not in READERS:
        raise WeightsError(f"{path} cannot be read as weights: a file in {any_of(READERS)} was expected.")
    arrays = READERS[path.suffix](path)
    return to_paddle(arrays) if is_pytorch(arrays) else arrays


def any_of(endings: Mapping[str, object] | tuple[str, ...]) -> str:
    """ ".a, .b or .c"."""
    *others, last = endings
    return f"{', '.join(others)} or {last}" if others else last
