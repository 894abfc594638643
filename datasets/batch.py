"""From batches to what the networks and the loss take. The keys are those of `datasets.mono_dataset`."""

from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F

from datasets.mono_dataset import LISTS


def prepare_batch(batch: dict, scales: Sequence[int]) -> dict:
    """The batch on the current device, colours as float32 in [0, 1], with ("color", f, s) for every scale s.

    Lower scales are area averages of scale 0: they only weight smoothness and serve the multi-scale
    ablation. The values may be arrays or tensors; `depth_gt` and `name` stay as they are.
    """
    prepared = {key: value if key in LISTS else _on_device(value) for key, value in batch.items()}
    for key in batch:
        if key[0] in ("color", "color_aug"):
            prepared[key] = prepared[key].astype("float32") / 255
        if key[0] == "color":
            _add_pyramid(prepared, key[1], scales)
    return prepared


def _on_device(value: np.ndarray | paddle.Tensor) -> paddle.Tensor:
    if isinstance(value, paddle.Tensor):
        return value.to(paddle.get_device())
    return paddle.to_tensor(value)


def _add_pyramid(batch: dict, frame: int | str, scales: Sequence[int]) -> None:
    image = batch["color", frame, 0]
    for scale in range(1, max(scales, default=0) + 1):
        image = F.avg_pool2d(image, kernel_size=2, stride=2)  # (B, 3, H / 2**scale, W / 2**scale)
        if scale in scales:
            batch["color", frame, scale] = image
