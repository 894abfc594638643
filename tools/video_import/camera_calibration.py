"""Calibrate a camera from a video of a checkerboard with OpenCV, and write the camera file.

Zhang, "A Flexible New Technique for Camera Calibration", PAMI 2000.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from common.atomic_files import write_json
from common.errors import DataError
from datasets.cameras import BROWN, FISHEYE, Camera, is_invertible
from evaluation.metrics.pose_metrics import rms_distance
from tools.video_import.board_detection import MIN_BOARDS, Board

MAX_BOARDS = 40  # used for the calibration
GOOD_FIT = 1.0  # pixels
OUTLIER = 4.0  # times the median error of the boards, and more than GOOD_FIT: the corners are wrong
# OpenCV 5 moved the flags of the fisheye model, and changed their values.
_FLAGS = cv2.fisheye if hasattr(cv2.fisheye, "CALIB_FIX_SKEW") else cv2
FISHEYE_FLAGS = _FLAGS.CALIB_RECOMPUTE_EXTRINSIC + _FLAGS.CALIB_FIX_SKEW
MODEL_NAMES = {BROWN: "brown", FISHEYE: "fisheye"}  # names in camera files


class Calibration(NamedTuple):
    """The result of a calibration.

    Attributes:
        camera: Intrinsics and distortion.
        error: Root mean square reprojection error of the corners, in pixels.
        boards: The boards used.
        errors: The same for each of the boards.
        covered: Share of the image that the bounding box of all corners covers.
        rejected: Boards that were left out because the others contradict them.
    """

    camera: Camera
    error: float
    boards: Sequence[Board]
    errors: np.ndarray
    covered: float
    rejected: Sequence[Board]


def calibrate(boards: Sequence[Board], size: tuple[int, int], fisheye: bool) -> Calibration:
    """Estimate the intrinsics and distortion of a camera from its images of a board.

    Boards that do not fit, because the detection mistook something else for them, are left out in a second pass. If
    Brown's distortion folds the image over outside the area that the boards cover, k3 is 0.

    Args:
        boards: At most ``MAX_BOARDS`` of them are used, evenly spaced.
        size: (height, width) of the images.
        fisheye: Estimate k1 to k4 of the fisheye model instead of k1, k2, p1, p2, k3 of Brown's.

    Raises:
        DataError: If the calibration does not converge.
    """
    chosen = np.unique(np.linspace(0, len(boards) - 1, min(MAX_BOARDS, len(boards))).round().astype(int))
    used = [boards[i] for i in chosen]
    first = _fit(used, size, fisheye)
    is_wrong = first.errors > max(GOOD_FIT, OUTLIER * np.median(first.errors))
    kept = [board for board, wrong in zip(used, is_wrong, strict=True) if not wrong]
    if len(kept) == len(used) or len(kept) < MIN_BOARDS:
        return first
    rejected = [board for board, wrong in zip(used, is_wrong, strict=True) if wrong]
    return _fit(kept, size, fisheye)._replace(rejected=rejected)


def _fit(boards: Sequence[Board], size: tuple[int, int], fisheye: bool) -> Calibration:
    """Calibrate with all these boards; without k3 if the distortion is not invertible with it."""
    found = _fit_model(boards, size, fisheye, FISHEYE_FLAGS if fisheye else 0)
    if fisheye or is_invertible(found.camera):
        return found
    return _fit_model(boards, size, fisheye, cv2.CALIB_FIX_K3)


def _fit_model(boards: Sequence[Board], size: tuple[int, int], fisheye: bool, flags: int) -> Calibration:
    """Calibrate with all these boards, and these flags of OpenCV."""
    number = np.float64 if fisheye else np.float32
    seen = [board.corners[None].astype(number) for board in boards]
    points = [_grid_points(board.shape).astype(number) for board in boards]
    try:
        if fisheye:
            fit = cv2.fisheye.calibrate(points, seen, size[::-1], None, None, flags=flags)
        else:
            fit = cv2.calibrateCamera(points, seen, size[::-1], None, None, flags=flags)
    except cv2.error as failure:
        raise DataError(
            f"Calibration from {len(seen)} boards failed. Tilt the board more, and show it in all parts of the image."
        ) from failure
    error, K, coefficients, rotations, translations = fit
    distortion = np.zeros(9)
    distortion[0] = FISHEYE if fisheye else BROWN
    coefficients = np.ravel(coefficients)
    distortion[1 : 1 + len(coefficients)] = coefficients
    project = cv2.fisheye.projectPoints if fisheye else cv2.projectPoints
    errors = [
        rms_distance(corners[0], project(grid, *pose, K, coefficients)[0].reshape(-1, 2))
        for grid, corners, *pose in zip(points, seen, rotations, translations, strict=True)
    ]
    spread = np.ptp(np.concatenate([board.corners for board in boards]), axis=0) / size[::-1]
    camera = Camera(K, size, distortion, "by checkerboard")
    return Calibration(camera, float(error), boards, np.array(errors), float(np.prod(spread)), [])


def _grid_points(shape: tuple[int, int]) -> np.ndarray:
    """Return the corners (1, N, 3) of a grid (rows, columns) in its own plane, in squares."""
    y, x = np.indices(shape)
    return np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)[None]


def write_camera_file(path: Path, camera: Camera, **about: Any) -> None:
    """Write a camera to a JSON file that ``datasets.camera_files`` reads.

    Args:
        path: The file.
        camera: The camera, with distortion.
        about: Further entries for readers, which the project ignores.

    Raises:
        UserError: If the file cannot be written.
    """
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
            "model": MODEL_NAMES[model],
            "distortion": coefficients.tolist(),
            **about,
        },
    )
