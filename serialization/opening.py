"""Shared by all weight readers: open a file and check its format, report damage, widen bfloat16."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from common.errors import UserError, WeightsError

ZIP_START = rb"PK\x03\x04"
SAFETENSORS_START = rb".{6}\0\0\{"
# Magic bytes (regular expressions) -> description.
_STARTS = {
    ZIP_START: "a zip archive. If PyTorch wrote it, rename it to .pth",
    SAFETENSORS_START: "a safetensors file. Rename it to .safetensors",
    rb"\x89HDF": "an HDF5 file. Rename it to .h5",
    rb"<": "a web page. Download the file again",
    rb"version https://git-lfs": "a Git LFS pointer. Run git lfs pull",
}


@contextmanager
def open_weights(path: Path, expected: str, own_start: bytes | None = None) -> Iterator[BinaryIO]:
    """Open a weight file as a seekable stream, after checking its first bytes.

    Args:
        path: the file.
        expected: description of the expected format, for messages: "a Paddle weight file".
        own_start: the key of ``_STARTS`` that is valid for the expected format, if any.

    Raises:
        WeightsError: the file cannot be read, is empty, or has the magic bytes of another format.
    """
    try:
        with open(path, "rb") as stream:
            start = stream.read(32)
            if not start:
                raise WeightsError(f"'{path}' is empty (0 bytes). Copy it again.")
            for pattern, description in _STARTS.items():
                if pattern != own_start and re.match(pattern, start, re.DOTALL):
                    raise WeightsError(f"'{path}' is not {expected}: it is {description}.")
            stream.seek(0)
            yield stream
    except OSError as fault:
        raise WeightsError(f"'{path}' cannot be read: {fault.strerror or fault}.") from fault


@contextmanager
def report_damage(
    path: Path,
    kind: str,
    error: type[UserError] = WeightsError,
    advice: str = "The file is damaged or truncated, or has another format. Copy it again.",
) -> Iterator[None]:
    """Convert any exception in the block into an error that names the file.

    Args:
        path: the file.
        kind: name of the format, for the message: "safetensors".
        error: class to raise; exceptions of this class pass unchanged.
        advice: what the user can do.

    Raises:
        UserError: an exception occurred; raised as ``error``.
    """
    try:
        yield
    except error:
        raise
    except Exception as fault:  # Damaged input can raise any exception anywhere in a reader.
        raise error(f"'{path}' cannot be read as {kind}: {fault or type(fault).__name__}. {advice}") from fault


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Convert bfloat16 to float32 exactly; NumPy has no bfloat16, which is the upper half of a float32.

    Args:
        bits: uint16 of any shape, the bits of the bfloat16 numbers.

    Returns:
        float32 of the same shape.
    """
    halves = np.zeros((*bits.shape, 2), "<u2")
    halves[..., 1] = bits
    return halves.view("<f4").reshape(bits.shape)
