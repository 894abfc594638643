"""Convert an optimizer's state to and from structured names, which are the same in every process.

Paddle stores the first moment of ``encoder.conv1.weight`` as ``conv2d_7.w_0_moment1_0``, where 7 counts the layers
built so far in the process. The structured name is ``encoder.conv1.weight/moment1_0``.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.optimizer import Optimizer

from common.errors import WeightsError
from serialization.matching import check_finite

_SCHEDULE = "LR_Scheduler"


def optimizer_arrays(optimizer: Optimizer, model: nn.Layer) -> dict[str, np.ndarray]:
    """Collect the optimizer's state without the learning-rate schedule.

    Returns:
        "structured name/slot" -> array.

    Raises:
        ValueError: the optimizer has state for a parameter that is not the model's.
    """
    arrays = {}
    structured = {parameter.name: name for name, parameter in model.named_parameters()}
    for key, value in optimizer.state_dict().items():
        if key == _SCHEDULE:
            continue
        owner = max((name for name in structured if key.startswith(f"{name}_")), key=len, default=None)
        if owner is None:
            raise ValueError(f"optimizer state {key} does not belong to any parameter of the model")
        arrays[f"{structured[owner]}/{key[len(owner) + 1 :]}"] = value.numpy()
    return arrays


def schedule_state(optimizer: Optimizer) -> dict[str, Any]:
    """Get the numeric state of the learning-rate schedule."""
    return dict(optimizer.state_dict().get(_SCHEDULE, {}))


def restore_optimizer(
    optimizer: Optimizer,
    model: nn.Layer,
    arrays: Mapping[str, np.ndarray],
    schedule: Mapping[str, Any],
    source: str | Path,
) -> None:
    """Restore the state of an optimizer that has not stepped yet.

    All arrays are checked before the first one is set.

    Args:
        optimizer: the optimizer.
        model: the model that it updates.
        arrays: the result of ``optimizer_arrays``.
        schedule: the result of ``schedule_state``.
        source: origin of the arrays, for messages.

    Raises:
        WeightsError: names or shapes differ from the model's parameters, or a number is not finite.
    """
    parameters = dict(model.named_parameters())
    by_slot: dict[str, set[str]] = {}
    for key, array in arrays.items():
        name, _, slot = key.rpartition("/")
        if name not in parameters:
            raise WeightsError(f"'{source}' contains {key}, but the model has no parameter {name!r}.")
        # A moment has the size of its parameter, a power of beta is a single number.
        if array.size not in (1, parameters[name].size):
            raise WeightsError(
                f"'{source}': {key} has shape {array.shape}, its parameter {tuple(parameters[name].shape)}."
            )
        check_finite(array, f"{source}: {key}")
        by_slot.setdefault(slot, set()).add(name)
    owners = set().union(*by_slot.values())
    for slot, names in by_slot.items():
        if names != owners:
            raise WeightsError(f"'{source}' lacks {slot} of {', '.join(sorted(owners - names)[:3])}.")
    state: dict[str, Any] = {_SCHEDULE: dict(schedule)}
    for key, array in arrays.items():
        name, _, slot = key.rpartition("/")
        # The optimizer copies the tensor to its own device, so a temporary one on the CPU saves device memory.
        state[f"{parameters[name].name}_{slot}"] = paddle.to_tensor(array, place=paddle.CPUPlace())
    with warnings.catch_warnings():
        # Paddle counts the state of the schedule after a warm-up, which it has saved itself, as unused.
        warnings.filterwarnings("ignore", message="There are some unused values in state_dict")
        optimizer.set_state_dict(state)
