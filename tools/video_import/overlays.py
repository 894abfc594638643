"""Find what is fixed to the image instead of the scene: letterbox bars, bonnet, dashboard, watermark, time stamp.

Such pixels contradict the motion of the scene. The loss would explain them as infinitely far away, and their
surroundings with them.
"""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from common.errors import DataError, UserError
from common.image_motion import STATIC_MOTION, measure_motion, small_grey
from common.images import load_image
from datasets.cameras import Camera
from tools.video_import.sources import Box, Source

WIDTH = 640  # pixels; images are reduced to this width
SAMPLES, MIN_SAMPLES = 48, 12  # frames, spread over the source
SEEK_DISTANCE = 60  # frames; beyond it, seeking is faster than decoding
BAR_LEVEL, BAR_RANGE = 40, 12  # grey levels: brightness of bars at most, and their range over pixels and frames
BAR_EDGE = 10  # grey levels by which the image next to a bar is brighter
BLOCK = 8  # pixels next to the image that compression disturbs: a block of its transform
BAR_SHARES = 0.01, 0.4  # of the image's side
LEAST_GRADIENT = 6.0  # grey levels per pixel; texture that can be recognised above the noise
# Pixels. Where a scene moves, its edges move by more, even if the camera keeps its lane or looks at the horizon.
LARGEST_SHAKE = 0.25
STEADY = 85  # percentile over frames of the deviation
GAP = 0.015  # of the width; overlay texture that is this close belongs together, as letters do
LEAST_AREA = 0.0005  # of the image; smaller spots are no overlays
LARGEST_SHARE = 0.7  # of the image; beyond that, the camera did not move


def sample_frames(source: Source) -> list[np.ndarray]:
    """Read grey frames, uint8 (h, w), spread over the moving parts of a source; empty if they are too few."""
    count = min(SAMPLES, len(source))
    indices = np.unique(np.linspace(0, len(source) - 1, count).round().astype(int)).tolist()
    frames: list[np.ndarray] = []
    # In a long video, seeking is faster than decoding all frames.
    requests = [indices] if len(source) < SEEK_DISTANCE * count else [[index] for index in indices]
    for frame in chain.from_iterable(source.read(request, WIDTH) for request in requests):
        if not frames or measure_motion(frames[-1], frame.pixels) > STATIC_MOTION:
            frames.append(frame.pixels)
    return frames if len(frames) >= MIN_SAMPLES else []


def find_bars(frames: list[np.ndarray], size: tuple[int, int]) -> Box | None:
    """Find dark bars at the borders that never change.

    Args:
        frames: Of ``sample_frames``.
        size: (height, width) of the full images.

    Returns:
        The part inside the bars, in pixels of the full images; None without bars.
    """
    if not frames:
        return None
    brightest, darkest = (reduce(np.stack(frames), axis=0) for reduce in (np.max, np.min))
    ends = []
    for axis, full in ((1, size[0]), (0, size[1])):
        high, low = brightest.max(axis=axis).astype(int), darkest.min(axis=axis).astype(int)
        is_bar = (high <= BAR_LEVEL) & (high - low <= BAR_RANGE)
        scale = full / len(is_bar)
        for border, level in ((is_bar, high), (is_bar[::-1], high[::-1])):
            bar = _bar_end(border, level)
            low_share, high_share = BAR_SHARES
            is_real = low_share <= bar / len(is_bar) <= high_share
            # One more reduced pixel, which mixes bar and image.
            ends.append(int(np.ceil((bar + 1) * scale)) if is_real else 0)
    top, bottom, left, right = ends
    if not any(ends):
        return None
    return Box(top, left, size[0] - top - bottom, size[1] - left - right)


def _bar_end(is_bar: np.ndarray, level: np.ndarray) -> int:
    """Return where the image begins behind a bar at the border; 0 without a bar.

    Next to a bright image, lossy compression disturbs the last rows of a bar: they vary, but stay dark.

    Args:
        is_bar: bool (N,), rows or columns that are dark and never change, from the border inwards.
        level: (N,), their largest grey level.
    """
    bar = int(is_bar.argmin())
    bright = level[bar : bar + BLOCK] > level[:bar].max(initial=0) + BAR_EDGE
    return bar + int(bright.argmax()) if bar and bright.any() else 0


def cropped(camera: Camera, box: Box) -> Camera:
    """Return the camera of images that are cropped to a box."""
    K = camera.K.copy()
    K[:2, 2] -= box.left, box.top
    return replace(camera, K=K, size=(box.height, box.width))


def cut_reduced(frame: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    """Cut a box, in pixels of full images of ``size``, out of a reduced frame."""
    scale = frame.shape[1] / size[1]
    top, left = (int(np.ceil(edge * scale)) for edge in (box.top, box.left))
    return Box(top, left, int(box.height * scale), int(box.width * scale)).cut(frame)


def find_overlays(frames: list[np.ndarray]) -> np.ndarray | None:
    """Find texture that never moves, by its variance over time.

    If a texture with gradient g moves by d, its brightness changes by g d. The deviation over time divided by the
    gradient therefore tells how far an edge moves, in pixels: not at all for an overlay. The smooth sky has a small
    deviation as well, but no gradient, and does not count. At a horizon it has one, but there, land appears in more
    than a few frames. Digits that change often do not count by themselves, but are between others that do.

    Args:
        frames: Of ``sample_frames``.

    Returns:
        bool (h, w), True on overlays; None if there are none.
    """
    if not frames:
        return None
    stack = np.stack(frames)
    median = np.median(stack, axis=0).astype(np.float32)
    deviation = np.percentile(abs(stack - median), STEADY, axis=0)
    gradient = np.hypot(*(cv2.Sobel(median, cv2.CV_32F, *axes) / 8 for axes in ((1, 0), (0, 1))))
    is_fixed = (gradient > LEAST_GRADIENT) & (deviation < LARGEST_SHAKE * gradient)
    return _joined(is_fixed)


def _joined(is_fixed: np.ndarray) -> np.ndarray | None:
    """Join texture to areas, fill what they enclose with the lower borders of the image, and drop small ones."""
    margin = max(1, round(GAP * is_fixed.shape[1]))
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    outline = cv2.dilate(np.pad(is_fixed.astype(np.uint8), margin), ellipse)
    outline[-margin:] = 1  # a bonnet without texture has an edge from side to side or to the bottom
    outline[len(outline) // 2 :, :margin] = outline[len(outline) // 2 :, -margin:] = 1
    contours, _ = cv2.findContours(outline, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.erode(cv2.drawContours(np.zeros_like(outline), contours, -1, 1, cv2.FILLED), ellipse)
    filled = filled[margin:-margin, margin:-margin]
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(filled))
    is_large = statistics[:, cv2.CC_STAT_AREA] >= LEAST_AREA * is_fixed.size
    is_large[0] = False  # the background
    mask = cv2.dilate(is_large[labels].astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)  # blurred borders
    return mask if mask.any() and mask.mean() <= LARGEST_SHARE else None


def read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read a mask of the user: an image at the frames' size, black on what is ignored.

    Args:
        path: The image.
        size: (height, width) of the frames.

    Returns:
        bool (height, width), True on what is ignored.

    Raises:
        DataError: If the file is no image, has another size, or ignores everything or nothing.
    """
    try:
        image = load_image(path)
    except UserError as error:
        raise DataError(f"--mask {path} cannot be read as an image. Pass a PNG, black on what is ignored.") from error
    if (image.height, image.width) != size:
        raise DataError(
            f"--mask {path} is {image.width}x{image.height}, but the frames are {size[1]}x{size[0]}. Draw the mask on "
            "a frame of the source."
        )
    ignored = small_grey(np.asarray(image.convert("RGB")), image.width) < 128
    if ignored.all() or not ignored.any():
        what = "black everywhere" if ignored.all() else "not black anywhere"
        raise DataError(f"--mask {path} is {what}. Draw what is ignored in black, and everything else in white.")
    return ignored
