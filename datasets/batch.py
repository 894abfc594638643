"""From batches to what the networks and the loss take. The keys are those of `datasets.mono_dataset`."""

from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F

from datasets.mono_dataset import LISTS


def prepare_batch(batch: dict, scales: Sequence[int], pyramid_of_sources: bool = False) -> dict:
    """The batch on the current device, colours as float32 in [0, 1], with "color/0/S" for every scale S.

    Lower scales are area averages of scale 0. The target's weight smoothness; those of the other frames serve the
    multi-scale ablation, and are made for it alone. The values may be arrays or tensors; `depth_gt` and `name` stay as
    they are.
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
    """The batch in equal parts, in order; for one, itself.

    Args:
        batch: as `prepare_batch` takes or gives it, of a size that ``parts`` divides.
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
        # Halfway between four pixels this is their mean, in half the time of average pooling on the CPU.
        image = F.interpolate(image, size, mode="bilinear")  # (B, 3, H / 2**scale, W / 2**scale)
        if scale in scales:
            batch[f"color/{frame}/{scale}"] = image
