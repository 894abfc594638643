"""Benchmark of a training step (forward, backward, update) on random images; data loading is not timed.

The baselines are a plain port of the published code (``plain_port``: dynamic graph, no MKL setting for AMD processors,
no C++ operators) and, where PyTorch is installed, the same step in PyTorch (``torch_step``). Each runs in its own
process, which gives it its own peak memory; they take steps in alternation.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from common.environment import prepare_environment, run_script, set_device
from common.option_types import checked_mapping
from options import OPTION_FIELDS, Options
from tools.benchmarks.step_process import StepProcess, answer_questions

BASELINES = {"plain": "plain port", "torch": "PyTorch, eager"}


def run(opt: Options, repeat: int) -> Iterator[dict]:
    """Yield a result line for each baseline."""
    from tools.benchmarks.measure import result_line, time_in_turn

    kinds = ["ours", "plain", *(["torch"] if torch_can_run(opt) else [])]
    runners = {kind: _start(kind, opt) for kind in kinds}
    try:
        seconds = time_in_turn({kind: partial(runner.ask, "step") for kind, runner in runners.items()}, repeat)
        peaks = {kind: runner.ask("peak_memory_mb") for kind, runner in runners.items()}
    finally:
        for runner in runners.values():
            runner.close()
    for kind in kinds[1:]:
        line = result_line(
            "step" if kind == "plain" else f"step_{kind}",
            "s/step",
            seconds["ours"],
            baseline=BASELINES[kind],
            baseline_seconds=seconds[kind],
            batch_size=opt.batch_size,
            size=f"{opt.width}x{opt.height}",
            frames=list(opt.all_frames),
            compile=opt.compile,
            kernels=opt.kernels,
            baseline_peak_memory_mb=peaks[kind],
        )
        yield {**line, "peak_memory_mb": peaks["ours"]}


def torch_can_run(opt: Options) -> bool:
    """Return whether PyTorch is installed, and ``torch_step`` implements the networks and the loss of the options."""
    groups = {OPTION_FIELDS[name].metadata["group"] for name in ("depth_network", "no_ssim")}
    fixed = [name for name, field in OPTION_FIELDS.items() if field.metadata["group"] in groups and name != "scales"]
    is_same = all(getattr(opt, name) == OPTION_FIELDS[name].default for name in fixed)
    return is_same and importlib.util.find_spec("torch") is not None


def _start(kind: str, opt: Options) -> StepProcess:
    # Empty acts as unset, and prepare_environment does not override it.
    environment = {"MKL_DEBUG_CPU_TYPE": ""} if kind == "plain" else {}
    return StepProcess("tools.benchmarks.step_benchmark", [kind, json.dumps(opt.as_dict())], environment)


def make_step(kind: str, opt: Options) -> Callable[[], float]:
    """Return a function that runs one training step and returns its loss."""
    if kind == "torch":
        import torch

        from tools.benchmarks.torch_step import TorchStep

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        return TorchStep(random_batch(opt), opt.source_frames, opt.scales, opt.learning_rate)

    raw = random_batch(opt)
    if kind == "ours":
        from tools.benchmarks.our_step import OurStep

        return partial(OurStep(opt), raw)

    import paddle

    from datasets.batch import prepare_batch
    from layers.kernels.ops import use_kernels
    from tools.benchmarks.plain_port import PlainLoss
    from training.setup import build_model

    use_kernels("off")
    paddle.seed(opt.seed)
    model = build_model(opt)
    model.train()
    optimizer = paddle.optimizer.Adam(opt.learning_rate, parameters=model.parameters())
    plain_loss = PlainLoss(opt.source_frames, opt.scales)

    def step() -> float:
        batch = prepare_batch(raw, opt.scales, opt.v1_multiscale)
        loss = plain_loss(batch, model(batch))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)
        return loss.item()

    return step


def random_batch(opt: Options) -> dict:
    """Return a random batch in the loader's format."""
    random = np.random.default_rng(0)
    shape = (opt.batch_size, 3, opt.height, opt.width)
    K = np.eye(4, dtype=np.float32)
    K[:2, :3] = [[0.58 * opt.width, 0, 0.5 * opt.width], [0, 1.92 * opt.height, 0.5 * opt.height]]
    raw = {}
    for f in opt.all_frames:
        raw[f"color/{f}/0"] = raw[f"color_aug/{f}/0"] = random.integers(0, 256, shape, dtype=np.uint8)
    for scale in opt.scales:
        scaled = np.diag([0.5**scale, 0.5**scale, 1, 1]).astype(np.float32) @ K
        raw[f"K/{scale}"] = np.stack([scaled] * opt.batch_size)
        raw[f"inv_K/{scale}"] = np.linalg.inv(raw[f"K/{scale}"])
    if opt.use_stereo:
        raw["stereo_T"] = np.stack([np.eye(4, dtype=np.float32)] * opt.batch_size)
        raw["stereo_T"][:, 0, 3] = -0.1
    return raw


def serve(arguments: Sequence[str]) -> None:
    """Run a training step for each question "step" on stdin."""
    from tools.benchmarks.measure import peak_memory_mb

    kind, options = arguments
    opt = Options(**checked_mapping(OPTION_FIELDS, json.loads(options), "the benchmark's options"))
    prepare_environment()
    if kind != "torch":  # a process has either framework
        set_device(opt.device)
    answer_questions(lambda: {"step": make_step(kind, opt), "peak_memory_mb": peak_memory_mb})


if __name__ == "__main__":
    run_script(lambda: serve(sys.argv[1:]))
