"""``manifest.json``: size and SHA-256 of every file in a folder, by which a damaged or half copied one is known."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.atomic_files import write_json
from common.errors import WeightsError

MANIFEST_FILE = "manifest.json"
_CHUNK = 1 << 20  # bytes


def write_manifest(folder: Path) -> None:
    """Writes ``manifest.json`` for all files in ``folder``; what lies in folders below is not listed.

    Raises:
        UserError: it cannot be written.
    """
    files = sorted(path for path in Path(folder).iterdir() if path.is_file() and path.name != MANIFEST_FILE)
    write_json(Path(folder) / MANIFEST_FILE, {path.name: _entry(path) for path in files})


@contextmanager
def update_manifest(folder: Path, name: str) -> Iterator[None]:
    """Within the block the file ``name`` may be replaced: it is not listed meanwhile, and as it is then afterwards.

    Raises:
        WeightsError: the manifest is damaged. A folder without one stays without.
        UserError: it cannot be written.
    """
    path = Path(folder) / MANIFEST_FILE
    if not path.is_file():
        yield
        return
    others = {other: entry for other, entry in _read(path).items() if other != name}
    write_json(path, others)
    yield
    write_json(path, {**others, name: _entry(path.with_name(name))})


def check_manifest(folder: Path, names: Iterable[str] | None = None) -> bool:
    """Whether ``folder`` has a manifest; if so, its files are as they were written.

    Args:
        folder: may lack a manifest, as released folders do; files that are not listed are not looked at.
        names: the files to check; None checks every file that is listed.

    Raises:
        WeightsError: a listed file is missing or has changed, or the manifest itself is damaged.
    """
    path = Path(folder) / MANIFEST_FILE
    if not path.is_file():
        return False
    listed = _read(path)
    for name in listed if names is None else names:
        if name in listed:
            _check(path.parent / name, listed[name])
    return True


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise _error(path, f"cannot be read ({fault})") from fault
    entries = content.items() if isinstance(content, dict) else [("", None)]
    for name, entry in entries:
        is_entry = isinstance(entry, dict) and entry.keys() >= {"size", "sha256"}
        # A plain name: a manifest leads to no file outside its folder, and writes no control characters to a terminal.
        if not is_entry or not name.isprintable() or name in ("", "..") or Path(name).name != name:
            raise _error(path, "is damaged: size and sha256 were expected for each file of its folder")
    return content


def _check(path: Path, expected: dict[str, Any]) -> None:
    try:
        size = path.stat().st_size
        if size != expected["size"]:
            raise _error(path, f"holds {size} bytes where {MANIFEST_FILE} expects {expected['size']}")
        if _sha256(path) != expected["sha256"]:
            raise _error(path, f"has changed since it was written: its SHA-256 is not the one in {MANIFEST_FILE}")
    except OSError as fault:
        raise _error(path, f"is listed in {MANIFEST_FILE} and cannot be read ({fault.strerror or fault})") from fault


def _error(path: Path, what: str) -> WeightsError:
    return WeightsError(
        f"{path} {what}. Copy the folder again from where it was written; "
        f"or remove {path.with_name(MANIFEST_FILE)} to load it all the same."
    )


def _entry(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
