"""Test the command that renders a synthetic dataset."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments):
    command = [sys.executable, "tools/make_synthetic.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_small_dataset_and_summary(tmp_path):
    options = ("--height", 32, "--width", 64, "--frames", 10, "--seed", 5, "--num_workers", 2)
    done = _run("--out", tmp_path / "world", *options)
    assert done.returncode == 0, done.stderr
    assert "10 stereo frames of 64x32 in 3 streets" in done.stdout
    assert "split synthetic: 4 for training, 1 for validation, 1 for testing" in done.stdout
    assert len(list((tmp_path / "world").rglob("image_0*/data/*.jpg"))) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["world"]
    again = _run("--out", tmp_path / "world", *options)
    assert again.returncode == 0 and "already contains this dataset" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--frames", 2), "frames: got 2, expected at least 9"),
        (("--num_workers", -1), "--num_workers: got -1, expected 0 or more"),
        (("--heigth", 96), "unknown option --heigth; the nearest is --height"),
    ],
)
def test_errors_are_one_line(tmp_path, arguments, message):
    done = _run("--out", tmp_path / "world", *arguments)
    assert done.returncode != 0 and message in done.stderr
    assert "Traceback" not in done.stderr and not any(tmp_path.iterdir())


def _limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))


def _make(folder: Path, what: str) -> Path:
    """Return a path that cannot be written as a dataset."""
    path = folder / "out"
    if what == "file":
        path.touch()
    elif what == "below a file":
        path.touch()
        return path / "world"
    elif what != "full disk":
        path.mkdir()
        (path / "world.json").write_text(what)
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("file", "is a file. Expected a new or empty folder as --out."),
        ("below a file", "cannot be written: Not a directory."),
        ("full disk", "cannot be written: File too large. Raise the limit on file sizes (ulimit -f)."),
        ("[" * 10000, "contains files other than a world."),
        (json.dumps(["x" * 100000]), "contains files other than a world."),
        (json.dumps({"version": "x" * 100000}), "contains files other than a world."),
    ],
    ids=lambda value: value[:20],
)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_unusable_folders_are_one_sentence(tmp_path, what, message, num_workers):
    options = ("--height", 32, "--width", 64, "--frames", 9, "--num_workers", num_workers)
    command = [sys.executable, "tools/make_synthetic.py", "--out", _make(tmp_path, what), *map(str, options)]
    limit = _limit_files if what == "full disk" else None
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=limit)
    *_, last = done.stderr.splitlines()
    assert done.returncode == 2 and "Traceback" not in done.stderr and len(last) < 500
    assert last.startswith(f"error: {tmp_path / 'out'}") and message in last
    assert not [path for path in tmp_path.iterdir() if path.name != "out"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="requires Linux's /proc")
def test_kill_9_leaves_no_process_and_no_semaphore(tmp_path):
    """The processes are those of the session that the command leads."""
    shared = set(os.listdir("/dev/shm"))
    command = [sys.executable, "tools/make_synthetic.py", "--out", tmp_path / "world", "--num_workers", "2"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("*.jpg")):  # the workers are drawing
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert len(_session(process.pid)) >= 3
        process.kill()
    deadline = time.monotonic() + 10
    while left := _session(process.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    assert not [name for name in set(os.listdir("/dev/shm")) - shared if name.startswith("sem.mp-")]


def _session(leader: int) -> list[int]:
    """Return the ids of the running processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(session) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found
