"""Locks of folders: the holder is named, and its end, however it comes, frees the folder."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common import folder_lock
from common.errors import UserError
from common.folder_lock import FolderInUseError, check_unlocked, lock_folder

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from common.folder_lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "folder.lock"


def test_the_holder_is_named_and_kill_9_frees_the_folder(path):
    with subprocess.Popen([sys.executable, "-c", HOLD, path], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"locked\n"
        for use in (check_unlocked, lambda path: lock_folder(path).__enter__()):
            with pytest.raises(FolderInUseError, match=rf"process {holder.pid} on host \S+, since \d{{4}}-\d\d-\d\dT"):
                use(path)
        os.kill(holder.pid, signal.SIGKILL)
    check_unlocked(path)  # the file is still there
    assert f'"process": {holder.pid}' in path.read_text()
    with lock_folder(path):
        assert f'"process": {os.getpid()}' in path.read_text()


@pytest.mark.parametrize("content", ["", "{", "[" * 9999, "[]", '{"process": 1}', "\0" * 99])
def test_a_holder_that_has_not_written_its_name_holds_the_lock_all_the_same(path, content):
    with lock_folder(path):
        path.write_text(content)
        with pytest.raises(FolderInUseError, match="another process"):
            check_unlocked(path)


def test_a_check_creates_nothing(path):
    check_unlocked(path)
    assert not path.parent.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_prints_a_warning(path, number, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folder_lock.fcntl, "flock", refuse)
    with lock_folder(path):
        pass
    check_unlocked(path)
    printed = capsys.readouterr().err
    assert printed.count("Warning") == 1 and str(path.parent) in printed and os.strerror(number) in printed


def test_a_lock_file_that_was_replaced_is_noticed(path):
    with lock_folder(path) as lock:
        assert lock.is_intact()
        path.unlink()
        assert not lock.is_intact()
        path.touch()
        assert not lock.is_intact()


def test_a_folder_that_cannot_be_written_is_named(path):
    path.parent.write_text("a file")
    with pytest.raises(UserError, match=rf"{path} cannot be written: "), lock_folder(path):
        pass
