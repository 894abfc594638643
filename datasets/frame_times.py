"""Recording times of frames: ``timestamps.txt`` of KITTI raw, ``times.txt`` of KITTI odometry; one line per frame."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import DataError
from common.text_files import read_text


class FrameTimes(NamedTuple):
    """Times of the frames of a sequence.

    Attributes:
        seconds: Frame number -> time in s since the first line of the file, or the start of the video; increasing.
        source: The file.
    """

    seconds: Mapping[int, float]
    source: Path


def read_frame_times(path: Path) -> FrameTimes:
    """Read a file of dates ("2011-09-26 13:02:25.964389445") or of seconds, one line per frame from frame 0.

    Raises:
        DataError: The file cannot be read, or its lines are not increasing times.
    """
    expected = "one increasing date or number of seconds per line. Copy the file again, or remove it to assume 10 Hz."
    try:
        lines = read_text(path).split("\n")
        while lines and not lines[-1].strip():
            lines.pop()
        seconds = _seconds([line.strip() for line in lines])
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path} cannot be read ({str(error)[:80]!r}), expected {expected}") from error
    wrong = np.flatnonzero(~np.isfinite(seconds[1:]) | ~(np.diff(seconds) > 0))
    if not len(seconds) or not np.isfinite(seconds[0]) or len(wrong):
        raise DataError(f"{path}, line {wrong[0] + 2 if len(wrong) else 1}: expected {expected}")
    return FrameTimes(dict(enumerate(seconds.tolist())), path)


def _seconds(lines: list[str]) -> np.ndarray:
    """Convert lines to seconds since the first: float64 (N,), not finite where a line is not a time."""
    if any(":" in line for line in lines):
        dates = np.array(lines, dtype="datetime64[ns]")
        return np.where(np.isnat(dates), np.nan, (dates - dates[0]).astype(np.float64) / 1e9)
    seconds = np.array(lines, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return seconds - seconds[0] if len(seconds) else seconds
