"""The depth networks with all that stands around them, as one layer to be traced."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.blocks import ConvBlock
from layers.geometry import disp_to_depth

if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor


class WholeModel(nn.Layer):
    """Images as they come to depth at their size: what `DepthPredictor` does, in one graph.

    Args:
        predictor: the networks, their size, depth range and scale.
    """

    def __init__(self, predictor: "DepthPredictor") -> None:
        super().__init__()
        self.networks = BareModel(predictor)
        self.size = predictor.size
        self.scale = 1.0 if predictor.scale is None else predictor.scale

    def forward(self, images: Tensor) -> Tensor:
        """Depth (B, H, W), metres or scene units.

        Args:
            images: uint8 (B, H, W, 3), RGB.
        """
        _, height, width, _ = paddle.shape(images)
        x = images.astype("float32").transpose([0, 3, 1, 2])  # (B, 3, H, W)
        x = resize_like_pillow(x, (height, width), self.size)
        scaled_disp = self.networks(x / 255)
        return self.scale * resize_like_opencv(scaled_disp, self.size, (height, width)).reciprocal()


class BareModel(nn.Layer):
    """The networks alone, for who resizes and scales outside.

    Args:
        predictor: the networks and their depth range.
    """

    def __init__(self, predictor: "DepthPredictor") -> None:
        super().__init__()
        self.model = predictor.model
        self.depth_range = predictor.depth_range

    def forward(self, images: Tensor) -> Tensor:
        """Scaled disparity (B, h, w), one over depth in scene units.

        Args:
            images: float32 (B, 3, h, w) in [0, 1]; h and w multiples of 32.
        """
        scaled_disp, _ = disp_to_depth(self.model({"color_aug/0/0": images})["disp/0"], *self.depth_range)
        return scaled_disp.squeeze(1)


def resize_like_pillow(x: Tensor, size: tuple, new_size: tuple) -> Tensor:
    """Resizes images (..., H, W) of values from 0 to 255 by Pillow's Lanczos filter, rounded after each direction."""
    x = paddle.matmul(x, resampling(size[1], new_size[1], _lanczos, smooth=True), transpose_y=True)
    x = paddle.floor(x + 0.5).clip(0, 255)
    x = paddle.matmul(resampling(size[0], new_size[0], _lanczos, smooth=True), x)
    return paddle.floor(x + 0.5).clip(0, 255)


def resize_like_opencv(x: Tensor, size: tuple, new_size: tuple) -> Tensor:
    """Resizes maps (..., H, W) bilinearly, as OpenCV does."""
    x = paddle.matmul(x, resampling(size[1], new_size[1], _tent, smooth=False), transpose_y=True)
    return paddle.matmul(resampling(size[0], new_size[0], _tent, smooth=False), x)


def resampling(count: "int | Tensor", new_count: "int | Tensor", kernel: Callable, smooth: bool) -> Tensor:
    """The matrix (new_count, count) that resamples a row of pixels: borders map to borders, weights sum to 1.

    As products with such matrices, resizing is the same in every runtime, to rounding; their own operators differ.

    Args:
        count, new_count: of the pixels; 0-D integers where the graph shall take any.
        kernel: of the distance in pixels, at least 0.
        smooth: where there are fewer new pixels, widen the kernel to theirs.
    """
    new, old = (paddle.arange(0, n, dtype="int64").astype("float32") + 0.5 for n in (new_count, count))
    ratio = _as_float(count) / _as_float(new_count)
    width = ratio.clip(min=1.0) if smooth else 1.0
    weights = kernel((old.unsqueeze(0) - (new * ratio).unsqueeze(1)).abs() / width)
    return weights / weights.sum(axis=1, keepdim=True)


def _as_float(count: "int | Tensor") -> Tensor:
    return paddle.full([], count, "float32") if isinstance(count, int) else count.astype("float32")


def _lanczos(distance: Tensor) -> Tensor:
    x = math.pi * distance.clip(min=1e-4)  # where it is 1 to all digits, and not 0 / 0
    return 3 * paddle.sin(x) * paddle.sin(x / 3) / (x * x) * (distance < 3).astype("float32")


def _tent(distance: Tensor) -> Tensor:
    return (1 - distance).clip(min=0)


def upsampled_by_phases(block: ConvBlock, x: Tensor, skip: Tensor | None) -> Tensor:
    """As ``block.upsampled``, with less to do: where pixels are doubled, a 3x3 convolution sees four different ones.

    In each direction the first of two doubled pixels sees the pixel before it once and its own twice, the second its
    own twice and the next once. So four convolutions of 2x2 at the small size, one for each of the four pixels that
    one becomes, are the convolution of the doubled image; its border by reflection is one by copies at the small size.
    """
    conv = block.conv.conv
    weight = conv.weight[:, : x.shape[1]]  # (O, C, 3, 3)
    rows = []
    for down in (0, 1):
        pixels = []
        for right in (0, 1):
            kernel = paddle.matmul(_phase(down), paddle.matmul(weight, _phase(right), transpose_y=True))  # (O, C, 2, 2)
            padded = F.pad(x, [1 - right, right, 1 - down, down], mode="replicate")
            pixels.append(F.conv2d(padded, kernel, conv.bias))
        rows.append(paddle.stack(pixels, axis=4).flatten(3, 4))  # (B, O, H, 2W)
    y = paddle.stack(rows, axis=3).flatten(2, 3)  # (B, O, 2H, 2W)
    if skip is not None:
        y = y + F.conv2d(F.pad(skip, [1, 1, 1, 1], mode="reflect"), conv.weight[:, x.shape[1] :])
    return F.elu(y)


def _phase(second: int) -> Tensor:
    """Three taps on doubled pixels to two on the pixels themselves, for the first or the second of a pair: (2, 3)."""
    return paddle.to_tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]] if second else [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
