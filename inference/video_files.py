"""A coloured video of frames and their disparity: its colours, its layout, its pace."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from common.colormap import colour_range, colourise_disparity
from common.video import Mp4Writer

SMOOTHING_SECONDS = 1.0
CAMERA_RATE = 10.0  # of the video made of a camera's frames


class SteadyColours:
    """Disparity in colours whose scale follows a video slowly, so that what stays as near keeps its colour.

    Least and greatest value are those of the single picture, averaged over the frames before with weights that fall
    by e in ``SMOOTHING_SECONDS``.

    Args:
        rate: frames a second.
    """

    def __init__(self, rate: float) -> None:
        self._keep = math.exp(-1 / (rate * SMOOTHING_SECONDS))
        self._range: np.ndarray | None = None

    def __call__(self, disp: np.ndarray) -> np.ndarray:
        """The next frame's (H, W) as uint8 (H, W, 3), RGB."""
        own = np.array(colour_range(disp))
        self._range = own if self._range is None else self._keep * self._range + (1 - self._keep) * own
        return colourise_disparity(disp, tuple(self._range))


class VideoWriter:
    """An MP4 file (H.264, AAC) of frames beside their disparity in colours, written to ``stream`` under its own name.

    Args:
        stream: an empty file, as `atomic_file` opens it.
        rate: frames a second.
        sound: a video whose first track of sound is taken along; None for silence.
        length: seconds, after which picture and sound end; None for all of both.
        colours: makes disparity (H, W) uint8 (H, W, 3); `SteadyColours` by default.
        below: the disparity stands below the frame, not beside it.
    """

    def __init__(
        self,
        stream: BinaryIO,
        rate: float,
        sound: Path | None = None,
        length: float | None = None,
        *,
        colours: Callable[[np.ndarray], np.ndarray] | None = None,
        below: bool = False,
    ) -> None:
        self._writer = Mp4Writer(Path(stream.name), rate, sound=sound, length=length)
        self._colours = colours or SteadyColours(rate)
        self._axis = 0 if below else 1

    def write(self, image: np.ndarray, scaled_disp: np.ndarray, times: int = 1) -> None:
        """Adds a frame, uint8 (H, W, 3), with its disparity (H, W), as often as ``times``.

        Raises:
            UserError: The file cannot be written.
        """
        picture = np.concatenate([image, self._colours(scaled_disp)], axis=self._axis)
        for _ in range(times):
            self._writer.write(picture)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *raised) -> None:
        """Completes the file.

        Raises:
            UserError: The file cannot be written.
        """
        self._writer.__exit__(*raised)


class Clock:
    """How often each frame of a camera is to be written, so that the video runs at the time's own pace.

    Args:
        rate: frames a second of the video.
        now: seconds from any time on.
    """

    def __init__(self, rate: float = CAMERA_RATE, now=time.monotonic) -> None:
        self._rate, self._now = rate, now
        self._started: float | None = None
        self._written = 0

    def times(self) -> int:
        """For the frame that is there now; at least once."""
        if self._started is None:
            self._started = self._now()
        due = round((self._now() - self._started) * self._rate) + 1
        times = max(1, due - self._written)
        self._written += times
        return times
