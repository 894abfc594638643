"""Opens and writes videos, by PyAV alone: the only place of the project that does.

The content decides on the demuxer (`common.signatures`), which is then forced, and FFmpeg may open the local file
itself and nothing else. FFmpeg alone would also follow playlists, scripts and references to other files and addresses.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from common.errors import DataError, UserError
from common.signatures import HEAD_BYTES, VIDEO_NAMES, video_format

MAX_PIXELS = 1 << 26  # of a frame: 8192x8192
# Of the demuxer. Some are FFmpeg's defaults, which must not change: they keep it from opening other files.
_OPTIONS = {"protocol_whitelist": "file"}
_OPTIONS_OF = {"mov": {"enable_drefs": "0", "use_absolute_path": "0"}}
_COUNTED = ("mov", "avi")  # formats whose index counts the frames
_LACKING_SECONDS = 1.0  # that other formats may state too many of
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Opens a video file for PyAV.

    Yields:
        The container, which has a video stream; `video_stream` gives it.

    Raises:
        DataError: The file is missing, of another format, damaged, or without video; also where the block meets damage.
    """
    with _open(path) as container, _damage(path):
        yield container


def _open(path: Path) -> InputContainer:
    demuxer = _demuxer(path)
    options = {**_OPTIONS, **_OPTIONS_OF.get(demuxer, {})}
    with _damage(path):
        # "file:" keeps names such as "concat:a|b" or "12:30.mp4" from being taken for addresses.
        container = av.open(f"file:{path}", format=demuxer, container_options=options)
    stream = container.streams.best("video")
    fault = None
    if stream is None:
        fault = "it holds only sound or nothing"
    elif stream.codec_context is None or not stream.width or not stream.height:
        fault = "it is damaged, or its codec is unknown"
    if fault:
        container.close()
        raise DataError(f"Video {path} cannot be read as a video: {fault}. Convert it to MP4, or copy it again.")
    return container


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (FFmpegError, OSError) as error:
        raise DataError(
            f"Video {path} cannot be read as a video ({error.strerror or error}): it is damaged or truncated. "
            "Copy it again."
        ) from error


def _demuxer(path: Path) -> str:
    try:
        with open(path, "rb") as stream:
            head = stream.read(HEAD_BYTES)
    except FileNotFoundError:
        raise DataError(f"Video {path} not found.") from None
    except OSError as error:
        raise DataError(f"Video {path} cannot be read ({error.strerror}).") from error
    if not head:
        raise DataError(f"Video {path} cannot be read as a video: the file is empty. Copy it again.")
    demuxer = video_format(head)
    if demuxer is None:
        raise DataError(f"Video {path} cannot be read as a video: its content is not {VIDEO_NAMES}. Convert it.")
    return demuxer


def video_stream(container: InputContainer) -> VideoStream:
    """Returns the stream to decode, which is no cover picture where there is another."""
    stream = container.streams.best("video")
    stream.thread_type = "AUTO"
    return stream


def decode_frames(
    container: InputContainer, stream: VideoStream, on_packet: Callable[[], None] = lambda: None
) -> Iterator[av.VideoFrame]:
    """Decodes the frames of a stream; damaged ones are left out.

    Args:
        container, stream: As `open_container` and `video_stream` give them.
        on_packet: Called for every packet that the file still holds.
    """
    for packet in container.demux(stream):
        if packet.size:
            on_packet()
        try:
            frames = packet.decode()
        except FFmpegError:  # the decoder goes on after it
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def turns(frame: av.VideoFrame) -> int:
    """Returns the quarter turns counterclockwise that a frame stands upright after."""
    return round(frame.rotation / 90) % 4


@dataclass(frozen=True)
class Video:
    """A video that is open for reading.

    Attributes:
        frames: uint8 (H, W, 3), RGB, upright, all of one size, at a constant rate. DataError where the file breaks off.
        rate: Frames per second.
        expected: Number of frames by the length that the file states; None where it states none.
        has_sound: Whether there is sound to keep.
    """

    frames: Iterator[np.ndarray]
    rate: float
    expected: int | None
    has_sound: bool


@contextmanager
def open_video(path: Path, *, max_pixels: int = MAX_PIXELS) -> Iterator[Video]:
    """Opens a video file to read its frames.

    Args:
        path: The file.
        max_pixels: Width times height that the stream may state; no frame is decoded before this check.

    Raises:
        DataError: The file is missing, of another format, damaged, or too large.
    """
    with _open(path) as container:
        stream = video_stream(container)
        if stream.width * stream.height > max_pixels:
            raise DataError(
                f"Video {path} is too large: its frames have {stream.width}x{stream.height} pixels, and at most "
                f"{max_pixels / 1e6:.1f} million are allowed. Make it smaller."
            )
        # Also for what grows later than its header says; decoders pad sizes a little.
        stream.codec_context.options = {"max_pixels": str(max_pixels + max_pixels // 8)}
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            raise DataError(f"Video {path} cannot be read as a video: it states no frame rate.")
        seconds = _seconds(container, stream)
        expected = round(seconds * rate) if seconds else None
        has_sound = _sound_track(container) is not None
        yield Video(_frames(container, stream, path, rate), float(rate), expected or None, has_sound)


def _seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The length that the file states."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _frames(container: InputContainer, stream: VideoStream, path: Path, rate: Fraction) -> Iterator[np.ndarray]:
    packets, last = 0, 0.0

    def count() -> None:
        nonlocal packets
        packets += 1

    number = 0
    try:
        for pixels, last in _at_constant_rate(decode_frames(container, stream, count), float(rate)):  # noqa: B007
            yield pixels
            number += 1
        fault = _breaks_off(container, stream, packets, last + 1 / float(rate))
    except (FFmpegError, OSError, MemoryError):
        fault = True
    if not number:
        raise DataError(f"Video {path} is damaged: it holds no frame that can be read.")
    if fault:
        raise DataError(f"Video {path} is damaged: it breaks off after {number} frames. Copy it again.")


def _breaks_off(container: InputContainer, stream: VideoStream, packets: int, seconds: float) -> bool:
    """Whether the file ended before what it states, after so many packets and seconds."""
    if container.format.name.split(",")[0] in _COUNTED and stream.frames:
        return packets < stream.frames
    stated = _seconds(container, stream)
    return stated is not None and seconds < 0.9 * stated - _LACKING_SECONDS


def _at_constant_rate(frames: Iterable[av.VideoFrame], rate: float) -> Iterator[tuple[np.ndarray, float]]:
    """Repeats and drops frames, as FFmpeg does, so that the n-th belongs to second n / rate.

    Yields:
        uint8 (H, W, 3), RGB, upright, and the seconds since the first frame.
    """
    start = size = before = None
    number, seconds = 0, 0.0
    for frame in frames:
        if start is None:
            start, size = frame.time, (frame.width, frame.height)
        if frame.time is not None and start is not None:
            seconds = frame.time - start
            ahead = seconds * rate - number
            if ahead < -1.1:
                continue
            for _ in range(round(ahead) if ahead > 1.1 and before is not None else 0):
                yield before, number / rate
                number += 1
        before = _pixels(frame, size)
        yield before, seconds
        number += 1


def _pixels(frame: av.VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """The frame as RGB, upright; one of another size is brought to that of the first."""
    pixels = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
    return np.ascontiguousarray(np.rot90(pixels, turns(frame)))


@contextmanager
def open_camera(number: int) -> Iterator[Iterator[np.ndarray]]:
    """Opens a camera for its frames, uint8 (H, W, 3), RGB, until it gives no more.

    Raises:
        UserError: The camera cannot be opened.
    """
    # OpenCV reports each way by which it tried to open a camera.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(int(number))
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


class Mp4Writer:
    """Writes an MP4 file that browsers and phones play: H.264 with subsampled colours, AAC, index first.

    Args:
        path: The file, of any ending.
        rate: Frames per second.
        crf: Quality of x264, smaller is better.
        sound: A video whose first sound track is copied as AAC; None for silence.
        length: Seconds after which picture and sound end; None for all of both.
    """

    def __init__(
        self, path: Path, rate: float, crf: int = 15, sound: Path | None = None, length: float | None = None
    ) -> None:
        self._path, self._rate, self._crf = path, Fraction(rate).limit_denominator(100_000), crf
        self._sound, self._length = sound, math.inf if length is None else length
        self._container = self._stream = None
        self._packets = (packet for packet in ())
        self._waiting: av.Packet | None = None
        self._count = 0

    def write(self, picture: np.ndarray) -> None:
        """Adds a frame, uint8 (H, W, 3), RGB; odd sizes are padded, since subsampled colours need even ones.

        Raises:
            UserError: The file cannot be written.
        """
        seconds = float(self._count / self._rate)
        if seconds >= self._length:
            return
        height, width = picture.shape[:2]
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)))
        with self._faults():
            if self._container is None:
                self._open(picture.shape[1], picture.shape[0])
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts, frame.time_base = self._count, 1 / self._rate
            self._mux_sound(seconds)
            self._container.mux(self._stream.encode(frame))
        self._count += 1

    def _open(self, width: int, height: int) -> None:
        self._container = av.open(f"file:{self._path}", "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=self._rate, options={"crf": str(self._crf)})
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = 1 / self._rate
        if self._sound is not None:
            self._packets = _sound_packets(self._sound, self._container, self._length)
            self._waiting = next(self._packets, None)

    def _mux_sound(self, until: float) -> None:
        """Writes the sound up to a second, so that both are interleaved."""
        while self._waiting is not None and float(self._waiting.pts * self._waiting.time_base) <= until:
            self._container.mux(self._waiting)
            self._waiting = next(self._packets, None)

    def __enter__(self) -> "Mp4Writer":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        """Completes the file.

        Raises:
            UserError: The file cannot be written.
        """
        if self._container is None:
            return
        try:
            if kind is not None:  # what is there is thrown away
                with suppress(FFmpegError, OSError):
                    self._container.close()
                return
            with self._faults():
                self._container.mux(self._stream.encode())
                self._mux_sound(math.inf)
                self._container.close()
        finally:
            self._packets.close()
        try:
            with open_container(self._path):
                pass
        except DataError as error:
            raise self._fault() from error

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (FFmpegError, OSError) as error:
            raise self._fault() from error

    def _fault(self) -> UserError:
        return UserError(f"The video {self._path} could not be written: is the disk full?")


def _sound_packets(source: Path, target: av.container.OutputContainer, length: float) -> Iterator[av.Packet]:
    """Adds an AAC stream to the target, and yields its packets; second 0 is that of the source's first frame."""
    with open_container(source) as container:
        track, picture = _sound_track(container), video_stream(container)
        if track is None:
            return
        start = float((picture.start_time or 0) * picture.time_base)
        rate = track.rate if track.rate in _AAC_RATES else 48000
        stream = target.add_stream("aac", rate=rate, layout="mono" if track.channels == 1 else "stereo")
        for frame in _sound_frames(container, track, start, length):
            yield from stream.encode(frame)
        yield from stream.encode(None)


def _sound_track(container: InputContainer) -> av.AudioStream | None:
    """The first track that can be decoded."""
    return next((track for track in container.streams.audio if track.codec_context is not None), None)


def _sound_frames(
    container: InputContainer, track: av.AudioStream, start: float, length: float
) -> Iterator[av.AudioFrame]:
    """Decodes a track from second ``start`` on; damaged sound is left out."""
    for packet in container.demux(track):
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        for frame in frames:
            seconds = 0.0 if frame.time is None else frame.time - start
            if seconds >= length:
                return
            if seconds >= 0 and frame.pts is not None:
                frame.pts -= round(start / frame.time_base)
                yield frame
