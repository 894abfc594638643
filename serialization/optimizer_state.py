"""An optimizer's state by structured names: Paddle's own keys count what was built before in the process.

Paddle keeps the first moment of ``encoder.conv1.weight`` under ``conv2d_7.w_0_moment1_0``, where 7 depends on every
layer built so far. Here it is ``encoder.conv1.weight/moment1_0``, whatever was built.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.optimizer import Optimizer

from common.errors import WeightsError

_SCHEDULE = "LR_Scheduler"


def optimizer_arrays(optimizer: Optimizer, model: nn.Layer) -> dict[str, np.ndarray]:
    """Structured name / slot -> array: everything that the optimizer keeps but the schedule of its learning rate.

    Raises:
        ValueError: the optimizer keeps something of a parameter that is none of the model's.
    """
    arrays = {}
    structured = {parameter.name: name for name, parameter in model.named_parameters()}
    for key, value in optimizer.state_dict().items():
        if key == _SCHEDULE:
            continue
        owner = max((name for name in structured if key.startswith(f"{name}_")), key=len, default=None)
        if owner is None:
            raise ValueError(f"the optimizer keeps {key}, which is of none of the model's parameters")
        arrays[f"{structured[owner]}/{key[len(owner) + 1 :]}"] = value.numpy()
    return arrays


def schedule_state(optimizer: Optimizer) -> dict[str, Any]:
    """Where the schedule of the learning rate stands: numbers."""
    return dict(optimizer.state_dict().get(_SCHEDULE, {}))


def restore_optimizer(
    optimizer: Optimizer,
    model: nn.Layer,
    arrays: Mapping[str, np.ndarray],
    schedule: Mapping[str, Any],
    source: str | Path,
) -> None:
    """Sets an optimizer that has not stepped yet to a state that ``optimizer_arrays`` and ``schedule_state`` gave.

    Args:
        source: where the arrays come from, for messages.

    Raises:
        WeightsError: names or shapes are not those of the model's parameters; nothing is set then.
    """
    parameters = dict(model.named_parameters())
    by_slot: dict[str, set[str]] = {}
    for key, array in arrays.items():
        name, _, slot = key.rpartition("/")
        if name not in parameters:
            raise WeightsError(f"{source} holds {key}, but the model has no parameter {name!r}.")
        # A moment is as large as its parameter; a power of beta is one number.
        if array.size not in (1, parameters[name].size):
            raise WeightsError(
                f"{source}: {key} has shape {array.shape}; the parameter's is {tuple(parameters[name].shape)}."
            )
        by_slot.setdefault(slot, set()).add(name)
    owners = set().union(*by_slot.values())
    for slot, names in by_slot.items():
        if names != owners:
            raise WeightsError(f"{source} lacks {slot} of {', '.join(sorted(owners - names)[:3])}.")
    state: dict[str, Any] = {_SCHEDULE: dict(schedule)}
    for key, array in arrays.items():
        name, _, slot = key.rpartition("/")
        # On the CPU: the optimizer copies it to where it wants it, and lets go of this.
        state[f"{parameters[name].name}_{slot}"] = paddle.to_tensor(array, place=paddle.CPUPlace())
    optimizer.set_state_dict(state)
