"""Times the training step, compiled beside uncompiled, in turn in one run, and prints one line of JSON.

``python tools/benchmark.py --height 96 --width 320 --batch_size 4``: options as for train.py, and ``--repeat N``.
The step is forward, backward and update on random images; loading is not in it.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from environment import prepare_environment, run_script, set_device
from options import Options, parse_options

WARM_UP = 2


def main() -> None:
    """Parses the options and prints the result."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--repeat", type=int, default=7)
    own, others = parser.parse_known_args()
    opt = parse_options(others)
    prepare_environment()
    set_device(opt.device)
    print(json.dumps(benchmark_step(opt, own.repeat)))


def benchmark_step(opt: Options, repeat: int) -> dict:
    """Seconds for one training step: compiled, and uncompiled as the baseline."""
    import paddle

    steps = {mode: _make_step(opt, mode) for mode in ("off", "on")}
    seconds: dict[str, list[float]] = {mode: [] for mode in steps}
    for i in range(WARM_UP + repeat):
        for mode, step in steps.items():
            started = time.perf_counter()
            step()
            if i >= WARM_UP:
                seconds[mode].append(time.perf_counter() - started)
    medians = {mode: statistics.median(values) for mode, values in seconds.items()}
    return {
        "name": "step",
        "unit": "s",
        "median": round(medians["on"], 3),
        "min": round(min(seconds["on"]), 3),
        "max": round(max(seconds["on"]), 3),
        "baseline": "not compiled",
        "baseline_median": round(medians["off"], 3),
        "ratio": round(medians["on"] / medians["off"], 3),
        "batch_size": opt.batch_size,
        "size": f"{opt.width}x{opt.height}",
        "frames": list(opt.all_frames),
        "paddle": paddle.__version__,
        "device": paddle.get_device(),
        "machine": platform.processor() or platform.machine(),
    }


def _make_step(opt: Options, compile_mode: str):
    """A function that runs one step and waits for its loss."""
    import numpy as np
    import paddle

    from datasets.batch import prepare_batch
    from training.build import build_loss, build_model
    from training.step import TrainingStep

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

    model, compute_loss = build_model(opt), build_loss(opt)
    model.train()
    compute_loss.train()
    training_step = TrainingStep(model, compute_loss, compile_mode)
    optimizer = paddle.optimizer.Adam(opt.learning_rate, parameters=model.parameters())

    def step() -> float:
        """Forward, backward, update."""
        loss = training_step(prepare_batch(raw, opt.scales)).losses["loss"]
        loss.backward()
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)
        return loss.item()

    return step


if __name__ == "__main__":
    run_script(main)
