"""Find checkerboards in the frames of a video or folder with OpenCV, whole or partly visible."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from common.errors import DataError
from tools.video_import.sources import Source

MAX_FRAMES = 120  # searched for boards
MIN_BOARDS = 6  # needed for a calibration
MIN_BOARD_MOTION = 0.03  # of the width; a board that has moved less adds no information
SMALLEST_GRID = (3, 5)  # corners; a smaller part of a board says little, and textures can look like one
UNEVEN = 0.45  # of the mean; a square that is twice as wide as its neighbour differs by 0.67 of it
# Pixels of the longer side. The search for partly visible boards takes 0.5 s in 1280x720 and 5 s in 4K; close boards
# are sometimes found only at the smaller size.
SEARCH_WIDTHS = (1280, 640)
# The fast search finds whole boards only. On frames without a board, it takes a tenth of the time of the other.
WHOLE = cv2.CALIB_CB_ADAPTIVE_THRESH + cv2.CALIB_CB_NORMALIZE_IMAGE + cv2.CALIB_CB_FAST_CHECK
PARTIAL = cv2.CALIB_CB_NORMALIZE_IMAGE + cv2.CALIB_CB_ACCURACY + cv2.CALIB_CB_LARGER
REFINEMENT = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 40, 0.001)


class Board(NamedTuple):
    """The visible part of a board in one frame.

    Attributes:
        frame: Index of the frame in its source.
        shape: Number of visible inner corners (rows, columns), in an arbitrary orientation of the board.
        corners: (rows * columns, 2), row after row, in pixels.
    """

    frame: int
    shape: tuple[int, int]
    corners: np.ndarray

    @property
    def box(self) -> np.ndarray:
        """Bounding box: least x, least y, greatest x, greatest y."""
        return np.concatenate([self.corners.min(axis=0), self.corners.max(axis=0)])


def find_boards(
    source: Source, corners: tuple[int, int] | None, on_frame: Callable[[], None] = lambda: None
) -> tuple[list[Board], tuple[int, int]]:
    """Find the inner corners of the board in frames spread over the video.

    Which corners of the board are visible need not be known: the calibration estimates the position of each visible
    grid, and a part of a grid of squares is one itself.

    Args:
        source: The video, or a folder of images.
        corners: Number of inner corners (columns, rows); None to detect it as the largest grid that is seen twice.
        on_frame: Called after each searched frame.

    Returns:
        The boards, and the number of inner corners (columns, rows).

    Raises:
        DataError: If the board is found in too few positions.
    """
    found: list[Board] = []
    for frame in source.read(frames_to_search(source)):
        grid = find_grid(cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY), corners)
        if grid is not None:
            board = Board(frame.index, *grid)
            if not found or abs(board.box - found[-1].box).max() > MIN_BOARD_MOTION * source.size[1]:
                found.append(board)
        on_frame()
    size = corners or _common_size(found)
    boards = [board for board in found if _fits(board.shape, size)]
    if len(boards) < MIN_BOARDS:
        raise DataError(_too_few(source, boards, found, corners))
    return boards, size


def frames_to_search(source: Source) -> list[int]:
    """Choose up to ``MAX_FRAMES`` frames, evenly spaced over the video."""
    count = min(MAX_FRAMES, len(source))
    return np.unique(np.linspace(0, len(source) - 1, count).round().astype(int)).tolist()


def find_grid(grey: np.ndarray, corners: tuple[int, int] | None) -> tuple[tuple[int, int], np.ndarray] | None:
    """Find the inner corners of a board, or of the part of it that is visible.

    The second method is that of Duda and Frese, "Accurate Detection and Localization of Checkerboard Corners for
    Calibration", BMVC 2018.

    Args:
        grey: uint8 (H, W).
        corners: Number of inner corners (columns, rows), which allows a faster search; None if unknown.

    Returns:
        The number of visible corners (rows, columns), and their positions (N, 2) in pixels; None without a board.
    """
    if corners is not None:
        is_found, positions = cv2.findChessboardCorners(grey, corners, None, WHOLE)
        if is_found:
            return corners[::-1], _refined(grey, positions)
    grids = (_find_partial(grey, min(1.0, width / max(grey.shape))) for width in SEARCH_WIDTHS)
    return next(filter(None, grids), None)


def _find_partial(grey: np.ndarray, scale: float) -> tuple[tuple[int, int], np.ndarray] | None:
    """Search an image at a smaller scale for a board or a part of it, as ``find_grid``."""
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    is_found, positions, grid = cv2.findChessboardCornersSBWithMeta(small, (3, 3), PARTIAL)
    if not is_found or not _fits(SMALLEST_GRID, grid.shape) or not is_even(positions.reshape(*grid.shape, 2)):
        return None
    if scale < 1:
        positions = _refined(grey, (positions + 0.5) / scale - 0.5)
    return grid.shape, positions.reshape(-1, 2).astype(np.float64)


def is_even(grid: np.ndarray) -> bool:
    """Return whether neighbouring squares of a grid of corners (rows, columns, 2) have about the same size.

    This holds under any perspective and distortion that squares can be recognised in. The search sometimes skips a row
    or column, whose neighbours are then twice as wide.
    """
    for axis in (0, 1):
        steps = np.diff(grid, axis=axis)
        before, after = (np.delete(steps, end, axis=axis) for end in (-1, 0))
        if (np.linalg.norm(after - before, axis=-1) > UNEVEN * np.linalg.norm(after + before, axis=-1) / 2).any():
            return False
    return True


def _refined(grey: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Refine corners (N, 1, 2) to fractions of a pixel, and return them as (N, 2)."""
    positions = np.ascontiguousarray(positions, dtype=np.float32)
    return cv2.cornerSubPix(grey, positions, (5, 5), (-1, -1), REFINEMENT).reshape(-1, 2).astype(np.float64)


def _fits(part: Sequence[int], whole: Sequence[int]) -> bool:
    """Return whether a grid fits into another in some orientation."""
    return all(a <= b for a, b in zip(sorted(part), sorted(whole), strict=True))


def _common_size(found: Sequence[Board]) -> tuple[int, int]:
    """Return the largest number of corners (columns, rows), longer side first, that two boards have; (0, 0) if none."""
    counts = Counter(tuple(sorted(board.shape, reverse=True)) for board in found)
    return max((shape for shape, count in counts.items() if count > 1), key=np.prod, default=(0, 0))


def _too_few(source: Source, boards: Sequence[Board], found: Sequence[Board], corners: tuple[int, int] | None) -> str:
    """Explain why there are too few boards."""
    advice = (
        "Show the board close, sharp, tilted, and in all parts of the image; it may be partly outside the image, but "
        f"{SMALLEST_GRID[1]}x{SMALLEST_GRID[0]} inner corners must be visible."
    )
    larger = _common_size([board for board in found if corners and not _fits(board.shape, corners)])
    if larger != (0, 0):
        advice = f"Larger boards, such as {larger[0]}x{larger[1]} corners, were found: check --corners, or omit it."
    of = f" with {corners[0]}x{corners[1]} inner corners (--corners)" if corners else ""
    return (
        f"{source.path}: found the board{of} in {len(boards)} positions in {len(frames_to_search(source))} searched "
        f"frames, expected at least {MIN_BOARDS}. {advice}"
    )
