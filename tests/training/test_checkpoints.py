"""Checkpoints: which one is resumed, which are kept, and the check of free disk space."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from common.atomic_files import atomic_folder
from common.errors import UserError, WeightsError
from serialization.checkpoint import OPTIMIZER_FILE, OPTIONS_FILE, STATE_FILE
from serialization.manifest import write_manifest
from trainer import Trainer
from training.checkpoints import Checkpoints, check_space, find_checkpoint

FILES = (OPTIMIZER_FILE, STATE_FILE, OPTIONS_FILE)


def write(folder: Path) -> None:
    """Write a checkpoint with dummy files and a valid manifest."""
    with atomic_folder(folder) as temporary:
        for name in FILES:
            (temporary / name).write_text(f"{folder.name}/{name}")
        write_manifest(temporary)


@pytest.fixture
def run_dir(tmp_path):
    """A run with checkpoints of steps 2, 10 and 9."""
    checkpoints = Checkpoints(tmp_path, keep=9)
    for step in (2, 10, 9):
        checkpoints.save(step, write)
    return tmp_path


def names(run_dir: Path) -> set[str]:
    return {path.name for path in (run_dir / "checkpoints").iterdir()}


def test_the_newest_are_kept(run_dir):
    assert Checkpoints(run_dir, keep=9).steps() == [10, 9, 2]
    Checkpoints(run_dir, keep=2).save(11, write)
    assert names(run_dir) == {"step_10", "step_11"}


def test_a_failed_save_removes_nothing(run_dir):
    def fail(folder: Path) -> None:
        with atomic_folder(folder) as temporary:
            (temporary / STATE_FILE).touch()
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"step_11 cannot be written: No space left on device"):
        Checkpoints(run_dir, keep=1).save(11, fail)
    assert names(run_dir) == {"step_2", "step_9", "step_10"}


def test_leftovers_of_a_killed_process_are_removed_and_not_listed(run_dir):
    (run_dir / "checkpoints" / ".step_12.tmp").mkdir()
    assert Checkpoints(run_dir, 1).steps() == [10, 9, 2]
    Checkpoints(run_dir, 1).clear_leftovers()
    assert names(run_dir) == {"step_2", "step_9", "step_10"}


def test_a_checkpoint_being_replaced_when_the_process_was_killed_is_found(run_dir):
    folder = run_dir / "checkpoints"
    (folder / "step_10").rename(folder / ".step_10.old")
    assert find_checkpoint("auto", run_dir) == folder / ".step_10.old"
    Checkpoints(run_dir, keep=1).save(11, write)
    assert names(run_dir) == {"step_11"}


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "no manifest", "manifest cut"])
def test_auto_skips_damaged_checkpoints(run_dir, capsys, damage):
    newest = run_dir / "checkpoints" / "step_10"
    content = (newest / STATE_FILE).read_text()
    if damage == "cut":
        (newest / STATE_FILE).write_text(content[:-1])
    elif damage == "changed":
        (newest / STATE_FILE).write_text("X" + content[1:])
    elif damage == "missing":
        (newest / OPTIMIZER_FILE).unlink()
    elif damage == "no manifest":
        (newest / "manifest.json").unlink()
    else:
        (newest / "manifest.json").write_text("{")
    assert find_checkpoint("auto", run_dir) == run_dir / "checkpoints" / "step_9"
    assert "step_10" in capsys.readouterr().out
    with pytest.raises(WeightsError, match="step_10"):
        find_checkpoint(str(newest), run_dir)


def test_a_run_with_only_damaged_checkpoints_does_not_start_over(run_dir):
    for path in (run_dir / "checkpoints").glob("*/state.json"):
        path.unlink()
    with pytest.raises(WeightsError, match="all 3 checkpoints"):
        find_checkpoint("auto", run_dir)


def test_resume_accepts_a_run_a_checkpoint_or_auto(run_dir, tmp_path):
    empty = tmp_path / "another"
    assert find_checkpoint(str(run_dir), empty) == run_dir / "checkpoints" / "step_10"
    assert find_checkpoint(str(run_dir / "checkpoints" / "step_2"), empty) == run_dir / "checkpoints" / "step_2"
    assert find_checkpoint("auto", empty) is None and find_checkpoint(None, empty) is None
    for wrong, words in ((empty, "not found"), (run_dir / "checkpoints", "no checkpoint")):
        with pytest.raises(WeightsError, match=words):
            find_checkpoint(str(wrong), empty)


def test_resume_of_a_folder_within_a_run_names_the_run_and_the_weights(run_dir, tmp_path):
    weights = run_dir / "models" / "weights_best"
    released = tmp_path / "deeper" / "than" / "released"
    for folder in (weights, released):
        folder.mkdir(parents=True)
        (folder / "weights.json").write_text("{}")
    run, load = f" --resume {run_dir}.", "--load_weights_folder"
    for folder, expected, absent in (
        (weights, (run, f"{load} {weights}."), ()),
        (run_dir / "models", (run,), (load,)),
        (released, (f"{load} {released}.",), (run,)),
        (tmp_path / "deeper", (), (load,)),
    ):
        with pytest.raises(WeightsError) as caught:
            find_checkpoint(str(folder), tmp_path / "new")
        assert all(words in str(caught.value) for words in expected)
        assert not any(words in str(caught.value) for words in absent)


def test_a_weights_folder_is_not_a_checkpoint(run_dir):
    folder = run_dir / "checkpoints" / "step_10"
    (folder / OPTIMIZER_FILE).unlink()
    write_manifest(folder)
    with pytest.raises(WeightsError, match=r"cannot be resumed: .* no optimizer\.pdopt.*--load_weights_folder"):
        find_checkpoint(str(folder), run_dir)


def test_too_little_disk_space_is_reported_before_training(tiny_options, monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    trainer = Trainer.from_options(tiny_options(max_steps=1, keep_checkpoints=2))
    parameters = sum(p.size for p in trainer.model.parameters())
    # Adam has two moments per parameter, so a checkpoint has three times the size of the weights; two are kept while a
    # third is written.
    least = 4 * parameters * 3 * 3
    for free, enough in ((least, False), (2 * least, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(10 * least, 0, free))
        if enough:
            trainer.train()
            assert trainer.step == 1
        else:
            with pytest.raises(UserError, match=r"0\.\d GB .* 0\.\d GB free"):
                trainer.train()
            assert trainer.step == 0
    with pytest.raises(UserError, match=r"1000\.0 GB .* --keep_checkpoints"):
        check_space(tmp_path, 1e12)
