"""The Trainer: saved weights, learning rate, failures, validation."""

import json

import numpy as np
import paddle
import pytest

import trainer as trainer_module
from common.errors import TrainingError, UserError
from options import Options
from trainer import Trainer
from training.setup import build_data
from training.validation import Validation, validate, validation_protocols


@pytest.fixture
def make_trainer(stereo_drive, tmp_path):
    """A function that returns a Trainer on the sample at 64x96, by default for one step."""

    def make(**changes) -> Trainer:
        settings = {
            **{"data_path": str(stereo_drive), "split": "kitti_sample", "log_dir": str(tmp_path)},
            **{"height": 64, "width": 96, "batch_size": 2, "num_workers": 0, "weights_init": "scratch"},
            **{"device": "cpu", "max_steps": 1, "use_stereo": True},
        }
        return Trainer.from_options(Options(**{**settings, **changes}))

    return make


@pytest.fixture
def unvalidated(monkeypatch):
    """Epochs end without a validation."""
    monkeypatch.setattr(trainer_module, "validate", lambda *_: Validation({"loss": 1.0}, 0, {}))


@pytest.fixture
def finish_epochs(monkeypatch, make_trainer):
    """A function that ends epochs with given validation metrics; returns the saved folders and the learning rates."""

    def finish(metrics, **changes):
        saved, rates = [], []
        monkeypatch.setattr("training.kept_weights.save_weights", lambda folder, *_: saved.append(folder.name))
        monkeypatch.setattr(trainer_module, "write_checkpoint", lambda *_: None)
        results = iter(metrics)
        scalars = lambda: {"loss": 1.0, "abs_rel": next(results)}  # noqa: E731
        monkeypatch.setattr(trainer_module, "validate", lambda *_: Validation(scalars(), 1, {}))
        trainer = make_trainer(max_steps=None, num_epochs=len(metrics), **changes)
        trainer.weights.folder.mkdir(parents=True)
        trainer.logger.open(0, 1)
        for epoch in range(len(metrics)):
            rates.append(trainer.optimizer.get_lr())
            trainer.samples_done = len(trainer.train_loader) * trainer.global_batch_size
            trainer.step = (epoch + 1) * len(trainer.train_loader)
            trainer._finish_epoch()
        return saved, rates

    return finish


def test_learning_rate_decays_after_15_epochs_not_14(finish_epochs):
    _, rates = finish_epochs([1.0] * 17)
    np.testing.assert_allclose(rates, [1e-4] * 15 + [1e-5] * 2)


def test_best_weights_have_the_lowest_metric(finish_epochs):
    saved, _ = finish_epochs([0.5, 0.6, 0.4, float("nan")])
    best = "weights_best"
    assert saved == [best, "weights_0", "weights_1", best, "weights_2", "weights_3"]


def test_save_frequency_counts_epochs_and_the_last_is_always_saved(finish_epochs):
    saved, _ = finish_epochs([0.5, 0.6, 0.6, 0.6, 0.6], save_frequency=2)
    assert saved == ["weights_best", "weights_1", "weights_3", "weights_4"]


def test_a_non_finite_loss_ends_the_run_and_names_the_batch(make_trainer):
    trainer = make_trainer(max_steps=3)
    run = trainer.forward_pass

    def fail_at_step_1(batch):
        result = run(batch)
        if trainer.step == 1:
            result.losses["loss"] = result.losses["loss"] * float("nan")
            fail_at_step_1.names = batch["name"]
        return result

    trainer.forward_pass = fail_at_step_1
    with pytest.raises(TrainingError) as error:
        trainer.train()
    for name in fail_at_step_1.names:
        folder, frame, side = name.split()
        assert f"{folder}/image_0{2 if side == 'l' else 3}/data/{int(frame):010d}.jpg" in str(error.value)
    kept = trainer.weights.folder / "weights_last_good"
    assert str(kept) in str(error.value) and (kept / "encoder.pdparams").is_file()


def test_weights_that_are_no_longer_finite_are_not_saved(make_trainer):
    trainer = make_trainer(max_steps=3)
    weight = trainer.model.depth.decoder[0].conv.conv.weight
    weight.set_value(paddle.full_like(weight, float("nan")))
    with pytest.raises(TrainingError, match="no longer finite"):
        trainer.train()
    assert not (trainer.weights.folder / "weights_last_good").exists()


@pytest.mark.usefixtures("unvalidated")
@pytest.mark.parametrize("freeze_bn", [False, True])
def test_freeze_bn_keeps_the_running_statistics(make_trainer, freeze_bn):
    trainer = make_trainer(freeze_bn=freeze_bn)
    mean = trainer.model.encoder.encoder.bn1._mean
    before = mean.numpy().copy()
    trainer.train()
    assert np.array_equal(mean.numpy(), before) is freeze_bn


@pytest.mark.usefixtures("unvalidated")
def test_the_same_seed_gives_the_same_weights(make_trainer, tmp_path):
    def weights(name, seed):
        trainer = make_trainer(model_name=name, seed=seed)
        trainer.train()
        return trainer.model.encoder.encoder.conv1.weight.numpy()

    first, again, other = weights("a", 1), weights("b", 1), weights("c", 2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_folder_that_cannot_be_written_is_reported_before_the_first_step(make_trainer, tmp_path):
    (tmp_path / "file").write_text("in the way")
    trainer = make_trainer(log_dir=str(tmp_path / "file"))
    with pytest.raises(UserError, match="--log_dir"):
        trainer.train()
    assert trainer.step == 0


@pytest.mark.usefixtures("unvalidated")
def test_options_are_saved_with_their_final_values(make_trainer):
    trainer = make_trainer()
    trainer.train()
    saved = json.loads((trainer.weights.folder / "opt.json").read_text())
    assert saved == trainer.opt.as_dict()


def test_validation_covers_the_whole_split_for_any_batch_size(make_trainer):
    trainer = make_trainer()
    results = []
    for batch_size in (1, 5):
        loader = build_data(trainer.opt.replace(batch_size=batch_size), "val")
        results.append(validate(trainer.model, trainer.compute_loss, loader, validation_protocols(trainer.opt)))
    dataset = loader.dataset
    with_lidar = sum(dataset.ground_truth(line) is not None for line in dataset.lines)
    assert results[0].depth_frames == results[1].depth_frames == with_lidar
    if not with_lidar:
        pytest.skip("this set's validation frames have no lidar")
    assert results[0].scalars.keys() == results[1].scalars.keys()
    for name, value in results[0].scalars.items():
        assert results[1].scalars[name] == pytest.approx(value, rel=1e-3), name
    assert results[0].selection_metric == results[0].scalars["abs_rel"]
    assert {"stereo/abs_rel", "loss/3", "source/s"} <= results[0].scalars.keys()


def test_without_ground_truth_the_loss_selects_the_best_weights():
    assert Validation({"loss": 0.1}, 0, {}).selection_metric == 0.1
