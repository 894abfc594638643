"""A resumed run is bit-exact; options and data that may differ, and those that must not."""

import json
import re
import signal
from contextlib import nullcontext
from pathlib import Path

import pytest
from paddle import nn

from common import registry
from common.errors import DataError, OptionsError, OutputError, Stopped, UserError, WeightsError
from layers.drop_path import DropPath
from networks.depth_decoder import DepthDecoder
from networks.resnet_encoder import ResnetEncoder
from options import OPTION_FIELDS
from serialization.manifest import write_manifest
from serialization.weights_folder import load_weights
from trainer import Trainer
from training.checkpoints import find_checkpoint
from training.resume import MAY_CHANGE, resumed_options
from training.validation import validate, validation_protocols


def contents(run_dir: Path, checkpoint: str) -> dict[str, bytes]:
    """Return all results of a run: weights, moments, state and log."""
    files = [*(run_dir / "models").glob("*/*.pdparams"), *(run_dir / "checkpoints" / checkpoint).glob("*.pd*")]
    state = json.loads((run_dir / "checkpoints" / checkpoint / "state.json").read_text())
    state.pop("seconds")
    log = [json.loads(line) for line in (run_dir / "scalars.jsonl").read_text().splitlines()]
    # VisualDL's files contain times, and are left out.
    return {
        **{str(path.relative_to(run_dir)): path.read_bytes() for path in files},
        **{"state": json.dumps(state).encode(), "log": json.dumps(log).encode()},
    }


def assert_same_run(first: Path, second: Path, checkpoint: str) -> None:
    expected, got = contents(first, checkpoint), contents(second, checkpoint)
    assert got.keys() == expected.keys()
    assert [name for name in expected if got[name] != expected[name]] == []


@pytest.mark.parametrize("when", ["step", "validation"])
def test_a_closed_output_loses_nothing(uninterrupted_run, tiny_options, run, tmp_path, monkeypatch, when):
    """An epoch has six steps: the output closes at the third loss, or at the result of the first validation."""
    common = {"model_name": "closed", "max_steps": 7, "batch_size": 2}
    trainer = Trainer.from_options(tiny_options(checkpoint_frequency=100, **common))
    report = getattr(trainer.logger, when)

    def fail(step, *arguments):
        report(step, *arguments)
        if step >= 2:
            raise OutputError("the program that read the output has ended.")

    monkeypatch.setattr(trainer.logger, when, fail)
    with pytest.raises(OutputError, match=r"(?s)has ended.*To resume: python train.py --resume \S+") as caught:
        trainer.train()
    assert str(caught.value).endswith("step_3" if when == "step" else "step_6")
    run(resume="auto", **common)
    assert_same_run(uninterrupted_run, tmp_path / "closed", "step_7")


@pytest.mark.slow  # the tests of the recipe and of the cache are shorter
@pytest.mark.parametrize(("use_stereo", "num_workers"), [(True, 2), (False, 0), (False, 2), (True, 0)])
def test_20_steps_equal_10_and_10(run, tmp_path, use_stereo, num_workers):
    """An epoch has 12 steps: the first half ends within the first epoch, the whole run within the second."""
    common = {"use_stereo": use_stereo, "num_workers": num_workers, "scheduler_step_size": 1}
    common["pose_model_type"] = "separate_resnet"
    run(model_name="whole", max_steps=20, **common)
    run(model_name="halves", max_steps=10, **common)
    trainer = run(model_name="halves", max_steps=20, resume="auto", **common)
    assert trainer.step == 20
    assert_same_run(tmp_path / "whole", tmp_path / "halves", "step_20")


RECIPE = {
    **{"optimizer": "adamw", "weight_decay": 0.05, "lr_schedule": "cosine", "min_learning_rate": 1e-5},
    **{"warmup_epochs": 0.75, "pose_learning_rate": 3e-4, "drop_path": 0.5, "ema_decay": 0.9, "num_epochs": 2},
    "corrupt_training": 0.5,
}


class DroppingEncoder(ResnetEncoder):
    """A ResNet18 that drops half of each sample's coarsest features."""

    def __init__(self) -> None:
        super().__init__(18)
        self.paths = nn.LayerList([DropPath(), DropPath()])

    def forward(self, images):
        """Drop from the coarsest features."""
        *fine, coarse = super().forward(images)
        return [*fine, coarse + self.paths[1](coarse)]


def build_dropping_network(name, scales):
    encoder = DroppingEncoder()
    return encoder, DepthDecoder(encoder.num_ch_enc, scales, strides=encoder.strides)


@pytest.fixture
def dropping(monkeypatch):
    """A depth network with stochastic depth, by its name."""
    monkeypatch.setitem(registry.DEPTH_NETWORKS, "dropping", build_dropping_network)
    return "dropping"


@pytest.mark.parametrize("compile_mode", ["off", pytest.param("on", marks=pytest.mark.slow)])
def test_every_part_of_the_recipe_resumes_exactly(dropping, run, tmp_path, compile_mode):
    """An epoch has six steps: the halves meet within the cosine of the first epoch, after 4.5 steps of warm-up."""
    common = {**RECIPE, "batch_size": 2, "depth_network": dropping, "compile": compile_mode}
    run(model_name="whole", max_steps=9, **common)
    run(model_name="halves", max_steps=5, **common)
    trainer = run(model_name="halves", max_steps=9, resume="auto", **common)
    assert_same_run(tmp_path / "whole", tmp_path / "halves", "step_9")
    log = [json.loads(line) for line in (tmp_path / "whole" / "scalars.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in log if line["part"] == "train"]
    rising = 1 + next(i for i in range(9) if rates[i + 1] < rates[i])
    assert rising == 5 and rates == sorted(rates[:rising]) + sorted(rates[rising:], reverse=True)
    validations = [line for line in log if line["part"] == "val"]
    assert all({"loss", "ema/loss", "abs_rel", "ema/abs_rel"} <= line.keys() for line in validations)
    models = trainer.weights.folder
    names = {f"weights_{epoch}{suffix}" for epoch in (0, 1, "best") for suffix in ("", "_ema")}
    assert {path.name for path in models.glob("weights_*")} == names
    own, averaged = (models / f"weights_1{suffix}" / "encoder.pdparams" for suffix in ("", "_ema"))
    assert own.read_bytes() != averaged.read_bytes()
    # The scores are those of the saved weights.
    last = {name: load_and_validate(trainer, models / f"weights_1{name}") for name in ("", "_ema")}
    assert validations[-1]["loss"] == last[""] != last["_ema"] == validations[-1]["ema/loss"]


def load_and_validate(trainer, folder) -> float:
    """Return the validation loss of saved weights."""
    load_weights(folder, trainer.model.networks(), trainer.model.networks())
    protocols = validation_protocols(trainer.opt)
    return validate(trainer.model, trainer.compute_loss, trainer.val_loader, protocols).scalars["loss"]


def test_the_best_average_is_restored(run):
    common = {"batch_size": 6, "ema_decay": 0.5}
    first = run(max_steps=4, **common)
    second = run(max_steps=4, resume="auto", **common)
    assert first.weights.best == second.weights.best and len(set(first.weights.best.values())) == 2


def test_a_cosine_keeps_its_number_of_epochs(tiny_options, tmp_path):
    for schedule, may_change in (("cosine", False), ("step", True)):
        checkpoint = tmp_path / schedule / "checkpoints" / "step_1"
        checkpoint.mkdir(parents=True)
        common = {"lr_schedule": schedule, "max_steps": 2}
        (checkpoint / "opt.json").write_text(json.dumps(tiny_options(num_epochs=4, **common).as_dict()))
        assert resumed_options(tiny_options(num_epochs=4, **common), checkpoint).max_steps == 2
        with nullcontext() if may_change else pytest.raises(OptionsError, match="num_epochs: 4 in the run, 5 now"):
            assert resumed_options(tiny_options(num_epochs=5, **common), checkpoint).num_epochs == 5


def test_folders_of_maps_may_move_but_neither_appear_nor_vanish(tiny_options, tmp_path):
    checkpoint = tmp_path / "run" / "checkpoints" / "step_1"
    checkpoint.mkdir(parents=True)
    for stored, now in (("masks", "moved"), ("masks", None), (None, "moved")):
        (checkpoint / "opt.json").write_text(json.dumps(tiny_options(mask_dir=stored).as_dict()))
        with nullcontext() if stored and now else pytest.raises(OptionsError, match=f"mask_dir: {stored!r} in the run"):
            assert resumed_options(tiny_options(mask_dir=now), checkpoint).mask_dir == now


def test_checkpoints_of_versions_without_averages_resume(run, tmp_path):
    """Their state has no best_ema, and their options lack those of the recipe."""
    run(model_name="whole", max_steps=2, batch_size=6)
    run(model_name="old", max_steps=1, batch_size=6)
    folder = tmp_path / "old" / "checkpoints" / "step_1"
    for name, missing in (("state.json", ["best_ema"]), ("opt.json", list(RECIPE.keys() - {"num_epochs"}))):
        content = json.loads((folder / name).read_text())
        for key in missing:
            del content[key]
        (folder / name).write_text(json.dumps(content))
    write_manifest(folder)
    run(model_name="old", max_steps=2, batch_size=6, resume="auto")
    assert_same_run(tmp_path / "whole", tmp_path / "old", "step_2")


@pytest.mark.slow
def test_a_compiled_run_resumes_compiled(run, tmp_path):
    run(model_name="whole", max_steps=2, compile="on")
    run(model_name="halves", max_steps=1, compile="on")
    # auto would not compile such a short run, but a resumed run keeps the mode.
    trainer = run(model_name="halves", max_steps=2, compile="auto", resume="auto")
    assert trainer.forward_pass.compiled
    assert_same_run(tmp_path / "whole", tmp_path / "halves", "step_2")


class StopAt:
    """Raise SIGTERM during a step or the validation."""

    def __init__(self, trainer: Trainer, monkeypatch, step: int, validating: bool) -> None:
        check = trainer.stop.check

        def check_and_stop() -> None:
            if trainer.step == step and (trainer.model.training is not validating):
                signal.raise_signal(signal.SIGTERM)
            check()

        monkeypatch.setattr(trainer.stop, "check", check_and_stop)


@pytest.mark.parametrize(
    ("step", "validating"),
    [
        pytest.param(2, False, id="step", marks=pytest.mark.slow),
        pytest.param(6, False, id="epoch", marks=pytest.mark.slow),
        pytest.param(6, True, id="validation"),
        pytest.param(7, True, id="end", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_resumes_exactly(uninterrupted_run, tiny_options, run, monkeypatch, tmp_path, step, validating):
    """An epoch has six steps at batch size 2."""
    trainer = Trainer.from_options(tiny_options(model_name="stopped", max_steps=7, batch_size=2))
    StopAt(trainer, monkeypatch, step, validating)
    with pytest.raises(Stopped) as stop:
        trainer.train()
    checkpoint = tmp_path / "stopped" / "checkpoints" / f"step_{step}"
    assert stop.value.signum == signal.SIGTERM and str(stop.value).endswith(f"--resume {checkpoint}")
    run(model_name="stopped", max_steps=7, batch_size=2, resume=str(checkpoint))
    assert_same_run(uninterrupted_run, tmp_path / "stopped", "step_7")


@pytest.mark.parametrize(("cache", "num_workers"), [("disk", 2), pytest.param("ram", 0, marks=pytest.mark.slow)])
def test_a_cache_does_not_change_results(uninterrupted_run, run, tmp_path, capsys, cache, num_workers):
    """Start without a cache and resume with one, which is allowed."""
    common = {"batch_size": 2, "num_workers": num_workers, "cache_dir": str(tmp_path / "cache")}
    run(model_name="cached", max_steps=2, **common)
    assert "frames to cache" not in capsys.readouterr().out and not (tmp_path / "cache").exists()
    trainer = run(model_name="cached", max_steps=7, cache=cache, resume="auto", **common)
    assert trainer.opt.cache == cache
    printed = capsys.readouterr().out
    for part in ("train", "val"):
        assert re.search(rf"^{part}: \d+ frames to cache in .* 0\.0 GB", printed, re.MULTILINE)
    assert re.search(r", loss \d\.\d{4}, data \d+%$", printed, re.MULTILINE)
    frames = len(list((tmp_path / "cache").rglob("*.frame")))
    assert (frames > 12) == (cache == "disk")
    assert_same_run(uninterrupted_run, tmp_path / "cached", "step_7")


def test_learning_rate_and_best_metric_are_restored(run):
    common = {"scheduler_step_size": 1, "batch_size": 6}  # two steps per epoch
    first = run(max_steps=2, **common)
    second = run(max_steps=4, resume="auto", **common)
    assert first.optimizer.get_lr() == pytest.approx(1e-5) and second.optimizer.get_lr() == pytest.approx(1e-6)
    assert second.weights.best[""] <= first.weights.best[""] < float("inf")


def test_resuming_a_finished_run_changes_nothing(run, tmp_path, capsys):
    run(max_steps=3, batch_size=4)
    before = contents(tmp_path / "monodepthv2", "step_3")
    trainer = run(max_steps=3, batch_size=4, resume="auto")
    assert trainer.step == 3 and "0 steps in" in capsys.readouterr().out
    assert contents(tmp_path / "monodepthv2", "step_3") == before


def test_finetuning_loads_only_the_weights_of_a_checkpoint(run, tmp_path):
    """A checkpoint is also a weights folder; learning rate, step and epoch are those of the new run."""
    run(max_steps=1, batch_size=12, scheduler_step_size=1, model_name="first")
    checkpoint = tmp_path / "first" / "checkpoints" / "step_1"
    trainer = run(model_name="second", load_weights_folder=str(checkpoint), learning_rate=3e-5, max_steps=1)
    first_line = json.loads((tmp_path / "second" / "scalars.jsonl").read_text().splitlines()[0])
    assert (first_line["step"], first_line["learning_rate"], trainer.step) == (0, 3e-5, 1)


def test_the_options_of_the_run_are_kept_and_contradictions_reported(run, tiny_options, tmp_path):
    run(max_steps=1, disparity_smoothness=0.01)
    bare = tiny_options().replace(resume=str(tmp_path / "monodepthv2"), disparity_smoothness=0.5, max_steps=2)
    object.__setattr__(bare, "explicitly_set", frozenset({"resume", "max_steps"}))
    trainer = Trainer.from_options(bare)
    assert (trainer.opt.disparity_smoothness, trainer.opt.max_steps, trainer.opt.height) == (0.01, 2, 64)
    with pytest.raises(OptionsError, match=r"learning_rate: 0\.0001 in the run, 0\.5 now"):
        Trainer.from_options(tiny_options(resume="auto", disparity_smoothness=0.01, learning_rate=0.5))


def test_options_that_affect_results_must_not_change():
    held = {n for n, f in OPTION_FIELDS.items() if f.metadata["group"] in ("networks", "loss", "ablations")}
    held |= {"seed", "height", "width", "batch_size", "learning_rate", "split", "frame_ids", "gt_depth"}
    assert not held & MAY_CHANGE


def test_a_moved_run_resumes_in_its_new_folder(run, tiny_options, tmp_path):
    run(max_steps=1)
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    (tmp_path / "monodepthv2").rename(moved)
    opt = tiny_options(resume=str(moved), max_steps=2)
    object.__setattr__(opt, "explicitly_set", opt.explicitly_set - {"log_dir"})
    Trainer.from_options(opt).train()
    assert (moved / "checkpoints" / "step_2").is_dir() and not (tmp_path / "monodepthv2").exists()


def test_changed_data_is_rejected(run, tiny_options, tiny_split, tmp_path):
    run(max_steps=1)
    shorter = tmp_path / "shorter"
    shorter.mkdir()
    for part in ("train", "val"):
        lines = (tiny_split / f"{part}_files.txt").read_text().splitlines()
        (shorter / f"{part}_files.txt").write_text("\n".join(lines[-10:]) + "\n")
    saved = tmp_path / "monodepthv2" / "checkpoints" / "step_1" / "opt.json"
    with pytest.raises(OptionsError, match="split: "):
        Trainer.from_options(tiny_options(resume="auto", split=str(shorter)))
    # Simulates lines dropped since the start because their images are missing.
    content = {**json.loads(saved.read_text()), "split": str(shorter)}
    saved.write_text(json.dumps(content))
    (saved.parent / "manifest.json").unlink()
    with pytest.raises(WeightsError, match=r"manifest\.json not found"):
        Trainer.from_options(tiny_options(resume=str(saved.parent), split=str(shorter)))
    write_manifest(saved.parent)
    with pytest.raises(DataError, match="10 usable training lines, but had 12"):
        Trainer.from_options(tiny_options(resume="auto", split=str(shorter)))


def test_a_new_run_does_not_overwrite_another(run, tmp_path):
    run(max_steps=1)
    with pytest.raises(UserError, match=r"up to step 1\).*--resume auto"):
        run(max_steps=1)
    for path in (tmp_path / "monodepthv2" / "checkpoints" / "step_1").iterdir():
        path.unlink()
    (tmp_path / "monodepthv2" / "checkpoints" / "step_1").rmdir()
    with pytest.raises(UserError, match=r"weights_0, weights_best\).*--model_name"):
        run(max_steps=1)
    assert find_checkpoint("auto", tmp_path / "monodepthv2") is None


def test_resuming_from_an_older_checkpoint_needs_a_new_run(run, tmp_path):
    run(max_steps=2, checkpoint_frequency=1, keep_checkpoints=2)
    older = str(tmp_path / "monodepthv2" / "checkpoints" / "step_1")
    with pytest.raises(UserError, match=r"newer than .*step_1 \(up to step 2\)"):
        run(max_steps=2, resume=older)
    assert run(max_steps=2, resume=older, model_name="branch").step == 2


def test_a_data_error_during_training_loses_no_step(tiny_options, run, monkeypatch, uninterrupted_run, tmp_path):
    trainer = Trainer.from_options(tiny_options(model_name="stopped", max_steps=7, batch_size=2))

    def break_at_the_third(batches):
        for i, batch in enumerate(batches):
            if i == 2:
                raise DataError("Image x.jpg cannot be read.")
            yield batch

    monkeypatch.setattr(trainer.metadata, "waiting", break_at_the_third)
    checkpoint = tmp_path / "stopped" / "checkpoints" / "step_2"
    with pytest.raises(DataError, match=rf"x\.jpg cannot be read\.\n.* --resume {checkpoint}"):
        trainer.train()
    run(model_name="stopped", max_steps=7, batch_size=2, resume=str(checkpoint))
    assert_same_run(uninterrupted_run, tmp_path / "stopped", "step_7")


@pytest.mark.slow
@pytest.mark.parametrize(("compile_mode", "num_workers"), [("off", 2), ("on", 0)])
def test_hints_labels_and_crops_resume_exactly(run, hints, tmp_path, compile_mode, num_workers):
    """An epoch has six steps: the weight of the labels changes in the second half."""
    common = {"batch_size": 2, "use_stereo": True, "separate_stereo": True, "depth_hints": hints, "crop_scale": 0.6}
    common |= {"crop_aspect": 1.2, "pseudo_labels": hints, "pseudo_label_late_weight": 0.01, "num_epochs": 2}
    common |= {"pseudo_label_late_epoch": 1, "ema_decay": 0.9, "compile": compile_mode, "num_workers": num_workers}
    run(model_name="whole", max_steps=8, **common)
    run(model_name="halves", max_steps=4, **common)
    run(model_name="halves", max_steps=8, resume="auto", **common)
    assert_same_run(tmp_path / "whole", tmp_path / "halves", "step_8")
    log = [json.loads(line) for line in (tmp_path / "whole" / "scalars.jsonl").read_text().splitlines()]
    assert any("hint_share" in str(entry) for entry in log) and any("pseudo_labels" in str(entry) for entry in log)
