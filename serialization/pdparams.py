"""Read and write Paddle's ``.pdparams`` and ``.pdopt`` files (a pickled dict of arrays) without executing content."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_files import atomic_file
from common.errors import WeightsError
from common.text_files import abbreviate
from serialization.opening import open_weights
from serialization.safe_pickle import ArrayUnpickler

# Paddle's table from structured names ("encoder.conv1.weight") to generated ones ("conv2d_0.w_0").
NAME_TABLE = "StructuredToParameterName@@"
# Default of Paddle 2.0 and later; required for NumPy arrays larger than 4 GB.
_PROTOCOL = 4


def read_paddle_file(path: Path) -> dict[str, Any]:
    """Read the unmodified content of a ``.pdparams`` or ``.pdopt`` file of Paddle 2.x or 3.x.

    Returns:
        Name -> array (read-only), number, text, or nested dicts and lists of these; includes Paddle's ``NAME_TABLE``
        if the file has one.

    Raises:
        WeightsError: the file is missing, empty, truncated, in another format, or refers to anything but arrays.
    """
    with open_weights(path, "a Paddle weight file") as stream:
        content = ArrayUnpickler(stream, path, path.stat().st_size).load()
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise WeightsError(
            f"'{path}' is not a Paddle weight file: expected a dict from names to arrays, "
            f"found {type(content).__name__}."
        )
    return content


def read_pdparams(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a ``.pdparams`` file by structured name; numbers become 0-dimensional arrays.

    Raises:
        WeightsError: see ``read_paddle_file``; also if an entry is not an array.
    """
    content = read_paddle_file(path)
    content.pop(NAME_TABLE, None)
    for name, value in content.items():
        # NumPy turns integers of more than 64 bits into objects.
        is_number = isinstance(value, (np.generic, float)) or (isinstance(value, int) and value.bit_length() < 64)
        if not isinstance(value, np.ndarray) and not is_number:
            raise WeightsError(
                f"'{path}': expected an array for {abbreviate(name)}, found {type(value).__name__}. "
                "Pass a network's weights (.pdparams), not an optimizer's state (.pdopt)."
            )
    return {name: np.asarray(value) for name, value in content.items()}


def write_pdparams(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write ``arrays`` for ``read_pdparams`` and ``paddle.load``; equal arrays produce equal bytes.

    Raises:
        UserError: the file cannot be written.
    """
    content = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with atomic_file(Path(path)) as stream:
        pickle.dump(content, stream, protocol=_PROTOCOL)
