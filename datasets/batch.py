"""Preparation of batches for networks and losses. ``datasets.mono_dataset`` defines the keys."""

from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F

from datasets.mono_dataset import LISTS


def prepare_batch(batch: dict, scales: Sequence[int], pyramid_of_sources: bool = False) -> dict:
    """Move a batch to the current device, convert colours to float32 in [0, 1], and add the colour pyramid.

    The pyramid consists of "color/0/S" for every scale S, area averages of scale 0. The smoothness loss needs the
    pyramid of the target. Only the multi-scale ablation needs those of the sources.

    Args:
        batch: Batch of arrays or tensors; ``depth_gt`` and ``name`` are not changed.
        scales: Scales S of the pyramid.
        pyramid_of_sources: Add "color/F/S" for the source frames F too.

    Returns:
        The prepared batch; colours (B, 3, H / 2**S, W / 2**S).
    """
    prepared = {}
    for key, value in batch.items():
        prepared[key] = value if key in LISTS else _on_device(value)
        kind, _, rest = key.partition("/")
        if kind in ("color", "color_aug"):
            prepared[key] = prepared[key].astype("float32").scale_(1 / 255)
        if kind == "color" and (rest == "0/0" or pyramid_of_sources):
            _add_pyramid(prepared, rest.partition("/")[0], scales)
    return prepared


def split_batch(batch: dict, parts: int) -> list[dict]:
    """Split a batch into equal parts, in order.

    Args:
        batch: Batch before or after ``prepare_batch``, with a size divisible by ``parts``.
        parts: Number of parts; 1 returns the batch itself.
    """
    if parts == 1:
        return [batch]
    size = len(batch["name"]) // parts
    return [{key: value[i * size : (i + 1) * size] for key, value in batch.items()} for i in range(parts)]


def _on_device(value: np.ndarray | paddle.Tensor) -> paddle.Tensor:
    if isinstance(value, paddle.Tensor):
        return value.to(paddle.get_device())
    return paddle.to_tensor(value)


def _add_pyramid(batch: dict, frame: str, scales: Sequence[int]) -> None:
    image = batch[f"color/{frame}/0"]
    for scale in range(1, max(scales, default=0) + 1):
        size = [image.shape[2] // 2, image.shape[3] // 2]
        # At half size, bilinear interpolation is the mean of 2x2 pixels, twice as fast as average pooling on the CPU.
        image = F.interpolate(image, size, mode="bilinear")  # (B, 3, H / 2**scale, W / 2**scale)
        if scale in scales:
            batch[f"color/{frame}/{scale}"] = image
