"""Shared by all readers: open a file and check its format, limit what it may declare, report damage."""

import json
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from common.errors import UserError, WeightsError, printable
from common.text_files import read_text

ZIP_START = rb"PK\x03\x04"
SAFETENSORS_START = rb".{6}\0\0\{"
SIZE_STEP = 32  # pixels; the encoders halve the image five times
MAX_INPUT_PIXELS = 1 << 24  # of the networks' input
_MAX_JSON = 1 << 24  # bytes
_MAX_EXPANSION = 100
_MAX_EXPANSION_BYTES = 2 << 30
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
    with open_regular(path) as stream:
        start = stream.read(32)
        if not start:
            raise WeightsError(f"'{path}' is empty (0 bytes). Copy it again.")
        for pattern, description in _STARTS.items():
            if pattern != own_start and re.match(pattern, start, re.DOTALL):
                raise WeightsError(f"'{path}' is not {expected}: it is {description}.")
        stream.seek(0)
        yield stream


@contextmanager
def open_regular(path: Path, error: type[UserError] = WeightsError) -> Iterator[BinaryIO]:
    """Open a file to read bytes, and reject pipes and devices: opening a pipe waits for a writer.

    Raises:
        UserError: the file is missing, cannot be read or is not a regular file; raised as ``error``.
    """
    with report_unreadable(path, error):
        mode = Path(path).stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise error(f"'{path}' is a pipe or a device, expected a file. Replace it by the file itself.")
        with open(path, "rb") as stream:
            yield stream


@contextmanager
def report_unreadable(path: Path, error: type[UserError] = WeightsError) -> Iterator[None]:
    """Convert an ``OSError`` in the block, such as a missing permission, into an error that names the file.

    Raises:
        UserError: raised as ``error``.
    """
    try:
        yield
    except OSError as fault:
        raise error(f"'{path}' cannot be read: {fault.strerror or fault}.") from fault


def read_json(path: Path, advice: str = "Copy it again.", error: type[UserError] = WeightsError) -> Any:
    """Read a JSON file in UTF-8 or UTF-16, with or without a byte order mark.

    Args:
        path: the file.
        advice: what the user can do if the file is damaged.
        error: class to raise.

    Raises:
        UserError: the file is missing, not a regular file, larger than 16 MiB, or not JSON; raised as ``error``.
    """
    with open_regular(path, error):
        text = read_text(path, _MAX_JSON)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise error(f"'{path}' is damaged ({_brief(fault)}). {advice}") from fault


def is_input_size(height: object, width: object) -> bool:
    """Check a size of the networks' input: multiples of 32, at most 2^24 pixels."""
    sizes = (height, width)
    are_valid = all(type(size) is int and size > 0 and size % SIZE_STEP == 0 for size in sizes)
    return are_valid and height * width <= MAX_INPUT_PIXELS


def content_limit(file_size: int) -> int:
    """Return the number of bytes that the arrays of a file may have in total.

    Compressed and shared data can declare any size. Weights and sparse depth maps need at most 100 times the size of
    their file; 2 GiB more than the file bounds the memory for large files.
    """
    return min(_MAX_EXPANSION * file_size, file_size + _MAX_EXPANSION_BYTES)


def _brief(fault: Exception) -> str:
    """Shorten the message of an exception, which can contain parts of the file, and escape control characters."""
    return printable(str(fault)[:300] or type(fault).__name__)


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
        raise error(f"'{path}' cannot be read as {kind}: {_brief(fault)}. {advice}") from fault


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
