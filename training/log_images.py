"""Images of a batch for the log: input, warped sources, disparity, auto-mask."""

from collections.abc import Mapping

import numpy as np
from paddle import Tensor

from common.colormap import colourise_disparity

MAX_SAMPLES = 2


def batch_pictures(
    batch: Mapping, outputs: Mapping, maps: Mapping[str, Tensor], max_samples: int = MAX_SAMPLES
) -> dict[str, np.ndarray]:
    """Draw the first samples of a batch.

    Args:
        batch, outputs: the loss's inputs.
        maps: the maps that the loss returned.
        max_samples: number of samples to draw.

    Returns:
        "name/sample" -> uint8 (H, W, 3).
    """
    count = min(max_samples, batch["color/0/0"].shape[0])
    pictures = {}
    for i in range(count):
        pictures[f"input/{i}"] = to_uint8(batch["color/0/0"][i])
        pictures[f"disparity/{i}"] = colourise_disparity(outputs["disp/0"][i, 0].numpy())
        if "auto_mask" in maps:
            pictures[f"auto_mask/{i}"] = to_uint8(maps["auto_mask"][i].expand([3, -1, -1]))
        for key, image in maps.items():
            if key.startswith("warped/"):
                pictures[f"{key.replace('/', '_')}/{i}"] = to_uint8(image[i])
    return pictures


def to_uint8(image: Tensor) -> np.ndarray:
    """Convert an image (3, H, W) in [0, 1] to uint8 (H, W, 3)."""
    return (image.numpy().transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8)
