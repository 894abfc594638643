"""Files and folders are whole or absent, whenever the writer stops."""

import os

import pytest

from common.atomic_files import atomic_file, atomic_folder, resolve_complete_dir
from common.errors import UserError


def fill(folder, text):
    with atomic_folder(folder) as temporary, atomic_file(temporary / "a.txt") as stream:
        stream.write(text.encode())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_when_it_is_whole(tmp_path):
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


def test_folder_replaces_the_old_one_as_a_whole(tmp_path):
    folder = tmp_path / "runs" / "best"
    fill(folder, "one")
    (folder / "metrics.json").touch()
    fill(folder, "two")
    assert names(folder) == ["a.txt"] and (folder / "a.txt").read_text() == "two"
    assert names(folder.parent) == ["best"]


def test_stopped_while_filling_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "best"
    fill(folder, "one")
    with pytest.raises(KeyboardInterrupt), atomic_folder(folder) as temporary:
        (temporary / "a.txt").write_text("tw")
        raise KeyboardInterrupt
    assert (folder / "a.txt").read_text() == "one" and names(tmp_path) == ["best"]


def test_failed_rename_brings_the_old_folder_back(tmp_path, monkeypatch):
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


def test_killed_between_the_renames_leaves_a_whole_folder(tmp_path):
    folder, old = tmp_path / "best", tmp_path / ".best.old"
    fill(folder, "one")
    assert resolve_complete_dir(folder) == folder
    folder.rename(old)  # the state after a kill: the new folder still has its temporary name
    (tmp_path / ".best.tmp").mkdir()
    assert resolve_complete_dir(folder) == old
    fill(folder, "two")
    assert resolve_complete_dir(folder) == folder
    assert (folder / "a.txt").read_text() == "two" and names(tmp_path) == ["best"]


def test_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="best cannot be written"):
        fill(tmp_path / "file" / "best", "one")
