"""What air, lens and camera do to a view: haze, exposure, white balance, vignetting, blur, noise and greyscale."""

import cv2
import numpy as np

from tools.synthetic.render import RenderedView

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class Optics:
    """The camera and weather of a scene.

    Args:
        rng: Random generator of the scene.
    """

    def __init__(self, rng: np.random.Generator):
        self.haze = rng.choice([0.0, 10 ** rng.uniform(-3, -1.9)])  # share of light lost per metre
        self.haze_color = rng.uniform(0.6, 1.0) * (1 + rng.normal(0, 0.03, 3))
        self.gain = 2 ** rng.normal(0.35, 0.45)
        self.balance = np.exp(rng.normal(0, 0.06, 3))
        self.gamma = rng.uniform(0.75, 1.3)
        self.contrast = rng.uniform(0.0, 0.9)  # of the tone curve
        self.saturation = rng.uniform(0.35, 1.2)
        self.is_grey = bool(rng.random() < 0.4)
        self.vignette = rng.choice([0.0, rng.uniform(0, 0.4)])
        self.blur = rng.choice([0.0, rng.uniform(0.2, 0.9)])
        self.bloom = rng.choice([0.0, rng.uniform(0, 0.3)])
        self.sharpen = rng.choice([0.0, rng.uniform(0, 0.8)])
        self.noise = rng.choice([0.0, rng.uniform(0.003, 0.04)])
        self.quality = int(rng.integers(70, 97))


def photograph(rng: np.random.Generator, optics: Optics, view: RenderedView) -> np.ndarray:
    """Turn a rendered view into a photo, uint8 (H, W, 3)."""
    image = view.color.astype(np.float32) / 255
    if optics.haze:
        share = np.where(view.depth > 0, 1 - np.exp(-optics.haze * view.depth), 0.6)[..., None]
        image = image * (1 - share) + optics.haze_color.astype(np.float32) * share
    image = image * (optics.gain * 2 ** rng.normal(0, 0.15) * optics.balance).astype(np.float32)
    height, width = image.shape[:2]
    if optics.vignette:
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        image *= (1 - optics.vignette * (x * x + y * y) / 2)[..., None]
    if optics.bloom:
        image += optics.bloom * cv2.GaussianBlur(np.maximum(image - 0.8, 0), (0, 0), width / 60)
    if optics.blur:
        image = cv2.GaussianBlur(image, (0, 0), optics.blur)
    if optics.sharpen:
        image += optics.sharpen * (image - cv2.GaussianBlur(image, (0, 0), 1.0))
    image = np.clip(image, 0, 1) ** np.float32(optics.gamma)
    image += optics.contrast * (image * image * (3 - 2 * image) - image)
    grey = image @ GREY
    saturation = 0.0 if optics.is_grey else optics.saturation
    image = grey[..., None] + np.float32(saturation) * (image - grey[..., None])
    if optics.noise:
        grain = rng.standard_normal((height, width, 1 if optics.is_grey else 3), dtype=np.float32)
        image += optics.noise * (0.4 + np.sqrt(np.clip(image, 0, 1))) * grain
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)
