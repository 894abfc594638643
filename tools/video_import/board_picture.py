"""Draw a board before and after undistortion: where a calibration is right, straight edges become straight."""

from collections.abc import Sequence

import cv2
import numpy as np

from datasets.cameras import Camera, Undistorter
from tools.video_import.board_detection import Board

COLOUR = 255, 40, 40
MAX_WIDTH = 1280  # pixels of each half


def choose_board(boards: Sequence[Board]) -> Board:
    """Return the board that covers most of the image: the distortion near the borders is the largest."""
    return max(boards, key=lambda board: np.prod(board.box[2:] - board.box[:2]))


def draw_board(pixels: np.ndarray, board: Board, camera: Camera) -> np.ndarray:
    """Draw a board as recorded and undistorted, side by side.

    A straight line from the first to the last corner of each row and column is drawn over both images. It follows the
    edges of the squares where the image is undistorted.

    Args:
        pixels: uint8 (H, W, 3), the board's frame.
        board: The board.
        camera: The calibrated camera.

    Returns:
        uint8 (h, 2 w, 3), w at most ``MAX_WIDTH``.
    """
    undistorter = Undistorter(camera)
    there = undistorter.camera.pixels(camera.rays(board.corners))
    halves = [
        _with_lines(image, corners.reshape(*board.shape, 2))
        for image, corners in ((pixels, board.corners), (undistorter.image(pixels), there))
    ]
    both = np.concatenate(halves, axis=1)
    scale = min(1.0, 2 * MAX_WIDTH / both.shape[1])
    return cv2.resize(both, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else both


def _with_lines(image: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return a copy of the image with lines over the rows and columns of corners (rows, columns, 2)."""
    image = np.ascontiguousarray(image).copy()
    thickness = max(1, round(image.shape[1] / 1000))
    for first, last in [*zip(grid[:, 0], grid[:, -1], strict=True), *zip(grid[0], grid[-1], strict=True)]:
        ends = [tuple(int(x) for x in np.round(end)) for end in (first, last)]
        cv2.line(image, *ends, COLOUR, thickness, cv2.LINE_AA)
    return image
