"""Write and check ``manifest.json``: size and SHA-256 of a folder's files, to detect damage and partial copies."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.atomic_files import write_json
from common.errors import WeightsError
from common.text_files import abbreviate
from serialization.opening import open_regular, read_json, report_unreadable

MANIFEST_FILE = "manifest.json"
_CHUNK = 1 << 20  # bytes


def write_manifest(folder: Path) -> None:
    """Write ``manifest.json`` for all files directly in ``folder``; subfolders are not listed.

    Raises:
        UserError: the manifest cannot be written.
    """
    files = sorted(path for path in Path(folder).iterdir() if path.is_file() and path.name != MANIFEST_FILE)
    write_json(Path(folder) / MANIFEST_FILE, {path.name: _entry(path) for path in files})


@contextmanager
def update_manifest(folder: Path, name: str) -> Iterator[None]:
    """Unlist the file ``name`` while the block replaces it, and list the new file afterwards.

    A folder without a manifest is left without one.

    Raises:
        WeightsError: the manifest is damaged.
        UserError: the manifest cannot be written.
    """
    path = Path(folder) / MANIFEST_FILE
    if not path.exists():
        yield
        return
    others = {other: entry for other, entry in _read(path).items() if other != name}
    write_json(path, others)
    yield
    write_json(path, {**others, name: _entry(path.with_name(name))})


def check_manifest(folder: Path, names: Iterable[str] | None = None) -> bool:
    """Verify files against the manifest of ``folder``.

    Args:
        folder: a folder with or without a manifest (released weights have none). Unlisted files are ignored.
        names: files to check; None checks all listed files.

    Returns:
        Whether the folder has a manifest.

    Raises:
        WeightsError: a listed file is missing or has changed, or the manifest is damaged.
    """
    path = Path(folder) / MANIFEST_FILE
    with report_unreadable(path):
        if not path.exists():
            return False
    listed = _read(path)
    for name in listed if names is None else names:
        if name in listed:
            _check(path.parent / name, listed[name])
    return True


def _read(path: Path) -> dict[str, dict[str, Any]]:
    content = read_json(path, _advice(path))
    entries = content.items() if isinstance(content, dict) else [("", None)]
    for name, entry in entries:
        is_entry = isinstance(entry, dict) and entry.keys() >= {"size", "sha256"}
        # Accept plain printable names only: no paths outside the folder, no control characters for the terminal.
        if not is_entry or not name.isprintable() or name in ("", "..") or Path(name).name != name:
            raise _error(path, "is damaged: expected size and sha256 for each file of its folder")
    return content


def _check(path: Path, expected: dict[str, Any]) -> None:
    try:
        size = path.stat().st_size
        if size != expected["size"]:
            raise _error(path, f"has {size} bytes, {MANIFEST_FILE} expects {abbreviate(expected['size'])}")
        if _sha256(path) != expected["sha256"]:
            raise _error(path, f"has changed since it was written: its SHA-256 differs from {MANIFEST_FILE}")
    except OSError as fault:
        raise _error(path, f"is listed in {MANIFEST_FILE} but cannot be read ({fault.strerror or fault})") from fault


def _error(path: Path, what: str) -> WeightsError:
    return WeightsError(f"'{path}' {what}. {_advice(path)}")


def _advice(path: Path) -> str:
    manifest = path.with_name(MANIFEST_FILE)
    return f"Copy the folder again. To load it without this check, remove '{manifest}'."


def _entry(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
