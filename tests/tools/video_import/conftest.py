"""Videos with known motion."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

MILLISECOND = Fraction(1, 1000)


def _write_video(path: Path, frames, stamps=None, rate: int = 30) -> Path:
    """Write RGB frames of even size as H.264; ``stamps`` are their times in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", MILLISECOND
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels))
            frame.pts, frame.time_base = stamps[number] if stamps else round(1000 * number / rate), MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _pan(shifts, height: int = 64, width: int = 192) -> list[np.ndarray]:
    """Render a flat texture, shifted horizontally by each of these pixels."""
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 256, (height // 4, 300, 3), dtype=np.uint8), None, fx=4, fy=4)
    shifts = list(shifts)
    moves = [np.array([[1, 0, -shift], [0, 1, 0]], dtype=float) for shift in shifts]
    return [cv2.warpAffine(texture, move, (width, height)) for move in moves]


@pytest.fixture
def pan():
    """Return a function: shifts in pixels -> frames with this motion."""
    return _pan


@pytest.fixture
def write_video():
    """Return a function: (path, frames, stamps, rate) -> path of the video."""
    return _write_video


@pytest.fixture
def video(tmp_path):
    """Write a video of 60 frames that move by 1.92 pixels per frame, 1 % of the width."""
    return _write_video(tmp_path / "drive.mp4", _pan(1.92 * i for i in range(60)))
