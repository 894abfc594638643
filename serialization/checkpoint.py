"""Write and restore full checkpoints, from which training resumes as if it had never been interrupted.

A checkpoint is a weights folder with additional files:

| file | content |
| --- | --- |
| ``ROLE.pdparams``, ``weights.json`` | the networks, as in every weights folder |
| ``optimizer.pdopt`` | the optimizer's moments by structured names |
| ``ema.pdopt`` | with ``--ema_decay``, the averaged weights by structured names |
| ``state.json`` | ``RunState`` |
| ``opt.json`` | the run's options |
| ``manifest.json`` | size and SHA-256 of each file |

No random state is stored: sample order, augmentation and per-step noise depend only on seed, epoch, index and step.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn
from paddle.optimizer import Optimizer

from common.atomic_files import atomic_folder, write_json
from common.errors import WeightsError
from serialization.manifest import check_manifest, write_manifest
from serialization.opening import read_json
from serialization.optimizer_state import optimizer_arrays, restore_optimizer
from serialization.pdparams import read_pdparams, write_pdparams
from serialization.weights_folder import fill_folder, load_weights

OPTIMIZER_FILE = "optimizer.pdopt"
AVERAGE_FILE = "ema.pdopt"
STATE_FILE = "state.json"
OPTIONS_FILE = "opt.json"


@dataclass(frozen=True)
class RunState:
    """Progress of a run.

    Attributes:
        step: completed steps.
        epoch: current epoch, from 0.
        samples_done: samples of the current epoch processed so far, over all processes.
        samples: usable lines of the training split; the sample order of an epoch depends on it.
        best: best selection metric of all validations so far; None before the first validation.
        schedule: state of Paddle's learning-rate scheduler.
        compiled: whether steps run as a static graph.
        kernels: whether steps use the C++ operators of ``layers/kernels``.
        loss_scale: loss scale of mixed precision; None in full precision.
        seconds: time per activity, seconds, as counted by ``training.run_metadata``.
        best_ema: as ``best``, of the averaged weights; None without ``--ema_decay``, and in older checkpoints.
    """

    step: int
    epoch: int
    samples_done: int
    samples: int
    best: float | None
    schedule: dict[str, Any]
    compiled: bool
    kernels: bool
    loss_scale: float | None
    seconds: dict[str, float]
    best_ema: float | None = None


def write_checkpoint(
    folder: Path,
    networks: Mapping[str, nn.Layer],
    info: Mapping[str, Any],
    model: nn.Layer,
    optimizer: Optimizer,
    state: RunState,
    options: Mapping[str, Any],
    average: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a checkpoint folder atomically.

    Args:
        folder: the checkpoint folder.
        networks, info: see ``weights_folder.save_weights``.
        model: the model that the optimizer updates.
        optimizer: the optimizer, including its learning-rate schedule.
        state: progress of the run.
        options: all options of the run, JSON-serializable.
        average: the averaged weights by structured names; None if the run has no average.

    Raises:
        UserError: the folder cannot be written.
    """
    with atomic_folder(folder) as temporary:
        fill_folder(temporary, networks, info)
        write_pdparams(temporary / OPTIMIZER_FILE, optimizer_arrays(optimizer, model))
        if average is not None:
            write_pdparams(temporary / AVERAGE_FILE, average)
        write_json(temporary / STATE_FILE, dataclasses.asdict(state))
        write_json(temporary / OPTIONS_FILE, options)
        write_manifest(temporary)


def check_checkpoint(folder: Path) -> None:
    """Check that a folder is a complete checkpoint with unchanged files.

    Raises:
        WeightsError: a file is missing or has changed.
    """
    if not check_manifest(folder):
        raise WeightsError(f"'{folder}' is not a checkpoint of a run: manifest.json not found.")
    missing = [name for name in (OPTIMIZER_FILE, STATE_FILE, OPTIONS_FILE) if not (folder / name).is_file()]
    if missing:
        raise WeightsError(
            f"'{folder}' cannot be resumed: it contains weights, but no {' or '.join(missing)}. "
            "To start a new run from these weights, pass the folder to --load_weights_folder."
        )


def read_state(folder: Path) -> RunState:
    """Read the progress stored in a checkpoint.

    Raises:
        WeightsError: the file is damaged, or written by another version of this project.
    """
    path = folder / STATE_FILE
    content = read_json(path)
    names = {field.name for field in dataclasses.fields(RunState)}
    if not isinstance(content, dict):
        raise WeightsError(f"'{path}' is damaged: expected an object, got {type(content).__name__}. Copy it again.")
    required = {field.name for field in dataclasses.fields(RunState) if field.default is dataclasses.MISSING}
    if not required <= set(content) <= names:
        raise WeightsError(
            f"'{path}' was written by another version of this project: expected {', '.join(sorted(names))}, found "
            f"{', '.join(content)[:200]}. Resume with the version that wrote it."
        )
    wrong = [name for name, value in content.items() if not _fits(name, value)]
    if wrong:
        found = ", ".join(f"{name} should not be {type(content[name]).__name__}" for name in wrong)
        raise WeightsError(f"'{path}' is damaged: {found}. Copy the checkpoint again, or resume from another one.")
    return RunState(**content)


def _fits(name: str, value: Any) -> bool:
    """Return whether a value has the type of a field of ``RunState``."""
    if name in ("step", "epoch", "samples_done", "samples"):
        return type(value) is int and 0 <= value < 1 << 62
    if name in ("best", "best_ema", "loss_scale"):
        return value is None or type(value) in (int, float)
    if name in ("compiled", "kernels"):
        return type(value) is bool
    if name == "seconds":
        return isinstance(value, dict) and all(type(number) in (int, float) for number in value.values())
    return isinstance(value, dict)


def restore_checkpoint(
    folder: Path, networks: Mapping[str, nn.Layer], model: nn.Layer, optimizer: Optimizer
) -> RunState:
    """Restore the networks and the optimizer from a checkpoint.

    Args:
        folder: the checkpoint folder.
        networks: role -> network to load into.
        model: the model that the optimizer updates.
        optimizer: an optimizer that has not stepped yet.

    Returns:
        The progress of the run.

    Raises:
        WeightsError: an array is missing, unexpected or has another shape.
    """
    state = read_state(folder)
    for role, report in load_weights(folder, networks, tuple(networks)).items():
        if report.missing or report.unexpected:
            names = ", ".join((*report.missing, *report.unexpected)[:8])
            raise WeightsError(f"'{folder}': network {role} differs from the run's network in {names}.")
    path = folder / OPTIMIZER_FILE
    restore_optimizer(optimizer, model, read_pdparams(path), state.schedule, path)
    return state


def read_average(folder: Path) -> dict[str, np.ndarray]:
    """Read the averaged weights of a checkpoint, by structured names.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    return read_pdparams(folder / AVERAGE_FILE)
