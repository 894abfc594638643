"""An exponential moving average of the weights (``--ema_decay``)."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor, nn

from common.errors import WeightsError
from serialization.matching import check_finite

SUFFIX = "_ema"
"""Ending of the names of saved averages: ``weights_N_ema``, ``weights_best_ema``."""


class AveragedWeights:
    """The average of a model's parameters and running statistics over its updates (Polyak and Juditsky, 1992).

    Args:
        model: the model. Its tensors stay the same: only their values change.
        decay: share of the average that an update keeps, in (0, 1).
    """

    def __init__(self, model: nn.Layer, decay: float) -> None:
        self._weights: dict[str, Tensor] = dict(model.state_dict())
        self._average: dict[str, Tensor] = {}
        self._decay = decay

    @paddle.no_grad()
    def update(self, updates: int) -> None:
        """Add the weights after an update to the average, which begins with the first ones.

        Args:
            updates: updates before this one. The first ones count more: the decay is at most (1 + n) / (10 + n), so
                that the initial weights are soon forgotten also in short runs.
        """
        if not self._average:
            self._average = {name: weight.detach().clone() for name, weight in self._weights.items()}
            return
        decay = min(self._decay, (1 + updates) / (10 + updates))
        for name, weight in self._weights.items():
            self._average[name].lerp_(weight, 1 - decay)

    @contextlib.contextmanager
    def in_model(self) -> Iterator[None]:
        """Exchange the average with the model's weights within the block, to evaluate or save it."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @paddle.no_grad()
    def _exchange(self) -> None:
        for name, weight in self._weights.items():
            held = weight.detach().clone()
            weight.set_value(self._average[name])
            self._average[name] = held

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the average by the model's structured names, for a checkpoint."""
        return {name: value.numpy() for name, value in self._average.items()}

    def restore(self, arrays: Mapping[str, np.ndarray], source: str | Path) -> None:
        """Restore the result of ``arrays``.

        Args:
            arrays: the averages by structured names.
            source: origin of the arrays, for messages.

        Raises:
            WeightsError: names or shapes differ from the model's weights, or a number is not finite.
        """
        expected = {name: tuple(weight.shape) for name, weight in self._weights.items()}
        found = {name: array.shape for name, array in arrays.items()}
        if found != expected:
            different = sorted(name for name in expected | found if expected.get(name) != found.get(name))
            raise WeightsError(f"'{source}' differs from the run's networks in {', '.join(different[:8])}.")
        for name, array in arrays.items():
            check_finite(array, f"{source}: {name}")
        self._average = {
            name: paddle.to_tensor(array, dtype=self._weights[name].dtype) for name, array in arrays.items()
        }
