"""Read and write weight files of all formats as arrays with Paddle's names and layouts.

The format determines the naming convention. ``.pth`` files and the published ``.h5`` backbones use PyTorch's;
``.safetensors`` files declare it in their metadata. ``.pdparams`` files, and safetensors without metadata (which is
optional), use Paddle's unless batch norm buffers have PyTorch's names: many converted files were never renamed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import WeightsError
from serialization.h5 import read_h5
from serialization.naming import has_pytorch_buffers, to_paddle, to_pytorch
from serialization.pdparams import read_pdparams, write_pdparams
from serialization.safetensors_file import read_safetensors, write_safetensors
from serialization.torch_file import read_torch_file

# Values of "format" in safetensors metadata: transformers writes "pt", PaddleNLP "pd"; the others are the library's
# framework names.
_PYTORCH = ("pt", "pytorch", "torch")
_PADDLE = ("pd", "paddle", "paddlepaddle")


@dataclass(frozen=True)
class WeightsFormat:
    """Output format of weights.

    Attributes:
        ending: file extension.
        arrange: converts arrays from Paddle's names and layouts to those of the format.
        write: writes arranged arrays to a path.
    """

    ending: str
    arrange: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
    write: Callable[[Path, Mapping[str, np.ndarray]], None]


def _read_pdparams(path: Path) -> dict[str, np.ndarray]:
    return _by_buffers(read_pdparams(path))


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    file = read_safetensors(path)
    framework = file.metadata.get("format")
    if framework in _PYTORCH:
        return to_paddle(file.arrays)
    return file.arrays if framework in _PADDLE else _by_buffers(file.arrays)


def _by_buffers(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return to_paddle(arrays) if has_pytorch_buffers(arrays) else arrays


# Extension -> reader that returns arrays by Paddle's names. To add a format, add a reader and a line here.
READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".pdparams": _read_pdparams,
    ".safetensors": _read_safetensors,
    ".pth": lambda path: to_paddle(read_torch_file(path).arrays),
    ".h5": lambda path: to_paddle(read_h5(path)),
}
ENDINGS = (".pdparams", ".safetensors", ".pth")  # of the files in a weights folder
FORMATS = {
    "pdparams": WeightsFormat(".pdparams", dict, write_pdparams),
    "safetensors": WeightsFormat(
        ".safetensors", dict, lambda path, arrays: write_safetensors(path, arrays, {"format": _PADDLE[0]})
    ),
    "pytorch": WeightsFormat(
        ".safetensors", to_pytorch, lambda path, arrays: write_safetensors(path, arrays, {"format": _PYTORCH[0]})
    ),
}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read a file's arrays with Paddle's names and layouts, whichever framework wrote it.

    Raises:
        WeightsError: the file is missing, damaged or unsafe, or its extension is not in ``READERS``.
    """
    path = Path(path)
    if path.suffix not in READERS:
        raise WeightsError(f"'{path}' cannot be read as weights. Expected a {any_of(READERS)} file.")
    return READERS[path.suffix](path)


def any_of(endings: Mapping[str, object] | tuple[str, ...]) -> str:
    """Join names for a message: ".a, .b or .c"."""
    *others, last = endings
    return f"{', '.join(others)} or {last}" if others else last
