"""A training step on random images, forward, backward and update; loading is not in it.

The baseline is the same step uncompiled.
"""

from collections.abc import Callable, Iterator

import numpy as np
import paddle

from datasets.batch import prepare_batch
from options import Options
from tools.benchmarks.measure import result_line, time_in_turn
from training.build import build_loss, build_model
from training.step import TrainingStep


def run(opt: Options, repeat: int) -> Iterator[dict]:
    """Yields the line."""
    steps = {"baseline": make_step(opt, "off"), "ours": make_step(opt, "on")}
    seconds = time_in_turn(steps, repeat)
    yield result_line(
        "step",
        "s/step",
        seconds["ours"],
        baseline="not compiled",
        baseline_seconds=seconds["baseline"],
        batch_size=opt.batch_size,
        size=f"{opt.width}x{opt.height}",
        frames=list(opt.all_frames),
    )


def make_step(opt: Options, compile_mode: str) -> Callable[[], float]:
    """A function that runs one step and waits for its loss."""
    raw = _random_batch(opt)
    model, compute_loss = build_model(opt), build_loss(opt)
    model.train()
    compute_loss.train()
    training_step = TrainingStep(model, compute_loss, compile_mode)
    optimizer = paddle.optimizer.Adam(opt.learning_rate, parameters=model.parameters())

    def step() -> float:
        loss = training_step(prepare_batch(raw, opt.scales, opt.v1_multiscale)).losses["loss"]
        loss.backward()
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)
        return loss.item()

    return step


def _random_batch(opt: Options) -> dict:
    """A batch as the loader gives it."""
    random = np.random.default_rng(0)
    shape = (opt.batch_size, 3, opt.height, opt.width)
    K = np.eye(4, dtype=np.float32)
    K[:2, :3] = [[0.58 * opt.width, 0, 0.5 * opt.width], [0, 1.92 * opt.height, 0.5 * opt.height]]
    raw = {}
    for f in opt.all_frames:
        raw["color", f, 0] = raw["color_aug", f, 0] = random.integers(0, 256, shape, dtype=np.uint8)
    for scale in opt.scales:
        scaled = np.diag([0.5**scale, 0.5**scale, 1, 1]).astype(np.float32) @ K
        raw["K", scale] = np.stack([scaled] * opt.batch_size)
        raw["inv_K", scale] = np.linalg.inv(raw["K", scale])
    if opt.use_stereo:
        raw["stereo_T"] = np.stack([np.eye(4, dtype=np.float32)] * opt.batch_size)
        raw["stereo_T"][:, 0, 3] = -0.1
    return raw
