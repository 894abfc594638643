"""Write videos of frames and their coloured disparity: colours, layout, timing."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from common.colormap import colour_range, colourise_disparity
from common.video_writer import Mp4Writer

SMOOTHING_SECONDS = 1.0
CAMERA_RATE = 10.0  # frames per second of a video from a live camera


class SteadyColours:
    """Colours disparity with a range that is smoothed over time, so that objects at constant depth keep their colour.

    The range is an exponential average of the ranges of the frames so far; the weight of a frame decays by a factor of
    e in ``SMOOTHING_SECONDS``.

    Args:
        rate: Frames per second.
    """

    def __init__(self, rate: float) -> None:
        self._keep = math.exp(-1 / (rate * SMOOTHING_SECONDS))
        self._range: np.ndarray | None = None

    def __call__(self, disp: np.ndarray) -> np.ndarray:
        """Colour the next frame (H, W): uint8 (H, W, 3), RGB."""
        own = np.array(colour_range(disp))
        self._range = own if self._range is None else self._keep * self._range + (1 - self._keep) * own
        return colourise_disparity(disp, tuple(self._range))


class VideoWriter:
    """Writer of an MP4 file (H.264, AAC) with frames next to their coloured disparity.

    Args:
        stream: Empty file opened with ``atomic_file``; the video is written to its name.
        rate: Frames per second; their average if the rate varies.
        sound: Video whose first audio track is copied; None for no sound.
        cut_sound: End the sound with the picture, for a picture that ends before that of the sound's video.
        colours: Function from disparity (H, W) to uint8 (H, W, 3); None uses ``SteadyColours``.
        below: Place the disparity below the frame instead of to its right.
    """

    def __init__(
        self,
        stream: BinaryIO,
        rate: float,
        sound: Path | None = None,
        cut_sound: bool = False,
        *,
        colours: Callable[[np.ndarray], np.ndarray] | None = None,
        below: bool = False,
    ) -> None:
        self._writer = Mp4Writer(Path(stream.name), rate, sound=sound, cut_sound=cut_sound)
        self._colours = colours or SteadyColours(rate)
        self._axis = 0 if below else 1

    def write(
        self, image: np.ndarray, scaled_disp: np.ndarray, times: int = 1, *, seconds: float | None = None
    ) -> None:
        """Write a frame with its disparity.

        Args:
            image: uint8 (H, W, 3), RGB.
            scaled_disp: Disparity (H, W).
            times: Number of repetitions, at the rate.
            seconds: Time since the start of the video; None for the time that follows from the rate.

        Raises:
            UserError: The file cannot be written.
        """
        picture = np.concatenate([image, self._colours(scaled_disp)], axis=self._axis)
        for number in range(times):
            self._writer.write(picture, None if number else seconds)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *raised) -> None:
        """Complete the file.

        Raises:
            UserError: The file cannot be written.
        """
        self._writer.__exit__(*raised)


class Clock:
    """Counts how often to repeat each frame of a camera, so that the video plays in real time.

    Args:
        rate: Frames per second of the video.
        now: Returns seconds since an arbitrary time.
    """

    def __init__(self, rate: float = CAMERA_RATE, now=time.monotonic) -> None:
        self._rate, self._now = rate, now
        self._started: float | None = None
        self._written = 0

    def times(self) -> int:
        """Return the number of repetitions of the current frame, at least 1."""
        if self._started is None:
            self._started = self._now()
        due = round((self._now() - self._started) * self._rate) + 1
        times = max(1, due - self._written)
        self._written += times
        return times
