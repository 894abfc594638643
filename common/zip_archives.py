"""Zip archives of others: faults of damaged ones, and paths that leave the folder to unpack into."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

# Of the list of members: KITTI's longest, of 93,000 depth maps, has 14 MB.
MAX_BYTES = 50_000_000

# Exceptions of zipfile for damaged archives; OSError for an offset outside the file.
ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)


def leaves_folder(name: str) -> bool:
    """Check whether a member's path is absolute or contains "..", on any operating system."""
    return any(kind(name).anchor or ".." in kind(name).parts for kind in (PurePosixPath, PureWindowsPath))


class _BoundedReads(io.FileIO):
    """A file of which ``zipfile`` reads the list of members, or compressed data, only up to ``MAX_BYTES`` at once."""

    def read(self, size: int | None = -1) -> bytes:
        """Read as ``io.FileIO`` does.

        Raises:
            zipfile.BadZipFile: more is requested; ``zipfile`` takes the number from the file.
        """
        if size is not None and size > MAX_BYTES:
            raise zipfile.BadZipFile(f"it declares a part of {size} bytes, expected at most {MAX_BYTES}")
        return super().read(size)


@contextmanager
def opened_zip(path: Path, error: type[Exception]) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive within the block.

    Raises:
        error: the file is no complete archive.
    """
    with _BoundedReads(path) as stream:
        try:
            contents = zipfile.ZipFile(stream)
        except ZIP_FAULTS as fault:
            raise error(f"'{path}' is damaged or truncated: {fault}.") from fault
        with contents:
            yield contents
