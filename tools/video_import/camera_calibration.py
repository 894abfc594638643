"""Calibrate a camera from a video of a checkerboard with OpenCV, and write the camera file.

Zhang, "A Flexible New Technique for Camera Calibration", PAMI 2000.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from common.atomic_files import write_json
from common.errors import DataError
from datasets.cameras import BROWN, FISHEYE, Camera
from tools.video_import.sources import Source

MAX_FRAMES = 120  # searched for boards
MAX_BOARDS, MIN_BOARDS = 40, 6  # used for the calibration
MIN_BOARD_MOTION = 0.03  # of the width; a board that has moved less adds no information
# findChessboardCornersSB is only slightly better, and takes ten times as long on frames without a board.
FLAGS = cv2.CALIB_CB_ADAPTIVE_THRESH + cv2.CALIB_CB_NORMALIZE_IMAGE + cv2.CALIB_CB_FAST_CHECK
REFINEMENT = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 40, 0.001)
GOOD_FIT = 1.0  # pixels
MODEL_NAMES = {BROWN: "brown", FISHEYE: "fisheye"}  # names in camera files


class Calibration(NamedTuple):
    """The result of a calibration.

    Attributes:
        camera: Intrinsics and distortion.
        error: Root mean square reprojection error of the corners, in pixels.
        boards: Number of boards used.
        covered: Share of the image that the bounding box of all corners covers.
    """

    camera: Camera
    error: float
    boards: int
    covered: float


def find_boards(
    source: Source, corners: tuple[int, int], on_frame: Callable[[], None] = lambda: None
) -> list[np.ndarray]:
    """Find the inner corners of the board in frames spread over the video.

    Args:
        source: The video, or a folder of images.
        corners: Number of inner corners (columns, rows).
        on_frame: Called after each searched frame.

    Returns:
        The corners of each board, (N, 2) in pixels.

    Raises:
        DataError: If the board is found in too few positions.
    """
    boards: list[np.ndarray] = []
    for frame in source.read(frames_to_search(source)):
        grey = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY)
        found, board = cv2.findChessboardCorners(grey, corners, None, FLAGS)
        if found:
            board = cv2.cornerSubPix(grey, board, (5, 5), (-1, -1), REFINEMENT).reshape(-1, 2).astype(np.float64)
            moved = np.inf if not boards else abs(board - boards[-1]).max()
            if moved > MIN_BOARD_MOTION * source.size[1]:
                boards.append(board)
        on_frame()
    if len(boards) < MIN_BOARDS:
        raise DataError(
            f"{source.path}: found the board in {len(boards)} positions, expected at least {MIN_BOARDS}. Check that "
            f"the board has {corners[0]}x{corners[1]} inner corners (--corners). Show the whole board, close, sharp, "
            "tilted, and in all parts of the image."
        )
    return boards


def frames_to_search(source: Source) -> list[int]:
    """Choose up to ``MAX_FRAMES`` frames, evenly spaced over the video."""
    count = min(MAX_FRAMES, len(source))
    return np.unique(np.linspace(0, len(source) - 1, count).round().astype(int)).tolist()


def calibrate(boards: list[np.ndarray], corners: tuple[int, int], size: tuple[int, int], fisheye: bool) -> Calibration:
    """Estimate the intrinsics and distortion of a camera from its images of a board.

    Args:
        boards: The corners of each board, (N, 2) in pixels.
        corners: Number of inner corners (columns, rows).
        size: (height, width) of the images.
        fisheye: Estimate k1 to k4 of the fisheye model instead of k1, k2, p1, p2, k3 of Brown's.

    Raises:
        DataError: If the calibration does not converge.
    """
    chosen = np.unique(np.linspace(0, len(boards) - 1, min(MAX_BOARDS, len(boards))).round().astype(int))
    seen = [boards[i].reshape(-1, 1, 2).astype(np.float32) for i in chosen]
    x, y = np.meshgrid(np.arange(corners[0]), np.arange(corners[1]))
    board = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1).reshape(-1, 1, 3).astype(np.float32)
    try:
        if fisheye:
            flags = cv2.fisheye.CALIB_RECOMPUTE_EXTRINSIC + cv2.fisheye.CALIB_FIX_SKEW
            points, seen = [board.astype(np.float64)] * len(seen), [corner.astype(np.float64) for corner in seen]
            error, K, coefficients, *_ = cv2.fisheye.calibrate(points, seen, size[::-1], None, None, flags=flags)
        else:
            error, K, coefficients, *_ = cv2.calibrateCamera([board] * len(seen), seen, size[::-1], None, None)
    except cv2.error as failure:
        raise DataError(
            f"Calibration from {len(seen)} boards failed. Tilt the board more, and show it in all parts of the image."
        ) from failure
    distortion = np.zeros(9)
    distortion[0] = FISHEYE if fisheye else BROWN
    coefficients = np.ravel(coefficients)
    distortion[1 : 1 + len(coefficients)] = coefficients
    spread = np.ptp(np.concatenate(seen).reshape(-1, 2), axis=0) / size[::-1]
    camera = Camera(K, size, distortion, "by checkerboard")
    return Calibration(camera, float(error), len(seen), float(np.prod(spread)))


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
