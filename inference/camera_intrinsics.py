"""Intrinsics of the images to predict: from a file, from the field of view, or KITTI's."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.text_files import read_text
from datasets.camera_files import read_camera_file
from datasets.cameras import Camera, rescale_and_validate
from datasets.kitti_calibration import odometry_intrinsics, rectified_intrinsics
from datasets.kitti_dataset import KITTIRawDataset

KITTI = "kitti"
LEFT_COLOUR_CAMERA = 2
RAW_CALIBRATION = "calib_cam_to_cam.txt"
NOWHERE = (0, 0)  # size of a camera whose file contains none
CAMERA_FILES = (".json", ".yaml", ".yml")
Intrinsics = Callable[[tuple[int, int]], np.ndarray]  # (height, width) of an image -> its K (3, 3), in pixels


def make_intrinsics(source: str | None, fov: float | None) -> Intrinsics | None:
    """Return a function from the size of an image to its K.

    Args:
        source: "kitti" for the method's fixed intrinsics, which assume KITTI's aspect ratio; or a file: JSON or YAML as
            for the video import, or a text of ``read_intrinsics``. Intrinsics in a file are scaled from the image size
            in the file; without one, they apply to every image unchanged. All are validated in the same way.
        fov: Horizontal field of view, degrees, of a camera with square pixels and a centred principal point.

    Returns:
        The function; None if neither is given.

    Raises:
        DataError: The file cannot be read or contains no intrinsics, or the camera has distortion; or, on calling the
            function, the intrinsics are implausible for an image of this size.
    """
    if fov is not None:
        return lambda size: Camera.from_view(fov, size, "by --fov").K
    if source == KITTI:
        fx, fy, cx, cy = KITTIRawDataset.MEAN_INTRINSICS
        return lambda size: np.diag([size[1], size[0], 1.0]) @ np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    if source is None:
        return None
    path = Path(source)
    camera = _read_camera(path) if path.suffix.lower() in CAMERA_FILES else _text_camera(path)

    @lru_cache
    def fit(size: tuple[int, int]) -> np.ndarray:
        """Return K (3, 3) in pixels of an image of this (height, width)."""
        sized = replace(camera, size=size) if camera.size == NOWHERE else camera
        if path.name == RAW_CALIBRATION:  # KITTI's images are often resized to a slightly different aspect ratio
            sized = sized.resized(size)
        return rescale_and_validate(sized, size, "the image").K

    return fit


def _text_camera(path: Path) -> Camera:
    K, size = read_intrinsics(path)
    return Camera(K, NOWHERE if size is None else size, np.zeros(9), f"--intrinsics {path}")


def read_intrinsics(path: Path) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Read K (3, 3) in pixels from a file, and the (height, width) that it applies to, if given.

    The file contains fx fy cx cy, or the nine numbers of K by rows, or is a KITTI calibration file
    (``calib_cam_to_cam.txt`` of raw drives, ``calib.txt`` of odometry), which gives K of the left colour camera.

    Raises:
        DataError: The file cannot be read, or contains none of these.
    """
    try:
        words = read_text(path).replace(",", " ").split()
    except OSError as error:
        raise DataError(f"--intrinsics {path} cannot be read: {error.strerror}.") from error
    if path.name == RAW_CALIBRATION:
        return rectified_intrinsics(path.parent, LEFT_COLOUR_CAMERA)
    if path.name == "calib.txt":
        return odometry_intrinsics(path.parent, LEFT_COLOUR_CAMERA), None
    with suppress(ValueError):
        numbers = [float(word) for word in words]
        if len(numbers) == 4:
            fx, fy, cx, cy = numbers
            numbers = [fx, 0, cx, 0, fy, cy, 0, 0, 1]
        if (
            len(numbers) == 9
            and np.isfinite(numbers).all()
            and numbers[0] > 0
            and numbers[4] > 0
            and numbers[6:] == [0, 0, 1]
        ):
            return np.array(numbers).reshape(3, 3), None
    raise DataError(
        f"--intrinsics {path}: got '{' '.join(words)[:60]}'; expected fx fy cx cy, or the nine numbers of K by rows, "
        "finite and in pixels, or KITTI's calib_cam_to_cam.txt or calib.txt, or a camera as JSON or YAML."
    )


def _read_camera(path: Path) -> Camera:
    camera = read_camera_file(path, NOWHERE)
    if camera.has_distortion:
        raise DataError(
            f"--intrinsics {path} has distortion, but point clouds and the road need undistorted images. Import the "
            "images with tools/import_video.py and use the camera of its manifest, or remove the distortion."
        )
    return camera
