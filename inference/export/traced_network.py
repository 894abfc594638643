"""Depth networks with resizing and scaling as one layer, for tracing."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.blocks import ConvBlock
from layers.geometry import disp_to_depth
from networks.lite_mono_decoder import DoubledBilinearly

if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor


class EndToEndModel(nn.Layer):
    """Model from images to depth at their own size: ``DepthPredictor`` in one graph.

    Args:
        predictor: Networks, input size, depth range and scale.
    """

    def __init__(self, predictor: "DepthPredictor") -> None:
        super().__init__()
        self.networks = CoreModel(predictor)
        self.size = predictor.size
        self.scale = 1.0 if predictor.scale is None else predictor.scale

    def forward(self, images: Tensor) -> Tensor:
        """Predict depth (B, H, W), metres or scene units.

        Args:
            images: uint8 (B, H, W, 3), RGB.
        """
        _, height, width, _ = paddle.shape(images)
        x = images.astype("float32").transpose([0, 3, 1, 2])  # (B, 3, H, W)
        x = resize_like_pillow(x, (height, width), self.size)
        scaled_disp = self.networks(x / 255)
        return self.scale * resize_like_opencv(scaled_disp, self.size, (height, width)).reciprocal()


class CoreModel(nn.Layer):
    """Model of the networks alone; the caller resizes and scales.

    Args:
        predictor: Networks and depth range.

    Attributes:
        fixed_size: (h, w) if the networks are traced for one size, None if for any.
    """

    def __init__(self, predictor: "DepthPredictor") -> None:
        super().__init__()
        self.model = predictor.model
        self.depth_range = predictor.depth_range
        depends_on_size = any(getattr(layer, "depends_on_size", False) for layer in self.model.sublayers())
        self.fixed_size = predictor.size if depends_on_size else None

    def forward(self, images: Tensor) -> Tensor:
        """Predict scaled disparity (B, h, w), 1 / depth in scene units.

        Args:
            images: float32 (B, 3, h, w) in [0, 1]; h and w are multiples of 32.
        """
        scaled_disp, _ = disp_to_depth(self.model({"color_aug/0/0": images})["disp/0"], *self.depth_range)
        return scaled_disp.squeeze(1)


def resize_like_pillow(x: Tensor, size: tuple, new_size: tuple) -> Tensor:
    """Resize images (..., H, W) in [0, 255] with Pillow's Lanczos filter, rounding after each direction."""
    x = paddle.matmul(x, resampling(size[1], new_size[1], _lanczos, smooth=True), transpose_y=True)
    x = paddle.floor(x + 0.5).clip(0, 255)
    x = paddle.matmul(resampling(size[0], new_size[0], _lanczos, smooth=True), x)
    return paddle.floor(x + 0.5).clip(0, 255)


def resize_like_opencv(x: Tensor, size: tuple, new_size: tuple) -> Tensor:
    """Resize maps (..., H, W) bilinearly, like OpenCV."""
    x = paddle.matmul(x, resampling(size[1], new_size[1], _tent, smooth=False), transpose_y=True)
    return paddle.matmul(resampling(size[0], new_size[0], _tent, smooth=False), x)


def resampling(count: "int | Tensor", new_count: "int | Tensor", kernel: Callable, smooth: bool) -> Tensor:
    """Build the matrix (new_count, count) that resamples a row of pixels: borders map to borders, weights sum to 1.

    As matrix products, resizing gives the same result in every runtime up to rounding; their resize operators differ.

    Args:
        count, new_count: Numbers of pixels; 0-D integer tensors if the graph must accept any size.
        kernel: Function of the distance in pixels, at least 0.
        smooth: When downsampling, widen the kernel to the new pixels.
    """
    new, old = (paddle.arange(0, n, dtype="int64").astype("float32") + 0.5 for n in (new_count, count))
    ratio = _as_float(count) / _as_float(new_count)
    width = ratio.clip(min=1.0) if smooth else 1.0
    weights = kernel((old.unsqueeze(0) - (new * ratio).unsqueeze(1)).abs() / width)
    return weights / weights.sum(axis=1, keepdim=True)


def _as_float(count: "int | Tensor") -> Tensor:
    return paddle.full([], count, "float32") if isinstance(count, int) else count.astype("float32")


def _lanczos(distance: Tensor) -> Tensor:
    x = math.pi * distance.clip(min=1e-4)  # avoids 0 / 0; the result rounds to 1
    return 3 * paddle.sin(x) * paddle.sin(x / 3) / (x * x) * (distance < 3).astype("float32")


def _tent(distance: Tensor) -> Tensor:
    return (1 - distance).clip(min=0)


@contextlib.contextmanager
def convolved_by_phases(model: nn.Layer) -> Iterator[None]:
    """Upsample by ``upsampled_by_phases`` and ``doubled_by_phases`` in all layers while the block runs."""
    blocks = [layer for layer in model.sublayers() if isinstance(layer, ConvBlock)]
    doublings = [layer for layer in model.sublayers() if isinstance(layer, DoubledBilinearly)]
    for block in blocks:
        block.upsampled = functools.partial(upsampled_by_phases, block)
    for doubling in doublings:
        doubling.forward = doubled_by_phases
    try:
        yield
    finally:
        for block in blocks:
            del block.upsampled
        for doubling in doublings:
            del doubling.forward


def upsampled_by_phases(block: ConvBlock, x: Tensor, skip: Tensor | None) -> Tensor:
    """Compute ``block.upsampled`` with less work: on doubled pixels, a 3x3 convolution sees four distinct inputs.

    In each direction, the first of two doubled pixels sees the previous pixel once and its own twice; the second sees
    its own twice and the next once. Four 2x2 convolutions at the small size, one per output pixel of a 2x2 block,
    therefore equal the convolution of the doubled image. Its reflected border equals a replicated border at the small
    size.
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


def doubled_by_phases(x: Tensor) -> Tensor:
    """Compute ``DoubledBilinearly``, which neither Paddle's oneDNN engine nor Paddle2ONNX can, with additions.

    In each direction, a pixel becomes two: 3/4 of it, and 1/4 of the previous or the next one, at a border of itself.
    """
    x = F.pad(x, [1, 1, 1, 1], mode="replicate")
    rows = [0.75 * x[:, :, 1:-1] + 0.25 * neighbour for neighbour in (x[:, :, :-2], x[:, :, 2:])]
    x = paddle.stack(rows, axis=3).flatten(2, 3)  # (B, C, 2H, W + 2)
    columns = [0.75 * x[..., 1:-1] + 0.25 * neighbour for neighbour in (x[..., :-2], x[..., 2:])]
    return paddle.stack(columns, axis=4).flatten(3, 4)  # (B, C, 2H, 2W)


def _phase(second: int) -> Tensor:
    """Return the (2, 3) matrix that sums three taps on doubled pixels to two taps on the pixels.

    Args:
        second: Whether the convolution is centred on the second pixel of a pair.
    """
    return paddle.to_tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]] if second else [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
