"""Videos and cameras: their frames in, and a coloured video out, by the ffmpeg that imageio-ffmpeg finds or brings."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import imageio_ffmpeg
import numpy as np

from common.colormap import colour_range, colourise_disparity
from common.errors import DataError, UserError

SMOOTHING_SECONDS = 1.0
CAMERA_RATE = 10.0  # of the video made of a camera's frames


@dataclass(frozen=True)
class Video:
    """A video that is open for reading.

    Attributes:
        frames: uint8 (H, W, 3), RGB, upright, at a constant rate; DataError where the file breaks off within a frame.
        rate: frames a second.
        expected: how many frames there should be, by the length that the file states; None where it states none.
        has_sound: whether there is sound to keep.
    """

    frames: Iterator[np.ndarray]
    rate: float
    expected: int | None
    has_sound: bool


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Opens a video file. Raises DataError where it is missing, damaged, or no video; UserError without ffmpeg."""
    reader = imageio_ffmpeg.read_frames(str(path))
    try:
        about = _start(reader, path)
        expected = round(about["duration"] * about["fps"]) or None
        yield Video(_frames(reader, about["size"], path), about["fps"], expected, "audio_codec" in about)
    finally:
        reader.close()


def _start(reader: Iterator, path: Path) -> dict:
    """What ffmpeg says of the file."""
    try:
        about = next(reader)
    except RuntimeError as error:
        raise UserError(
            "No ffmpeg is found, which reads videos: install one, or pip install imageio-ffmpeg."
        ) from error
    except (OSError, LookupError, AttributeError, ValueError) as error:  # it parses what ffmpeg prints
        fault = "cannot be read as a video: it is damaged, or none" if path.is_file() else "not found"
        raise DataError(f"Video {path} {fault}.") from error
    if not about["fps"]:
        raise DataError(f"Video {path} cannot be read as a video: it states no frame rate.")
    return about


def _frames(reader: Iterator[bytes], size: tuple[int, int], path: Path) -> Iterator[np.ndarray]:
    width, height = size
    count = 0
    try:
        for data in reader:
            yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
            count += 1
    except RuntimeError as error:
        raise DataError(f"Video {path} is damaged: it breaks off after {count} frames.") from error
    if not count:
        raise DataError(f"Video {path} is damaged: it holds no frame that can be read.")


@contextmanager
def open_camera(number: int) -> Iterator[Iterator[np.ndarray]]:
    """Frames of a camera, uint8 (H, W, 3), RGB, until it gives no more. Raises UserError where it cannot be opened."""
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # it tells at length of each way by which it tried to open a camera
    capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            raise UserError(
                f"camera:{number} cannot be opened. Is it plugged in (camera:0 is the first one), does another program "
                "use it, may you read it?"
            )
        yield _captured(capture)
    finally:
        capture.release()


def _captured(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


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
        length: seconds, after which the sound ends too; None for all of it.
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
        self._path, self._rate, self._sound, self._length = stream.name, rate, sound, length
        self._colours = colours or SteadyColours(rate)
        self._axis = 0 if below else 1
        self._writer = None

    def write(self, image: np.ndarray, scaled_disp: np.ndarray, times: int = 1) -> None:
        """Adds a frame, uint8 (H, W, 3), with its disparity (H, W), as often as ``times``."""
        picture = np.concatenate([image, self._colours(scaled_disp)], axis=self._axis)
        if self._writer is None:
            self._writer = self._open(picture.shape[1], picture.shape[0])
        try:
            for _ in range(times):
                self._writer.send(np.ascontiguousarray(picture))
        except OSError as error:
            raise self._fault() from error

    def _open(self, width: int, height: int) -> Iterator:
        length = [] if self._length is None else ["-t", str(self._length)]
        writer = imageio_ffmpeg.write_frames(
            self._path,
            (width, height),
            fps=self._rate,
            macro_block_size=1,
            quality=7,
            ffmpeg_log_level="error",
            audio_path=self._sound and str(self._sound),
            audio_codec=self._sound and "aac",
            # H.264 with subsampled colours, which all players know, needs even sizes.
            output_params=["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-f", "mp4", "-movflags", "+faststart", *length],
        )
        writer.send(None)
        return writer

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        """Completes the file. Raises UserError where ffmpeg has not made a video of it."""
        if self._writer is None:
            return
        self._writer.close()
        if kind is None:
            try:
                with open_video(Path(self._path)):
                    pass
            except DataError as error:
                raise self._fault() from error

    def _fault(self) -> UserError:
        return UserError(f"ffmpeg could not write the video {self._path}: is the disk full?")


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
