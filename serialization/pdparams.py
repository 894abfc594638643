"""Paddle's ``.pdparams`` and ``.pdopt`` files: a pickled dict of arrays, read without running anything."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_files import atomic_file
from common.errors import WeightsError
from serialization.opening import open_weights
from serialization.safe_pickle import ArrayUnpickler

# Paddle's own table from structured names ("encoder.conv1.weight") to automatic ones ("conv2d_0.w_0").
NAME_TABLE = "StructuredToParameterName@@"
# What Paddle 2.0 and later write by default; NumPy arrays larger than 4 GB need it.
_PROTOCOL = 4


def read_paddle_file(path: Path) -> dict[str, Any]:
    """The content of a ``.pdparams`` or ``.pdopt`` file as it stands, of Paddle 2.x or 3.x.

    Returns:
        Name -> array (read-only), number, text, or dicts and lists of them; with Paddle's ``NAME_TABLE`` if
        there.

    Raises:
        WeightsError: the file is missing, empty, cut off, of another format, or asks for more than arrays.
    """
    with open_weights(path, "a Paddle weight file") as stream:
        content = ArrayUnpickler(stream, path).load()
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise WeightsError(
            f"{path} is not a Paddle weight file: a dict from names to arrays was expected, "
            f"what it holds is of type {type(content).__name__}."
        )
    return content


def read_pdparams(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.pdparams`` file by structured name; numbers among them as arrays without dimensions.

    Raises:
        WeightsError: as ``read_paddle_file``, or an entry is no array.
    """
    content = read_paddle_file(path)
    content.pop(NAME_TABLE, None)
    for name, value in content.items():
        if not isinstance(value, (np.ndarray, np.generic, bool, int, float)):
            raise WeightsError(
                f"{path} holds a {type(value).__name__} under {name!r}; arrays were expected. "
                "Is it an optimizer's state (.pdopt) rather than a network's weights?"
            )
    return {name: np.asarray(value) for name, value in content.items()}


def write_pdparams(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes ``arrays`` for ``read_pdparams`` and ``paddle.load``; the same arrays give the same bytes.

    Raises:
        UserError: the file cannot be written.
    """
    content = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with atomic_file(Path(path)) as stream:
        pickle.dump(content, stream, protocol=_PROTOCOL)
