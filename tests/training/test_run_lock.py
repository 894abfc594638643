"""Two runs never share a folder, and a folder that disappears ends its run."""

import shutil

import pytest

from common.errors import UserError
from trainer import Trainer
from training.run_lock import LOCK_FILE, lock_run

IN_USE = r"in use: another run trains there \(process \d+ on host .*--model_name"


def test_a_second_run_is_refused_at_once(tiny_options, run, tmp_path):
    run_dir = run(max_steps=1, model_name="run").opt.run_dir
    with lock_run(run_dir):
        for resume in (None, "auto"):
            with pytest.raises(UserError, match=IN_USE):
                Trainer.from_options(tiny_options(max_steps=2, model_name="run", resume=resume))
        # A checkpoint of another folder: the run's own folder counts, not the one it is resumed from.
        with pytest.raises(UserError, match=IN_USE):
            Trainer.from_options(
                tiny_options(max_steps=2, model_name="run", resume=str(run_dir / "checkpoints/step_1"))
            )
        run(max_steps=2, model_name="copy", resume=str(run_dir))
    assert run(max_steps=2, model_name="run", resume="auto").step == 2


def test_a_run_that_started_meanwhile_is_not_overwritten(tiny_options, run):
    late = Trainer.from_options(tiny_options(max_steps=1))
    with lock_run(late.opt.run_dir), pytest.raises(UserError, match=IN_USE):
        late.train()
    run(max_steps=1)
    with pytest.raises(UserError, match=r"another run has saved checkpoints up to step 1 .* meanwhile"):
        late.train()
    assert late.step == 0


def test_a_deleted_folder_ends_the_run_with_a_checkpoint(tiny_options, monkeypatch):
    trainer = Trainer.from_options(tiny_options(max_steps=6, checkpoint_frequency=2))
    run_dir, run_step = trainer.opt.run_dir, trainer._run_step

    def delete_at_step_2(raw):
        if trainer.step == 2:
            assert (run_dir / LOCK_FILE).is_file()
            shutil.rmtree(run_dir)
        return run_step(raw)

    monkeypatch.setattr(trainer, "_run_step", delete_at_step_2)
    with pytest.raises(UserError, match=r"(?s)was deleted or moved during training.*--resume \S+step_4"):
        trainer.train()
    assert trainer.step == 4
    resumed = Trainer.from_options(tiny_options(max_steps=6, resume="auto"))
    resumed.train()
    assert resumed.step == 6
