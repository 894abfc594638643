"""Read and write safetensors files with the format's library; the format cannot contain executable code."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save

from common.atomic_files import atomic_file
from common.errors import WeightsError
from common.text_files import abbreviate
from serialization.opening import SAFETENSORS_START, open_weights, report_damage, widen_bfloat16

_BFLOAT16 = "BF16"
# safetensors type -> NumPy type.
_TYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", _BFLOAT16: "<u2", "BOOL": "?"},
    **{f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)},
}
_NAMES = {np.dtype(code).name for code in _TYPES.values()}


@dataclass(frozen=True)
class SafetensorsFile:
    """Content of a safetensors file, without renaming."""

    arrays: dict[str, np.ndarray]
    """Sorted by name; bfloat16 is converted to float32, which is exact."""
    metadata: dict[str, str]
    """``__metadata__`` of the header; empty if the file has none."""


def read_safetensors(path: Path) -> SafetensorsFile:
    """Read the arrays and the metadata of a file.

    Raises:
        WeightsError: the file is missing, empty, truncated, inconsistent, in another format, or contains numbers of a
            type that NumPy lacks.
    """
    with open_weights(path, "a safetensors file", own_start=SAFETENSORS_START) as stream:
        content = stream.read()
    with report_damage(path, "safetensors"):
        entries = sorted(safetensors.deserialize(content), key=lambda entry: entry[0])
    foreign = [
        f"{abbreviate(name)} of type {about['dtype']}" for name, about in entries if about["dtype"] not in _TYPES
    ]
    if foreign:
        raise WeightsError(f"'{path}' contains numbers of an unsupported type: {foreign[0]}. Convert them to F32.")
    with report_damage(path, "safetensors"):  # also a shape that NumPy does not support
        return SafetensorsFile({name: _array(**about) for name, about in entries}, _read_metadata(content))


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Write ``arrays`` in the safetensors format.

    Args:
        path: the file.
        arrays: name -> array.
        metadata: metadata for the header; None writes none.

    Raises:
        WeightsError: an array has a type that the format lacks.
        UserError: the file cannot be written.
    """
    # The library ignores strides and writes the raw memory, so arrays must be contiguous.
    content = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in content.items():
        if array.dtype.name not in _NAMES:
            raise WeightsError(f"'{path}': safetensors does not support the type {array.dtype} of {name!r}.")
    with atomic_file(Path(path)) as stream:
        stream.write(save(content, metadata=dict(metadata) if metadata else None))


def _read_metadata(content: bytes) -> dict[str, str]:
    """Parse the metadata of a file that the library has validated: 8 bytes of length, then a JSON header."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]).get("__metadata__") or {}


def _array(dtype: str, shape: list[int], data: bytearray) -> np.ndarray:
    array = np.frombuffer(data, _TYPES[dtype]).reshape(shape)
    return widen_bfloat16(array) if dtype == _BFLOAT16 else array
