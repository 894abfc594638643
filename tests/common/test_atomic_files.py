"""Atomic files and folders: complete or absent, wherever the writer stops."""

import os
from pathlib import Path

import pytest

from common.atomic_files import atomic_file, atomic_folder, check_writable, resolve_complete_dir
from common.errors import UserError


def fill(folder, text):
    with atomic_folder(folder) as temporary, atomic_file(temporary / "a.txt") as stream:
        stream.write(text.encode())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_only_when_complete(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_file(path) as stream:
        stream.write(b"one")
        stream.flush()
        assert not path.exists()
    assert path.read_bytes() == b"one"
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as stream:
        stream.write(b"two")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"one" and names(path.parent) == ["a.txt"]


def test_folder_is_replaced_atomically(tmp_path):
    folder = tmp_path / "runs" / "best"
    fill(folder, "one")
    (folder / "metrics.json").touch()
    fill(folder, "two")
    assert names(folder) == ["a.txt"] and (folder / "a.txt").read_text() == "two"
    assert names(folder.parent) == ["best"]


def test_interrupted_write_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "best"
    fill(folder, "one")
    with pytest.raises(KeyboardInterrupt), atomic_folder(folder) as temporary:
        (temporary / "a.txt").write_text("tw")
        raise KeyboardInterrupt
    assert (folder / "a.txt").read_text() == "one" and names(tmp_path) == ["best"]


def test_failed_rename_restores_the_old_folder(tmp_path, monkeypatch):
    folder = tmp_path / "best"
    fill(folder, "one")
    real = os.replace

    def fail_for_new(source, target):
        if str(source).endswith("best.tmp"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", fail_for_new)
    with pytest.raises(UserError, match="best cannot be written: No space left on device"):
        fill(folder, "two")
    assert (folder / "a.txt").read_text() == "one" and names(tmp_path) == ["best"]


def test_kill_between_the_renames_leaves_a_complete_folder(tmp_path):
    folder, old = tmp_path / "best", tmp_path / ".best.old"
    fill(folder, "one")
    assert resolve_complete_dir(folder) == folder
    folder.rename(old)  # state after a kill: the new folder has its temporary name
    (tmp_path / ".best.tmp").mkdir()
    assert resolve_complete_dir(folder) == old
    fill(folder, "two")
    assert resolve_complete_dir(folder) == folder
    assert (folder / "a.txt").read_text() == "two" and names(tmp_path) == ["best"]


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="best cannot be written"):
        fill(tmp_path / "file" / "best", "one")


def test_writability_is_checked_without_a_trace(tmp_path):
    check_writable(tmp_path / "new" / "folder")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/new")):
        with pytest.raises(UserError, match=f"{folder} cannot be written"):
            check_writable(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
