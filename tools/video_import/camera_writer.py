"""Writes a camera to a file that `datasets.camera_files` reads."""

from pathlib import Path
from typing import Any

from common.atomic_files import write_json
from datasets.cameras import BROWN, FISHEYE, Camera

NAMES = {BROWN: "brown", FISHEYE: "fisheye"}


def write_camera_file(path: Path, camera: Camera, **about: Any) -> None:
    """This project's own format, with further entries for people. Raises UserError where it cannot be written."""
    height, width = camera.size
    model = int(camera.distortion[0])
    coefficients = camera.distortion[1 : 5 if model == FISHEYE else None]
    numbers = {"fx": camera.K[0, 0], "fy": camera.K[1, 1], "cx": camera.K[0, 2], "cy": camera.K[1, 2]}
    write_json(
        path,
        {
            **{name: float(value) for name, value in numbers.items()},
            "width": width,
            "height": height,
            "model": NAMES[model],
            "distortion": coefficients.tolist(),
            **about,
        },
    )
