"""Resizing with Pillow's Lanczos filter, which the published results used: the same pixels in about half the time.

Pillow resizes the rows, rounds to 8 bits, and resizes the columns. A resized row is the product of the row and a band
matrix, computed here in narrow blocks by the matrix product of NumPy. Weights are multiples of 2^-22, as in Pillow, and
pixels are integers. All sums are therefore exact in float64, on any machine and in any order.
"""

import threading
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

NARROW = 100  # Pillow resizes the columns first if an image is more than this many times as high as wide
LOBES = 3  # of the filter's kernel, to each side
WEIGHT_BITS = 22  # of Pillow's fixed-point weights, after the binary point
BLOCK = 12  # outputs per product: narrower blocks multiply fewer zeros, in smaller products
# OpenBLAS starts threads for more multiplications than this. Worker processes already use all cores.
PRODUCT_LIMIT = 2**18
STRIP_VALUES = 2**19  # input values converted to float64 at a time: 4 MB, a grey image of KITTI
# Copied from Pillow at a time: the allocator reuses small blocks, but returns large ones to the system.
CROP_BYTES = 2**17


class _Block(NamedTuple):
    """A block of outputs, the inputs within reach of their kernels, and the weights (inputs, outputs)."""

    outputs: slice
    inputs: slice
    weights: np.ndarray


class _Scratch(threading.local):
    """Memory that a thread reuses for every image; touching new pages would take longer than the products."""

    def __init__(self) -> None:
        self._memory = np.empty(0)

    def arrays(self, *shapes: tuple[int, ...]) -> list[np.ndarray]:
        """Return uninitialised float64 arrays, valid until the next call in this thread."""
        sizes = [int(np.prod(shape)) for shape in shapes]
        if sum(sizes) > self._memory.size:
            self._memory = np.empty(sum(sizes))
        parts = np.split(self._memory[: sum(sizes)], np.cumsum(sizes)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


_scratch = _Scratch()


def resize_lanczos(image: Image.Image, height: int, width: int) -> np.ndarray:
    """Resize an image exactly as ``image.resize((width, height), Image.Resampling.LANCZOS)`` does.

    Args:
        image: Image of mode RGB or L.
        height: Height of the result in pixels.
        width: Width of the result in pixels.

    Returns:
        uint8 (3, ``height``, ``width``), or (1, ``height``, ``width``) if the image is grey.

    Raises:
        ValueError: The image has another mode, or a side of the result is not positive.
    """
    if image.mode not in ("L", "RGB"):
        raise ValueError(f"got an image of mode {image.mode}, expected L or RGB; convert it first")
    if height < 1 or width < 1:
        raise ValueError(f"got a size of {width}x{height}, expected at least 1x1")
    if image.size == (width, height):  # the kernel is 1 at its centre and 0 at all other pixels
        return np.asarray(image).reshape(height, width, -1).transpose(2, 0, 1).copy(order="C")
    resized = np.empty((len(image.mode), height, width), np.uint8)
    for channel, result in enumerate(resized):
        plane = image if image.mode == "L" else image.getchannel(channel)
        if image.height > NARROW * image.width:
            result[:] = plane.resize((width, height), Image.Resampling.LANCZOS)
        else:
            _resize_plane(plane, result)
    return resized


def _resize_plane(plane: Image.Image, result: np.ndarray) -> None:
    """Resize an image of mode L to the size of ``result``, uint8 (height, width)."""
    height, width = result.shape
    across, down = _blocks(plane.width, width), _blocks(plane.height, height)
    rows = min(plane.height, _largest(across), max(1, STRIP_VALUES // plane.width))
    columns = _largest(down)
    strip, wide, tall = _scratch.arrays((rows, plane.width), (plane.height, width), (BLOCK, width))
    for top in range(0, plane.height, rows):
        resized = wide[top : top + rows]
        inputs = _read(plane, top, strip[: len(resized)])
        for block in across:
            np.matmul(inputs[:, block.inputs], block.weights, out=resized[:, block.outputs])
        np.floor(_half_up(resized), out=resized)
    for block in down:
        sums = tall[: block.weights.shape[1]]
        for left in range(0, width, columns):
            part = slice(left, left + columns)
            np.matmul(block.weights.T, wide[block.inputs, part], out=sums[:, part])
        np.copyto(result[block.outputs], _half_up(sums), casting="unsafe")  # truncates


@lru_cache(maxsize=32)
def _blocks(size: int, new_size: int) -> tuple[_Block, ...]:
    """Compute the weights that resize rows of ``size`` pixels to ``new_size`` pixels."""
    scale = size / new_size
    stretch = max(scale, 1.0)  # of the kernel, when reducing
    centres = (np.arange(new_size) + 0.5) * scale  # from the left border
    first = np.maximum((centres - LOBES * stretch + 0.5).astype(int), 0)
    end = np.minimum((centres + LOBES * stretch + 0.5).astype(int), size)
    blocks = []
    for start in range(0, new_size, BLOCK):
        outputs = slice(start, min(start + BLOCK, new_size))
        inputs = slice(int(first[outputs][0]), int(end[outputs][-1]))
        places = np.arange(inputs.start, inputs.stop)[:, None]  # (inputs, 1)
        distances = (places - centres[outputs] + 0.5) / stretch  # (inputs, outputs)
        weights = np.sinc(distances) * np.sinc(distances / LOBES)
        weights[(places < first[outputs]) | (places >= end[outputs]) | (abs(distances) > LOBES)] = 0
        weights /= weights.sum(axis=0)
        steps = np.trunc(weights * 2**WEIGHT_BITS + np.copysign(0.5, weights))
        blocks.append(_Block(outputs, inputs, steps / 2**WEIGHT_BITS))
    return tuple(blocks)


def _largest(blocks: tuple[_Block, ...]) -> int:
    """Return how many rows a block can resize in one product below ``PRODUCT_LIMIT``, at least 1."""
    return max(1, PRODUCT_LIMIT // max(block.weights.size for block in blocks))


def _read(plane: Image.Image, top: int, rows: np.ndarray) -> np.ndarray:
    """Read rows of an image of mode L from ``top`` on into ``rows`` (r, W), and return them."""
    step = max(1, CROP_BYTES // plane.width)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        np.copyto(part, np.asarray(plane.crop((0, top + start, plane.width, top + start + len(part)))))
    return rows


def _half_up(values: np.ndarray) -> np.ndarray:
    """Prepare rounding to 8 bits, half up: add 0.5 and clip, in place. The integer part is the result."""
    values += 0.5
    return np.clip(values, 0, 255, out=values)
