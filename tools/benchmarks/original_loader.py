"""Reimplementation of the original Monodepth2 loader with Pillow and NumPy: the baseline of the loader benchmark.

Each frame is decoded to RGB and optionally flipped. A Lanczos pyramid resizes every scale from the previous one. Every
scale is optionally colour-jittered. All images become float tensors in [0, 1].
"""

import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageEnhance

from common.images import open_image

STEPS = ("brightness", "contrast", "saturation", "hue")


def load_sample(
    paths: Sequence[str], height: int, width: int, scales: Sequence[int], *, flip: bool, jitter: bool
) -> dict[str, np.ndarray]:
    """Load and augment the images of one sample.

    Returns:
        ``color/I/S`` and ``color_aug/I/S`` -> float32 (3, H / 2**S, W / 2**S) in [0, 1], for path number I and scale S.
    """
    order = random.sample(STEPS, 4)
    strengths = {step: random.uniform(0.8, 1.2) for step in STEPS[:3]} | {"hue": random.uniform(-0.1, 0.1)}
    sample = {}
    for i, path in enumerate(paths):
        with open_image(path) as opened:
            image = opened.convert("RGB")
        if flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for scale in scales:
            image = image.resize((width >> scale, height >> scale), Image.Resampling.LANCZOS)
            jittered = _jitter(image, order, strengths) if jitter else image
            sample[f"color/{i}/{scale}"] = _to_tensor(image)
            sample[f"color_aug/{i}/{scale}"] = _to_tensor(jittered)
    return sample


def _jitter(image: Image.Image, order: Sequence[str], strengths: dict[str, float]) -> Image.Image:
    for step in order:
        strength = strengths[step]
        if step == "brightness":
            image = ImageEnhance.Brightness(image).enhance(strength)
        elif step == "contrast":
            image = ImageEnhance.Contrast(image).enhance(strength)
        elif step == "saturation":
            image = ImageEnhance.Color(image).enhance(strength)
        else:
            hue, saturation, value = image.convert("HSV").split()
            shifted = np.asarray(hue) + np.uint8(int(strength * 255) % 256)
            image = Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")
    return image


def _to_tensor(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).astype(np.float32) / 255
