"""A full checkpoint: a folder of weights, and beside them all that training needs to go on as if it had never ended.

| file | content |
| --- | --- |
| ``ROLE.pdparams``, ``weights.json`` | as in any folder of weights, which a checkpoint is |
| ``optimizer.pdopt`` | the optimizer's moments by structured names |
| ``state.json`` | ``RunState`` |
| ``opt.json`` | the run's options |
| ``manifest.json`` | size and SHA-256 of each of them |

There is no random state among them: the order of the samples, their augmentation and the noise of a step come from the
seed, the epoch, the index and the step alone.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle import nn
from paddle.optimizer import Optimizer

from common.atomic_files import atomic_folder, write_json
from common.errors import WeightsError
from serialization.manifest import check_manifest, write_manifest
from serialization.optimizer_state import optimizer_arrays, restore_optimizer
from serialization.pdparams import read_pdparams, write_pdparams
from serialization.weights_folder import fill_folder, load_weights

OPTIMIZER_FILE = "optimizer.pdopt"
STATE_FILE = "state.json"
OPTIONS_FILE = "opt.json"


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Attributes:
        step: steps done.
        epoch: the epoch under way, from 0.
        samples_done: of that epoch, by all processes together.
        samples: usable lines of the training split, which the order of an epoch depends on.
        best: the best validation's selection metric so far; None before the first.
        schedule: of the learning rate, as Paddle keeps it.
        compiled: whether steps run through a static graph.
        kernels: whether steps run through the operators of ``kernels``.
        loss_scale: of mixed precision; None without.
        seconds: where the time went, as ``training.run_metadata`` counts it.
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


def write_checkpoint(
    folder: Path,
    networks: Mapping[str, nn.Layer],
    info: Mapping[str, Any],
    model: nn.Layer,
    optimizer: Optimizer,
    state: RunState,
    options: Mapping[str, Any],
) -> None:
    """Writes a checkpoint as one folder, whole or not at all.

    Args:
        networks, info: as for ``weights_folder.save_weights``.
        model: whose parameters the optimizer updates.
        options: all of the run's, as JSON can hold them.

    Raises:
        UserError: the folder cannot be written.
    """
    with atomic_folder(folder) as temporary:
        fill_folder(temporary, networks, info)
        write_pdparams(temporary / OPTIMIZER_FILE, optimizer_arrays(optimizer, model))
        write_json(temporary / STATE_FILE, dataclasses.asdict(state))
        write_json(temporary / OPTIONS_FILE, options)
        write_manifest(temporary)


def check_checkpoint(folder: Path) -> None:
    """Raises WeightsError unless the folder is a whole checkpoint: all is there as it was written."""
    if not check_manifest(folder):
        raise WeightsError(f"{folder} is no checkpoint of a run: it has no manifest.json.")
    missing = [name for name in (OPTIMIZER_FILE, STATE_FILE, OPTIONS_FILE) if not (folder / name).is_file()]
    if missing:
        raise WeightsError(
            f"{folder} holds weights, but no {' or '.join(missing)}: it cannot be resumed. To start from its weights, "
            "name it by --load_weights_folder."
        )


def read_state(folder: Path) -> RunState:
    """The state of a checkpoint. Raises WeightsError where another version wrote it."""
    path = folder / STATE_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise WeightsError(f"{path} cannot be read: {fault}.") from fault
    names = {field.name for field in dataclasses.fields(RunState)}
    if not isinstance(content, dict) or set(content) != names:
        raise WeightsError(
            f"{path} should hold {', '.join(sorted(names))}; it holds {', '.join(map(str, content))}: written "
            "by another version of this project; resume with that version."
        )
    return RunState(**content)


def restore_checkpoint(
    folder: Path, networks: Mapping[str, nn.Layer], model: nn.Layer, optimizer: Optimizer
) -> RunState:
    """Puts a checkpoint into the networks and the optimizer of a new process.

    Raises:
        WeightsError: anything is missing, left over, or of another shape.
    """
    state = read_state(folder)
    for role, report in load_weights(folder, networks, tuple(networks)).items():
        if report.missing or report.unexpected:
            names = ", ".join((*report.missing, *report.unexpected)[:8])
            raise WeightsError(f"{folder}: {role} is another network than the run's; they differ in {names}.")
    path = folder / OPTIMIZER_FILE
    restore_optimizer(optimizer, model, read_pdparams(path), state.schedule, path)
    return state
