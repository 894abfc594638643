"""Run this project and the original in lockstep, and score the same disparities with both."""

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from common.environment import cpu_threads
from common.errors import OptionsError
from common.progress import Progress
from options import OPTION_FIELDS, ROLES, Options
from tools.benchmarks.step_process import StepProcess
from tools.original.data import generate_world, lockstep_batches, score_with_both
from tools.original.sides import write_batch
from tools.original.verdict import Comparison

SECONDS_BETWEEN_LINES = 15.0
# Options with the same meaning in the original, by its name; None passes the option of the same name.
SHARED = {
    **dict.fromkeys(("height", "width", "batch_size", "scales", "frame_ids", "learning_rate")),
    **dict.fromkeys(("min_depth", "max_depth", "disparity_smoothness", "pose_model_type", "pose_model_input")),
    **dict.fromkeys(("use_stereo", "v1_multiscale", "avg_reprojection", "disable_automasking", "no_ssim")),
    "depth_network": "num_layers",
}
# Options of the groups below that do not change a step, or change how this project computes it.
_FREE = ("num_epochs", "max_steps", "scheduler_step_size", "kernels", "compile", "recompute", "distributed_timeout")
_GROUPS = ("networks", "loss", "ablations", "optimisation")


def check_options(opt: Options) -> None:
    """Check that the original has the options' networks, loss and optimizer.

    Raises:
        OptionsError: It does not.
    """
    for name, field in OPTION_FIELDS.items():
        if field.metadata["group"] not in _GROUPS or name in (*SHARED, *_FREE):
            continue
        if getattr(opt, name) != field.default:
            raise OptionsError(f"--{name} {getattr(opt, name)}: the original has no counterpart. Omit the option.")
    if not opt.depth_network.startswith("resnet"):
        raise OptionsError(
            f"--depth_network {opt.depth_network}: the original has ResNets only. Pass --depth_network resnet18."
        )
    if opt.device not in ("auto", "cpu"):
        raise OptionsError(f"--device {opt.device}: the comparison runs on the CPU. Pass --device cpu.")


def original_arguments(opt: Options) -> list[str]:
    """Return the command line of the original for the shared options."""
    arguments = ["--no_cuda", "--weights_init", "scratch"]
    for name, theirs in SHARED.items():
        value = getattr(opt, name)
        flag = f"--{theirs or name}"
        if isinstance(value, bool):
            arguments += [flag] * value
        elif name == "depth_network":
            arguments += [flag, value.removeprefix("resnet")]
        else:
            arguments += [flag, *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return arguments


def compare(opt: Options, checkout: Path, steps: int) -> Comparison:
    """Train both for some steps, and score the trained network's disparities with both.

    Args:
        opt: Options of the training; without ``data_path``, a small world is generated.
        checkout: Folder of the original.
        steps: Number of training steps.

    Raises:
        DataError: The checkout or the data cannot be used.
        OptionsError: The original has no counterpart of an option.
        UserError: One of the two failed.
    """
    check_options(opt)
    opt = opt.replace(device="cpu")
    with tempfile.TemporaryDirectory(prefix="compare_with_original_") as name, ExitStack() as stack:
        folder = Path(name)
        if "data_path" not in opt.explicitly_set:
            opt = generate_world(opt, folder / "world")
        batches = stack.enter_context(closing(lockstep_batches(opt)))
        first = next(batches)  # reports unusable data before the processes start
        sides, threads = _start_sides(opt, checkout, steps, folder, stack)
        losses, seconds = run_steps(sides, chain([first], batches), steps, folder / "batch.npz")
        ours, original = sides["ours"], sides["original"]
        trained = ours.ask("write_weights", str(folder / "trained"))
        return Comparison(
            losses=losses,
            seconds=seconds,
            peak_memory_mb={"ours": ours.ask("peak_memory_mb"), "original": original.ask("peak_memory_mb")},
            versions={"ours": ours.ask("version"), "original": original.ask("version")},
            threads=threads,
            scores=score_with_both(opt.replace(load_weights_folder=trained), original, folder),
        )


def _start_sides(
    opt: Options, checkout: Path, steps: int, folder: Path, stack: ExitStack
) -> tuple[dict[str, StepProcess], dict[str, int]]:
    """Start "ours", "original" and "repeated" from the same weights, which the original writes.

    Args:
        opt, checkout, steps: As in ``compare``.
        folder: Folder for the weights.
        stack: Closes the processes.

    Returns:
        The processes and their thread counts, by name.
    """
    most = cpu_threads()
    threads = {"ours": most, "original": most, "repeated": most // 2 if most > 1 else 2}
    arguments = original_arguments(opt)

    def start(name: str, kind: str, settings: Mapping[str, Any]) -> StepProcess:
        environment = {"OMP_NUM_THREADS": str(threads[name])}
        process = StepProcess("tools.original.sides", [kind, json.dumps(settings)], environment)
        return stack.enter_context(closing(process))

    def start_original(name: str, more: Sequence[str] = (), perturb: bool = False) -> StepProcess:
        settings = {"checkout": str(checkout.resolve()), "arguments": [*arguments, *more], "threads": threads[name]}
        return start(name, "original", {**settings, "seed": opt.seed, "perturb": perturb})

    original = start_original("original")
    weights = original.ask("write_weights", str(folder / "initial"))
    roles = [role for role in ROLES if (Path(weights) / f"{role}.pth").is_file()]
    loading = ["--load_weights_folder", weights, "--models_to_load", *roles]
    # Other threads alone change the rounding of few operations, with small images of none.
    repeated = start_original("repeated", loading, perturb=True)
    ours = start("ours", "ours", {"options": opt.as_dict(), "weights": weights, "total_steps": steps})
    return {"ours": ours, "original": original, "repeated": repeated}, threads


def run_steps(
    sides: Mapping[str, Any], batches: Iterable[Mapping[str, Any]], steps: int, batch_file: Path
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Run the steps of all sides in alternation, each on the same batch.

    Args:
        sides: Name -> ``StepProcess``, or anything with its ``ask``.
        batches: Batches in the loader's format, at least as many as steps.
        steps: Number of steps.
        batch_file: ``.npz`` file for the current batch.

    Returns:
        Name -> losses (steps,), and name -> seconds (steps,).
    """
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    progress = Progress(steps, "steps", SECONDS_BETWEEN_LINES)
    try:
        for batch in islice(batches, steps):
            write_batch(batch_file, batch)
            for name, side in sides.items():
                results[name].append(side.ask("step", str(batch_file)))
            progress.update(1)
    finally:
        progress.close()
    table = {name: np.array(values, dtype=float) for name, values in results.items()}
    return {name: values[:, 0] for name, values in table.items()}, {
        name: values[:, 1] for name, values in table.items()
    }
