"""The watchdog: each simulated failure is detected, and none in recorded healthy runs."""

import json
from pathlib import Path

import numpy as np
import paddle
import pytest

from common.errors import TrainingError
from layers.self_supervised_loss import monodepth2_loss
from options import Options
from tools.synthetic.world import World, generate
from trainer import Trainer
from training.diagnostics import compute_diagnostics, disparity_signs, image_motion
from training.watchdog import FAILURE_MODES, FIRST_STEP, LOSS_FIRST_STEP, LOSS_PATIENCE, PATIENCE, Watchdog

HEALTHY_RUNS = json.loads((Path(__file__).parent / "healthy_runs.json").read_text())
RANGE = (0.1, 100.0)
SIZE = (64, 96)
ROAD = np.linspace(0.02, 0.3, SIZE[0] // 2)  # sigmoid output, from the horizon downwards


def street() -> np.ndarray:
    """Return the disparity (H, W) of sky, a road, and a car ahead."""
    disp = np.full(SIZE, 0.003)
    disp[SIZE[0] // 2 :] = ROAD[:, np.newaxis]
    disp[30:52, 40:56] = 0.2
    return disp


def turned(degrees: float) -> np.ndarray:
    """Return a transform (4, 4): rotation about the vertical axis, and 0.3 forward."""
    T, angle = np.eye(4), np.radians(degrees)
    T[0, [0, 2]], T[2, [0, 2]] = (np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))
    T[2, 3] = -0.3
    return T


def signs_of(disp=None, T=None, images=None) -> dict[str, float]:
    """Return the scalars that a step logs for a disparity (H, W), a motion (4, 4), and images of frames 0, -1 and 1."""
    random = np.random.default_rng(0)
    disp = street() if disp is None else disp
    T = turned(1) if T is None else T
    K = np.array([[60, 0, 48, 0], [0, 60, 32, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "float32")
    batch = {"K/0": tensor(K), "inv_K/0": tensor(np.linalg.inv(K))}
    for frame in (0, -1, 1):
        image = random.random((3, *SIZE)) if images is None else images[frame]
        batch[f"color/{frame}/0"] = tensor(image)
    outputs = {"disp/0": tensor(disp[np.newaxis])}
    outputs.update({f"T_target_to_source/{frame}": tensor(T) for frame in (-1, 1)})
    compute_loss = monodepth2_loss((-1, 1), (0,), min_depth=RANGE[0], max_depth=RANGE[1])
    losses, _ = compute_loss(batch, outputs)
    return {
        **{name: value.item() for name, value in losses.items()},
        **compute_diagnostics(batch, outputs, compute_loss),
    }


def tensor(array: np.ndarray) -> paddle.Tensor:
    return paddle.to_tensor(array[np.newaxis].astype("float32"))


def watch(logged, first_step=FIRST_STEP, spacing=50, **settings) -> list[str]:
    """Return all findings of a watchdog in a run that logs these scalars."""
    watchdog = Watchdog(**{"mode": "warn", "from_start": True, **settings})
    return [name for i, scalars in enumerate(logged) for name in watchdog.look(first_step + i * spacing, scalars)]


def static_video() -> dict[int, np.ndarray]:
    """Return three frames that differ only by camera noise."""
    random = np.random.default_rng(1)
    image = random.random((3, *SIZE))
    return {frame: image + 0.001 * random.standard_normal(image.shape) for frame in (0, -1, 1)}


def holed() -> np.ndarray:
    disp = street()
    disp[30:52, 40:56] = 0.0
    return disp


SEEDED = {
    "still_poses": lambda: signs_of(T=np.eye(4)),
    "constant_disparity": lambda: signs_of(disp=np.full(SIZE, 0.3)),
    "saturated_disparity": lambda: signs_of(disp=np.full(SIZE, 1e-5)),
    "auto_mask": lambda: signs_of(images=static_video()),
    "holes": lambda: signs_of(disp=holed()),
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_simulated_failure_is_reported_once_and_alone(name):
    assert watch([SEEDED[name]()] * (PATIENCE + 3)) == [name]


def test_a_loss_that_does_not_decrease_is_reported():
    healthy = signs_of()
    assert watch([healthy] * 60) == ["still_loss"]
    assert watch([healthy] * 60, from_start=False) == []
    falling = [{**healthy, "loss": 0.2 * 0.99**i} for i in range(60)]
    assert watch(falling) == []


def test_the_loss_has_time_to_decrease():
    steps = (LOSS_FIRST_STEP - 1) // 5
    assert watch([signs_of()] * steps, first_step=0, spacing=5) == []


def test_a_symptom_must_persist():
    ill, healthy = SEEDED["auto_mask"](), signs_of()
    assert watch([*[ill] * (PATIENCE - 1), healthy] * 3, from_start=False) == []


def test_training_without_sources_has_no_mask_to_watch():
    signs = signs_of()
    del signs["auto_mask"]
    assert watch([signs] * PATIENCE) == []


def test_untrained_networks_are_not_reported():
    flat = SEEDED["constant_disparity"]()
    assert watch([flat] * FIRST_STEP, first_step=0, spacing=1) == []


def test_off_reports_nothing():
    assert watch([SEEDED["holes"]()] * 2 * PATIENCE, mode="off") == []


@pytest.mark.parametrize("name", HEALTHY_RUNS)
def test_nothing_is_reported_in_a_healthy_run(name):
    """Recorded by train.py in the built-in world: with stereo pairs, and with videos (configs/own_camera)."""
    spacing, logged = HEALTHY_RUNS[name]["log_frequency"], HEALTHY_RUNS[name]["scalars"]
    assert len(logged["loss"]) >= PATIENCE + FIRST_STEP / spacing
    entries = [dict(zip(logged, values, strict=True)) for values in zip(*logged.values(), strict=True)]
    assert watch(entries, first_step=0, spacing=spacing) == []


def test_the_recorded_video_run_is_long_enough_for_every_failure_mode():
    logged = HEALTHY_RUNS["own_camera"]
    count = len(logged["scalars"]["loss"])
    assert count > LOSS_PATIENCE and count * logged["log_frequency"] > LOSS_FIRST_STEP
    assert "vital/motion" in logged["scalars"]


def test_every_failure_mode_has_a_cause_and_a_remedy():
    for mode in FAILURE_MODES.values():
        assert mode.title and mode.cause and mode.remedy


def test_disparity_signs_by_hand():
    disp = np.zeros((1, 20, 8))
    disp[0, 10:] = 0.5
    signs = disparity_signs(disp, scaled_disp=disp)
    # Half of the pixels are 0, half 0.5: mean and standard deviation are 0.25.
    assert signs == {"disparity": 0.25, "variation": 1.0, "saturated": 0.5, "holes": 0.0}
    disp[0, 15, 2:4] = 0.09  # below 1/5 of the row's median; 2 of the 7 * 8 pixels in the lower 0.35 of the image
    disp[0, 5, 0] = 0.001  # in the sky, which is not examined
    assert disparity_signs(disp, scaled_disp=disp)["holes"] == 2 / 56


def test_image_motion_by_hand():
    T = np.stack([np.eye(4), turned(2.0)])
    # 0.3 forward at an inverse depth of 0.5 and a focal length of 100 is 15 pixels, two degrees are 3.49 more.
    expected = (0 + 100 * np.radians(2) + 15) / 2
    assert image_motion(T, np.array([0.5, 0.5]), np.array([100.0, 100.0])) == pytest.approx(expected)


@pytest.fixture
def collapsing(monkeypatch):
    """Make the watchdog report a failure at every step."""
    monkeypatch.setattr(Watchdog, "look", lambda self, step, scalars: ["holes"] if self.mode != "off" else [])


def lines_of(trainer) -> list[dict]:
    return [json.loads(line) for line in (trainer.opt.run_dir / "scalars.jsonl").read_text().splitlines()]


def test_a_warning_is_printed_and_logged(run, collapsing, capsys):
    trainer = run(max_steps=1)
    printed = capsys.readouterr().out
    assert (
        f"Watchdog, step 0: {FAILURE_MODES['holes']}" in printed and "Likely cause" in printed and "Remedy" in printed
    )
    found = [line for line in lines_of(trainer) if line["part"] == "watchdog"]
    assert found == [{"part": "watchdog", "step": 0, "holes": str(FAILURE_MODES["holes"])}]
    logged = next(line for line in lines_of(trainer) if line["part"] == "train")
    assert {"vital/motion", "vital/variation", "vital/saturated", "vital/holes"} <= logged.keys()
    records = list((trainer.opt.run_dir / "visualdl" / "train").iterdir())
    assert any(b"watchdog/holes" in path.read_bytes() for path in records)


def test_stop_ends_the_run(run, collapsing):
    with pytest.raises(TrainingError, match=r"--watchdog stop: .* step 0: holes"):
        run(max_steps=3, watchdog="stop")


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_a_loss_that_is_not_finite_is_reported(tiny_options, capsys, mode):
    trainer = Trainer.from_options(tiny_options(max_steps=1, watchdog=mode))
    weight = trainer.model.depth.decoder[0].conv.conv.weight
    weight.set_value(paddle.full_like(weight, float("nan")))
    with pytest.raises(TrainingError, match="no longer finite"):
        trainer.train()
    logged = [line["step"] for line in lines_of(trainer) if line["part"] == "watchdog"]
    assert logged == ([0] if mode == "warn" else [])
    assert (str(FAILURE_MODES["not_finite"]) in capsys.readouterr().out) is (mode == "warn")


@pytest.mark.slow
def test_training_in_a_moving_and_in_a_static_world(tmp_path):
    world = tmp_path / "world"
    generate(World(height=64, width=96, frames=60, seed=3), world, num_workers=0)
    settings = {
        **{"data_path": str(world), "split": "synthetic", "dataset": "kitti_depth", "height": 64, "width": 96},
        **{"log_dir": str(tmp_path / "logs"), "num_workers": 0, "weights_init": "scratch", "device": "cpu"},
        **{"batch_size": 2, "learning_rate": 5e-4, "max_steps": 160, "num_epochs": 200, "save_frequency": 200},
        **{"log_frequency": 5, "keep_checkpoints": 1},
    }
    moving = Trainer.from_options(Options(**settings, model_name="moving", frame_ids=(0,), use_stereo=True))
    moving.train()
    assert [line for line in lines_of(moving) if line["part"] == "watchdog"] == []
    for images in world.glob("*/*/image_0*/data"):
        first, *others = sorted(images.iterdir())
        for path in others:
            path.write_bytes(first.read_bytes())
    still = Trainer.from_options(Options(**settings, model_name="still"))
    still.train()
    found = [name for line in lines_of(still) if line["part"] == "watchdog" for name in line]
    assert "auto_mask" in found
