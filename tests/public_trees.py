"""Tiny trees in the exact layout of other datasets' releases."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

CITY_CAMERA = {
    "extrinsic": {"baseline": 0.2, "pitch": 0.03, "roll": 0.0, "yaw": 0.0, "x": 1.7, "y": 0.1, "z": 1.2},
    "intrinsic": {"fx": 2000.0, "fy": 2100.0, "u0": 1000.0, "v0": 500.0},
}
MAKE3D_NAMES = ("10.21op2-p-015t000", "combined1-p-139t0", "math7-p-282t0")


def write_image(path: Path, seed: int, size: tuple[int, int]) -> None:
    """Write an image (height, width) of smooth noise, whose lowest quarter is black like a bonnet."""
    small = np.random.default_rng(seed).integers(40, 256, (8, 16, 3), dtype=np.uint8)
    pixels = np.array(Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC))
    pixels[size[0] * 3 // 4 :] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def cityscapes_tree(root: Path, frames: int = 6, size: tuple[int, int] = (64, 128)) -> Path:
    """One training sequence with stereo, and one annotated frame each for validation and test.

    Disparity is 40 pixels (10 m) everywhere, unknown in the first row and infinitely far in the second.
    """
    steps = np.full((1024, 2048), 40 * 256 + 1, np.uint16)
    steps[0], steps[1] = 0, 1
    for part, city, numbers in (
        ("train", "aachen", range(frames)),
        ("val", "munster", range(17, 22)),
        ("test", "bonn", (19,)),
    ):
        for frame in numbers:
            for kind in ("leftImg8bit", "rightImg8bit"):
                folder = kind if part == "test" else f"{kind}_sequence"
                name = f"{folder}/{part}/{city}/{city}_000003_{frame:06d}_{kind}.png"
                write_image(root / name, frame, size)
        annotated = 3 if part == "train" else 19
        stem = f"{part}/{city}/{city}_000003_{annotated:06d}"
        for path in (root / f"camera/{stem}_camera.json", root / f"disparity/{stem}_disparity.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
        (root / f"camera/{stem}_camera.json").write_text(json.dumps(CITY_CAMERA))
        Image.fromarray(steps).save(root / f"disparity/{stem}_disparity.png", compress_level=1)
    return root


def make3d_tree(root: Path) -> Path:
    """Three portrait photos; the laser's distance is its row number plus one, and 0 in the first column."""
    grid = np.zeros((55, 305, 4))
    grid[:, 1:, 3] = np.arange(1, 56)[:, None]
    (root / "Gridlaserdata").mkdir(parents=True)
    for seed, name in enumerate(MAKE3D_NAMES):
        write_image(root / f"Test134/img-{name}.jpg", seed, (128, 96))
        savemat(root / f"Gridlaserdata/depth_sph_corr-{name}.mat", {"Position3DGrid": grid})
    return root
