"""Attention between channels, and Fourier codes of positions: El-Nouby et al., "XCiT", NeurIPS 2021."""

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Constant

NUM_FREQUENCIES = 32  # per coordinate
LONGEST_PERIOD = 10000.0


class ChannelAttention(nn.Layer):
    """Cross-covariance attention: each channel attends to the channels of its head, over all tokens (equation 3).

    attention = softmax(temperature * K^T Q), with queries and keys normalised over the tokens. Its cost is linear in
    the number of tokens, because its matrices have a side of C / heads.

    Args:
        width: channels C.
        num_heads: groups of channels; divides ``width``.
    """

    def __init__(self, width: int, num_heads: int = 8) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.temperature = self.create_parameter([num_heads, 1, 1], default_initializer=Constant(1.0))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        count, width = tokens.shape[1:]
        qkv = self.qkv(tokens).reshape([-1, count, 3, self.num_heads, width // self.num_heads])
        query, key, value = qkv.transpose([2, 0, 3, 4, 1]).unbind(0)  # (B, heads, C / heads, N) each
        query, key = F.normalize(query, axis=-1), F.normalize(key, axis=-1)
        weights = F.softmax(paddle.matmul(query, key, transpose_y=True) * self.temperature, axis=-1)
        mixed = paddle.matmul(weights, value).transpose([0, 3, 1, 2])  # (B, N, heads, C / heads)
        return self.proj(mixed.reshape([-1, count, width]))


class FourierPositions(nn.Layer):
    """Codes of the pixels' positions, projected to the features' width by a 1x1 convolution.

    Args:
        width: channels of the result.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token_projection = nn.Conv2D(2 * NUM_FREQUENCIES, width, 1)

    def forward(self, height: int, width: int) -> Tensor:
        """Return (1, width of the features, height, width)."""
        return self.token_projection(fourier_codes(height, width))


def fourier_codes(height: int, width: int) -> Tensor:
    """Compute sines and cosines of the positions.

    Positions 1 to n along an axis of n pixels become angles up to 2 pi; channels 2i and 2i + 1 are the sine and cosine
    of the angle divided by 10000^(2i / 32).

    Returns:
        (1, 64, height, width): 32 channels for y, then 32 for x.
    """
    shape = [NUM_FREQUENCIES, height, width]
    of_y = paddle.to_tensor(_codes_of_axis(height)).unsqueeze(2).expand(shape)
    of_x = paddle.to_tensor(_codes_of_axis(width)).unsqueeze(1).expand(shape)
    return paddle.concat([of_y, of_x]).unsqueeze(0)


def _codes_of_axis(size: int) -> np.ndarray:
    """Return float32 (32, size). In NumPy, so that a static graph has them as constants."""
    periods = LONGEST_PERIOD ** (2 * np.arange(NUM_FREQUENCIES // 2) / NUM_FREQUENCIES)
    angles = np.arange(1, size + 1) * (2 * np.pi / (size + 1e-6)) / periods[:, np.newaxis]  # (16, size)
    return np.stack([np.sin(angles), np.cos(angles)], axis=1).reshape(NUM_FREQUENCIES, size).astype(np.float32)
