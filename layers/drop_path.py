"""Stochastic depth (Huang et al., 2016): a residual block is skipped at random during training."""

from collections.abc import Iterator

import paddle
from paddle import Tensor, nn


class DropPath(nn.Layer):
    """Drop the residual branch of each sample with probability ``rate``, and scale those that remain.

    A network ends each residual branch with this layer (``x + self.drop_path(branch(x))``), with the default rate of 0;
    ``set_drop_path`` then sets the rates of all blocks. In evaluation, and at rate 0, the layer returns its input and
    draws no random number. The numbers come from Paddle's global generator, which training seeds before each step, so
    that a resumed run draws the same ones.

    Args:
        rate: probability of dropping a branch, in [0, 1).
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(B, ...) -> (B, ...): each sample is 0 or ``branch / (1 - rate)``, which keeps the expectation."""
        if not self.training or self.rate == 0:
            return branch
        one_per_sample = [branch.shape[0], *([1] * (branch.ndim - 1))]
        kept = (paddle.rand(one_per_sample) >= self.rate).astype(branch.dtype)  # (B, 1, ...)
        return branch * kept / (1 - self.rate)

    def extra_repr(self) -> str:
        """Return the rate, for the layer's printed form."""
        return f"rate={self.rate:g}"


def drop_path_layers(network: nn.Layer) -> Iterator[DropPath]:
    """Yield the ``DropPath`` layers of a network in the order in which they were built."""
    return (layer for layer in network.sublayers() if isinstance(layer, DropPath))


def set_drop_path(network: nn.Layer, rate: float) -> int:
    """Let the rates of a network's blocks rise linearly from 0 at the first to ``rate`` at the last.

    Huang et al., 2016, equation 4, with the first block always kept, as ConvNeXt and Lite-Mono are trained.

    Args:
        network: builds its blocks in the order in which they run.
        rate: probability of dropping the last block, in [0, 1).

    Returns:
        The number of blocks.
    """
    blocks = list(drop_path_layers(network))
    for i, block in enumerate(blocks):
        block.rate = rate * i / max(1, len(blocks) - 1)
    return len(blocks)
