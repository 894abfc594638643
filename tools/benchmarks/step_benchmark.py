"""Benchmark of a training step (forward, backward, update) on random images; data loading is not timed.

The baselines are a plain port of the published code (``plain_port``: dynamic graph, no MKL setting for AMD processors,
no C++ operators) and, where PyTorch is installed, the same step in PyTorch (``torch_step``). Each runs in its own
process, which gives it its own peak memory; they take steps in alternation.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.environment import prepare_environment, run_script, set_device
from common.errors import UserError
from common.option_types import checked_mapping
from options import OPTION_FIELDS, Options

ROOT = Path(__file__).resolve().parents[2]


BASELINES = {"plain": "plain port", "torch": "PyTorch, eager"}


def run(opt: Options, repeat: int) -> Iterator[dict]:
    """Yield a result line for each baseline."""
    from tools.benchmarks.measure import result_line, time_in_turn

    kinds = ["ours", "plain", *(["torch"] if torch_can_run(opt) else [])]
    runners = {kind: StepProcess(kind, opt) for kind in kinds}
    try:
        seconds = time_in_turn({kind: runner.step for kind, runner in runners.items()}, repeat)
        peaks = {kind: runner.end()["peak_memory_mb"] for kind, runner in runners.items()}
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


class StepProcess:
    """A process that runs a training step on request.

    Args:
        kind: "ours", or one of ``BASELINES``.
        opt: Options of the training step.

    Raises:
        UserError: The process exited unexpectedly.
    """

    def __init__(self, kind: str, opt: Options) -> None:
        environment = dict(os.environ)
        if kind == "plain":
            environment["MKL_DEBUG_CPU_TYPE"] = ""  # acts as unset, and prepare_environment does not override it
        command = [sys.executable, "-m", "tools.benchmarks.step_benchmark", kind, json.dumps(opt.as_dict())]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._ask("")

    def step(self) -> None:
        """Run one training step."""
        self._ask("step")

    def end(self) -> dict[str, Any]:
        """Stop the process and return its statistics (``peak_memory_mb``)."""
        return json.loads(self._ask("end"))

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, question: str) -> str:
        if question:
            print(question, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("answer: "):
                return line.removeprefix("answer: ")
        raise UserError("A benchmark process exited unexpectedly. Its error message is above.")


def make_step(kind: str, opt: Options) -> Callable[[], float]:
    """Return a function that runs one training step and returns its loss."""
    if kind == "torch":
        import torch

        from tools.benchmarks.torch_step import TorchStep

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        return TorchStep(random_batch(opt), opt.source_frames, opt.scales, opt.learning_rate)

    import paddle

    from datasets.batch import prepare_batch
    from layers.kernels.ops import use_kernels
    from tools.benchmarks.plain_port import PlainLoss
    from training.forward_pass import ForwardPass
    from training.setup import STEPS_WORTH_COMPILING, build_loss, build_model, compile_mode

    kernels_on = use_kernels("off" if kind == "plain" else opt.kernels)
    paddle.seed(opt.seed)
    raw = random_batch(opt)
    model = build_model(opt)
    model.train()
    optimizer = paddle.optimizer.Adam(opt.learning_rate, parameters=model.parameters())
    if kind == "plain":
        plain_loss = PlainLoss(opt.source_frames, opt.scales)
    else:
        compute_loss = build_loss(opt)
        compute_loss.train()
        mode = compile_mode(opt, STEPS_WORTH_COMPILING, kernels_on, None)
        forward_pass = ForwardPass(model, compute_loss, mode)

    def step() -> float:
        batch = prepare_batch(raw, opt.scales, opt.v1_multiscale)
        loss = plain_loss(batch, model(batch)) if kind == "plain" else forward_pass(batch).losses["loss"]
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
    """Run a training step for each line "step" on stdin, until "end"."""
    from tools.benchmarks.measure import peak_memory_mb

    kind, options = arguments
    opt = Options(**checked_mapping(OPTION_FIELDS, json.loads(options), "the benchmark's options"))
    prepare_environment()
    if kind != "torch":  # a process has either framework
        set_device(opt.device)
    step = make_step(kind, opt)
    print("answer: ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            break
        step()
        print("answer: done", flush=True)
    print("answer:", json.dumps({"peak_memory_mb": peak_memory_mb()}), flush=True)


if __name__ == "__main__":
    run_script(lambda: serve(sys.argv[1:]))
