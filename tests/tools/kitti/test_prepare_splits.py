"""Test the command with the published lists, from a folder and from a server."""

import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import DataError
from datasets.splits import PUBLISHED_SPLITS, find_split, read_split_lines

ROOT = Path(__file__).resolve().parents[3]
DAY = "2011_09_26"
DRIVE = f"{DAY}/{DAY}_drive_0001_sync"


def _run(*arguments, status=0):
    command = [sys.executable, ROOT / "tools/prepare_splits.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def _contents(folder, names):
    return {str(path.relative_to(folder)): path.read_bytes() for name in names for path in (folder / name).iterdir()}


def test_gets_all_published_lists_from_a_folder(shared_splits, tmp_path):
    printed = _run("--source", shared_splits, "--out", tmp_path / "splits")
    assert _contents(tmp_path / "splits", PUBLISHED_SPLITS) == _contents(shared_splits, PUBLISHED_SPLITS)
    assert "eigen_zhou: train_files.txt, val_files.txt" in printed
    assert _run("--source", tmp_path, "--out", tmp_path / "splits").count("already complete") == 6


def test_gets_published_lists_from_a_server(server, shared_splits, tmp_path, kit):
    """Include one interrupted connection and one transient server fault."""
    for name in ("eigen_zhou", "eigen"):
        (server.root / name).mkdir()
        for path in (shared_splits / name).iterdir():
            (server.root / name / path.name).write_bytes(path.read_bytes())
    server.faults["eigen_zhou/train_files.txt"] = [kit.cut_after(10_000)]
    options = ("--split", "eigen_zhou", "eigen", "--server", server.url, "--out", tmp_path)
    _run(*options)
    assert _contents(tmp_path, ("eigen_zhou", "eigen")) == _contents(shared_splits, ("eigen_zhou", "eigen"))

    (tmp_path / "eigen/test_files.txt").write_text("mine\n")
    assert "test_files.txt' differs from the published list" in _run(*options, status=2)
    (tmp_path / "eigen/test_files.txt").unlink()
    (server.root / "eigen/test_files.txt").write_bytes(b"404: Not Found")
    assert "eigen/test_files.txt' differs from the published list" in _run(*options, status=2)
    (server.root / "eigen/test_files.txt").unlink()
    assert "eigen/test_files.txt: the server responded 404" in _run(*options, status=2)
    assert not list((tmp_path / "eigen").iterdir())


def test_generates_a_split_by_rule(tmp_path):
    for frame in range(62):
        for name in ("image_02/data/{}.jpg", "image_03/data/{}.jpg", "oxts/data/{}.txt"):
            path = tmp_path / DRIVE / name.format(f"{frame:010d}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("0 " * 8 + ("5" if frame else "0") + " 0" * 21)
    printed = _run("--make", "mine", "--data_path", tmp_path, "--val_share", "0.25", "--seed", 3)
    assert "90 lines for training, 30 for validation" in printed
    assert len(read_split_lines(find_split("mine", tmp_path), "train")) == 90
    assert "exists with other content" in _run("--make", "mine", "--data_path", tmp_path, status=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--make", "mine"), "Pass --data_path"),
        (("--make", "eigen", "--data_path", "."), "--make eigen: a published split has this name"),
        (("--make", "mine", "--data_path", "nowhere"), "no frames for training: 0 drives"),
        (("--make", "mine", "--data_path", ".", "--val_share", "1"), "--val_share: got 1.0, expected"),
        (("--make", "mine", "--split", "eigen"), "not allowed with"),
        (("--split", "eigen", "--data_path", "."), "--data_path is for --make"),
        (("--dataset", "make3d"), "--dataset make3d requires its tree. Pass --data_path"),
        (("--dataset", "make3d", "--data_path", "nowhere"), "nowhere/Test134 has no photos img-NAME.jpg"),
        (("--dataset", "kitti"), "invalid choice: 'kitti'"),
        (("--split", "egien"), "invalid choice: 'egien'"),
        (("--source", "nowhere", "--out", "nowhere"), "nowhere/eigen_zhou/train_files.txt' and"),
    ],
)
def test_errors_are_one_message(arguments, message):
    printed = _run(*arguments, status=2)
    assert printed.startswith("error: ") and message in printed


def test_missing_published_split_names_the_command_to_get_it(tmp_path, monkeypatch):
    import datasets.splits

    monkeypatch.setattr(datasets.splits, "REPOSITORY_SPLITS", tmp_path)
    with pytest.raises(DataError, match=r"python tools/prepare_splits\.py --split eigen_zhou$"):
        find_split("eigen_zhou", tmp_path)
    with pytest.raises(DataError, match=r"python tools/prepare_splits\.py --split NAME$"):
        find_split("mine", tmp_path)
