"""K of the images to predict: from a file, from the field of view, or KITTI's."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.errors import DataError
from datasets.camera_files import read_camera_file
from datasets.cameras import Camera, rescale_and_validate
from datasets.kitti_calibration import odometry_intrinsics, rectified_intrinsics
from datasets.kitti_dataset import KITTIRawDataset
from datasets.transforms import scale_intrinsics

KITTI = "kitti"
LEFT_COLOUR_CAMERA = 2
CAMERA_FILES = (".json", ".yaml", ".yml")
Intrinsics = Callable[[tuple[int, int]], np.ndarray]  # (height, width) of an image -> its K (3, 3), in pixels


def make_intrinsics(source: str | None, fov: float | None) -> Intrinsics | None:
    """What gives K for an image of any size.

    Args:
        source: "kitti" for the method's fixed intrinsics, which belong to KITTI's shape of image; else a file: JSON or
            YAML, as the import takes it, or as `read_intrinsics` does. What it says holds for images of the size that
            the file names, or, where it names none, of every image as it is.
        fov: field of view across, degrees, of a camera with square pixels that looks through the image's middle.

    Returns:
        None where neither is given.

    Raises:
        DataError: the file cannot be read or holds no intrinsics; in JSON or YAML, it has a lens, or cannot be meant
            for an image, which the call with its size tells.
    """
    if fov is not None:
        return lambda size: Camera.from_view(fov, size, "by --fov").K
    if source == KITTI:
        fx, fy, cx, cy = KITTIRawDataset.MEAN_INTRINSICS
        return lambda size: np.diag([size[1], size[0], 1.0]) @ np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    if source is None:
        return None
    if Path(source).suffix.lower() in CAMERA_FILES:
        return _from_camera_file(Path(source))
    K, own_size = read_intrinsics(Path(source))
    return lambda size: K if own_size is None else scale_intrinsics(K, own_size, size)


def read_intrinsics(path: Path) -> tuple[np.ndarray, tuple[int, int] | None]:
    """K (3, 3) of a file, in pixels, and the (height, width) that it holds for, where the file says so.

    The file holds fx fy cx cy, or the nine numbers of K by rows; or it is a calibration file of KITTI,
    ``calib_cam_to_cam.txt`` of raw drives or ``calib.txt`` of odometry, of which the left colour camera's is taken.

    Raises:
        DataError: it cannot be read, or holds none of these.
    """
    try:
        words = path.read_text(encoding="utf-8", errors="replace").replace(",", " ").split()
    except OSError as error:
        raise DataError(f"--intrinsics {path} cannot be read: {error.strerror}.") from error
    if path.name == "calib_cam_to_cam.txt":
        return rectified_intrinsics(path.parent, LEFT_COLOUR_CAMERA)
    if path.name == "calib.txt":
        return odometry_intrinsics(path.parent, LEFT_COLOUR_CAMERA), None
    with suppress(ValueError):
        numbers = [float(word) for word in words]
        if len(numbers) == 4:
            fx, fy, cx, cy = numbers
            numbers = [fx, 0, cx, 0, fy, cy, 0, 0, 1]
        if len(numbers) == 9 and numbers[0] > 0 and numbers[4] > 0 and numbers[6:] == [0, 0, 1]:
            return np.array(numbers).reshape(3, 3), None
    raise DataError(
        f"--intrinsics {path}: expected fx fy cx cy, or the nine numbers of K by rows, in pixels, or KITTI's "
        f"calib_cam_to_cam.txt or calib.txt, or a camera as JSON or YAML; got '{' '.join(words)[:60]}'."
    )


def _from_camera_file(path: Path) -> Intrinsics:
    nowhere = (0, 0)
    camera = read_camera_file(path, nowhere)
    if camera.has_distortion:
        raise DataError(
            f"--intrinsics {path} has a lens, but points and the road are found in straight images: take "
            "what tools/import_video.py made of them, with the camera of its manifest, or leave the distortion out."
        )

    def fit(size: tuple[int, int]) -> np.ndarray:
        return rescale_and_validate(
            replace(camera, size=size) if camera.size == nowhere else camera, size, "the image"
        ).K

    return fit
