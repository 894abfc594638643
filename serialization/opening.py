"""What the readers of weight files share: opening with a check of the format, errors for damaged files, bfloat16."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from common.errors import UserError, WeightsError

ZIP_START = rb"PK\x03\x04"
SAFETENSORS_START = rb".{6}\0\0\{"
# How files start, as patterns -> what they are.
_STARTS = {
    ZIP_START: "a zip archive, perhaps of PyTorch; its name should then end in .pth",
    SAFETENSORS_START: "a safetensors file; its name should end in .safetensors",
    rb"\x89HDF": "an HDF5 file; its name should end in .h5",
    rb"<": "a web page: the download failed",
    rb"version https://git-lfs": "a pointer of Git LFS; fetch the file itself by git lfs pull",
}


@contextmanager
def open_weights(path: Path, expected: str, own_start: bytes | None = None) -> Iterator[BinaryIO]:
    """A seekable stream at the beginning of a weight file.

    Args:
        path: the file.
        expected: what it should be, for messages: "a Paddle weight file".
        own_start: the one of the patterns here by which files of the expected format may start.

    Raises:
        WeightsError: the file cannot be read, is empty, or starts as another format does.
    """
    try:
        with open(path, "rb") as stream:
            start = stream.read(32)
            if not start:
                raise WeightsError(f"{path} is empty (0 bytes): copy or download it again.")
            for pattern, description in _STARTS.items():
                if pattern != own_start and re.match(pattern, start, re.DOTALL):
                    raise WeightsError(f"{path} is not {expected}: it is {description}.")
            stream.seek(0)
            yield stream
    except OSError as fault:
        raise WeightsError(f"{path} cannot be read: {fault.strerror or fault}.") from fault


@contextmanager
def report_damage(
    path: Path,
    kind: str,
    error: type[UserError] = WeightsError,
    advice: str = "It is cut off, damaged, or of another format; copy or download it again.",
) -> Iterator[None]:
    """Turn whatever goes wrong in the block into an error that names the file.

    Args:
        path: the file.
        kind: what it is read as, for the message: "safetensors".
        error: the class to raise; errors of it pass unchanged.
        advice: what the user can do.

    Raises:
        UserError: of the class ``error``.
    """
    try:
        yield
    except error:
        raise
    except Exception as fault:  # Foreign bytes can fail anywhere in the readers, with any exception.
        raise error(f"{path} cannot be read as {kind}: {fault or type(fault).__name__}. {advice}") from fault


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Convert bfloat16, which NumPy lacks and which is the upper half of a float32, to float32, exactly.

    Args:
        bits: uint16, of any shape: the bits of the bfloat16 numbers.
    """
    halves = np.zeros((*bits.shape, 2), "<u2")
    halves[..., 1] = bits
    return halves.view("<f4").reshape(bits.shape)
