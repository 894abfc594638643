"""The interface of loss terms."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from paddle import Tensor

from layers.view_synthesis import View


class TermResult(NamedTuple):
    """The value of a loss term.

    Attributes:
        loss: a scalar, before the term's weight.
        scalars: named scalars to log. "loss/S" is the term's value at scale S: the loss adds these up, weighted.
        maps: named maps (B, C, H, W) to draw, without gradient.
    """

    loss: Tensor
    scalars: Mapping[str, Tensor]
    maps: Mapping[str, Tensor]


class LossTerm(Protocol):
    """A layer, or function, that reads a batch, the model's outputs and the views of all scales."""

    def __call__(
        self, batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor], views: Sequence[View]
    ) -> TermResult: ...


def mean_over_scales(by_scale: Mapping[int, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the mean of a term's values by scale, and the same values as "loss/S"."""
    return sum(by_scale.values()) / len(by_scale), {f"loss/{scale}": value for scale, value in by_scale.items()}
