"""Text files that users write or edit, on any system, and their values in messages."""

import codecs
import os
import reprlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from common.errors import DataError, printable
from common.signatures import open_file

MAX_BYTES = 100_000_000  # a million split lines take a third of it
SHOWN = 60  # characters of a value in a message
# Windows PowerShell writes UTF-16 by default.
_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_text(path: str | Path, max_bytes: int = MAX_BYTES) -> str:
    """Read a text file: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Bytes that are not valid become U+FFFD, which the reader of the format then rejects.

    Args:
        path: The file.
        max_bytes: Largest allowed size.

    Raises:
        OSError: The file cannot be read, or is larger.
    """
    content = b""
    with open(path, "rb") as stream:
        # By parts: ``read`` allocates all that it is asked for.
        while len(content) <= max_bytes and (part := stream.read(1 << 20)):
            content += part
    if len(content) > max_bytes:
        raise OSError(0, f"more than {max_bytes} bytes are not expected of such a text file", str(path))
    text = content.decode(_ENCODINGS.get(content[:2], "utf-8-sig"), errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_data_text(path: str | Path, what: str, remedy: str) -> str:
    """Read a text file of a dataset, as ``read_text`` does.

    Args:
        path: The file.
        what: Kind of file, for the message.
        remedy: What to do if the file is missing or cannot be read.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    try:
        with open_file(path):  # no pipe, which could block
            return read_text(path)
    except (OSError, ValueError) as error:  # ValueError: NUL in the path
        raise DataError(f"{what} {printable(path)} {fault_of(error)}. {remedy}") from error


def list_folder(folder: str | Path) -> list[str]:
    """List the names in a folder of a dataset, sorted; none if there is no such folder.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise DataError(f"Folder {printable(folder)} {fault_of(error)}. Change its permissions.") from error


def fault_of(error: OSError | ValueError) -> str:
    """Describe why a file could not be read: "not found", or "cannot be read" with the reason."""
    if isinstance(error, FileNotFoundError):
        return "not found"
    reason = error.strerror if isinstance(error, OSError) else None
    return f"cannot be read ({reason or error})"


class _Abbreviation(reprlib.Repr):
    """Representations of bounded length, whatever a value refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxarray = 9
        self.maxstring = self.maxother = SHOWN
        self.maxlong = SHOWN

    def repr_int(self, value: int, level: int) -> str:
        """Represent an integer; Python refuses to convert those of more than 4300 digits."""
        if value.bit_length() > 4 * self.maxlong:
            return f"int of about {int(value.bit_length() * 0.30103) + 1} digits"
        return repr(value)


def abbreviate(value: Any) -> str:
    """Represent a value in a message: ``repr`` if that is short, else type, length and beginning.

    The result has at most about a hundred characters and no control characters.
    """
    if isinstance(value, (str, bytes)):
        if len(value) <= SHOWN:
            return repr(value)
        text = repr(value[:SHOWN])
    else:
        text = _Abbreviation().repr(value)
        if len(text) <= SHOWN and not (isinstance(value, Collection) and "..." in text):
            return text
    length = f" of length {len(value)}" if isinstance(value, Collection) else ""
    return f"{type(value).__name__}{length}: {text[:SHOWN]}..."
