"""Read videos with PyAV. All other modules open videos through this one.

The content determines the demuxer (``common.signatures``), which is then forced. FFmpeg may open only the local file
itself: by default it would also follow playlists, scripts and references to other files and URLs.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from common.errors import DataError, UserError
from common.signatures import HEAD_BYTES, VIDEO_NAMES, image_format, open_file, unsupported_format, video_format

MAX_PIXELS = 1 << 26  # per frame: 8192x8192
# Demuxer options that prevent FFmpeg from opening other files. Some are its defaults, set in case these change.
_OPTIONS = {"protocol_whitelist": "file"}
_OPTIONS_OF = {"mov": {"enable_drefs": "0", "use_absolute_path": "0"}}
_COUNTED = ("mov", "avi")  # formats that store the number of frames
_REORDERING = ("h264", "hevc")  # codecs whose times in AVI are unknown if frames are reordered
_LACKING_SECONDS = 1.0  # tolerance of the stated duration in other formats
_BACKWARD_SECONDS = 1.0  # a larger step backwards is a clock that was reset, as in joined recordings
TICKS_PER_SECOND = 90_000  # the resolution of MPEG time stamps


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a video file with PyAV.

    Yields:
        The container. It has a video stream, which ``video_stream`` returns.

    Raises:
        DataError: The file is missing, has an unsupported format, is damaged, or has no video stream; or decoding in
            the block failed.
    """
    with _open(path) as container, _damage(path):
        yield container


def _open(path: Path) -> InputContainer:
    demuxer = _demuxer(path)
    options = {**_OPTIONS, **_OPTIONS_OF.get(demuxer, {})}
    with _damage(path):
        # The prefix "file:" prevents names such as "concat:a|b" or "12:30.mp4" from being parsed as URLs.
        container = av.open(f"file:{path}", format=demuxer, container_options=options)
    stream = container.streams.best("video")
    fault = None
    if stream is None:
        fault = "it has no video stream, only sound or nothing"
    elif stream.codec_context is None or not stream.width or not stream.height:
        fault = "it is damaged or its codec is unknown"
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
        with open_file(path) as stream:
            head = stream.read(HEAD_BYTES)
    except FileNotFoundError:
        raise DataError(f"Video {path} not found.") from None
    except OSError as error:
        raise DataError(f"Video {path} cannot be read ({error.strerror}).") from error
    if not head:
        raise DataError(f"Video {path} cannot be read as a video: the file is empty. Copy it again.")
    demuxer = video_format(head)
    if demuxer is None:
        known = unsupported_format(head, path.name)
        if known:
            raise DataError(f"Video {path} cannot be read as a video: it {known}. Supported are {VIDEO_NAMES}.")
        what = "it is an image" if image_format(head) else f"its content is not {VIDEO_NAMES}"
        raise DataError(f"Video {path} cannot be read as a video: {what}. Convert it.")
    return demuxer


def video_stream(container: InputContainer) -> VideoStream:
    """Return the best video stream; cover art only if there is no other."""
    stream = container.streams.best("video")
    stream.thread_type = "AUTO"
    return stream


def sound_track(container: InputContainer) -> av.AudioStream | None:
    """Return the first sound track that can be decoded."""
    return next((track for track in container.streams.audio if track.codec_context is not None), None)


def decode_frames(
    container: InputContainer, stream: VideoStream, on_packet: Callable[[], None] = lambda: None
) -> Iterator[av.VideoFrame]:
    """Decode the frames of a stream, and skip damaged ones.

    Args:
        container: Container from ``open_container``.
        stream: Stream from ``video_stream``.
        on_packet: Called for every packet in the file.
    """
    for packet in container.demux(stream):
        if packet.size:
            on_packet()
        try:
            frames = packet.decode()
        except FFmpegError:  # the decoder can continue with the next packet
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def has_reliable_times(container: InputContainer, stream: VideoStream) -> bool:
    """Return whether the frames have time stamps that ascend in the order of presentation.

    AVI stores only the order of decoding. FFmpeg derives the times of H.264 and HEVC from it, which are wrong where
    frames are reordered (B-frames). Decoding all frames in order still gives them in the order of presentation.
    """
    context = stream.codec_context
    return container.format.name != "avi" or context.name not in _REORDERING or not context.has_b_frames


def turns(frame: av.VideoFrame) -> int:
    """Return the number of counterclockwise quarter turns that make the frame upright."""
    return round(frame.rotation / 90) % 4


class TimedFrame(NamedTuple):
    """A frame: its pixels, uint8 (H, W, 3) RGB, upright, and its time in seconds since the start of the video."""

    pixels: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Video:
    """An open video.

    Attributes:
        frames: Frames of the same size, with ascending times. The iterator raises ``DataError`` if the file is
            truncated.
        rate: Frames per second; their average if the rate varies.
        expected: Number of frames according to the stated duration; None if the file states none.
        has_sound: Whether the file has a sound track that can be decoded.
    """

    frames: Iterator[np.ndarray]
    rate: float
    expected: int | None
    has_sound: bool


@contextmanager
def open_video(path: Path, *, max_pixels: int = MAX_PIXELS) -> Iterator[Video]:
    """Open a video file to read its frames.

    Args:
        path: The file.
        max_pixels: Maximum width times height; checked in the header, before any frame is decoded.

    Raises:
        DataError: The file is missing, has an unsupported format, is damaged, or its frames are too large.
    """
    with _open(path) as container:
        stream = video_stream(container)
        if stream.width * stream.height > max_pixels:
            raise DataError(
                f"Video {path} is too large: got {stream.width}x{stream.height} pixels per frame, allowed: "
                f"{max_pixels / 1e6:.1f} million. Resize it."
            )
        # Limits frames that grow beyond the size in the header; decoders pad sizes slightly.
        stream.codec_context.options = {"max_pixels": str(max_pixels + max_pixels // 8)}
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            raise DataError(f"Video {path} cannot be read as a video: it states no frame rate.")
        seconds = _seconds(container, stream)
        expected = round(seconds * rate) if seconds else None
        has_sound = sound_track(container) is not None
        yield Video(_frames(container, stream, path, rate), float(rate), expected or None, has_sound)


def _seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the duration that the file states, in seconds."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _frames(container: InputContainer, stream: VideoStream, path: Path, rate: Fraction) -> Iterator[TimedFrame]:
    packets = 0

    def count() -> None:
        nonlocal packets
        packets += 1

    number, size, seconds = 0, None, 0.0
    try:
        for frame, seconds in _timed(decode_frames(container, stream, count), stream, float(rate)):
            size = size or (frame.width, frame.height)
            yield TimedFrame(_pixels(frame, size), seconds)
            number += 1
        fault = _breaks_off(container, stream, packets, seconds + 1 / float(rate))
    except (FFmpegError, OSError, MemoryError):
        fault = True
    if not number:
        raise DataError(f"Video {path} is damaged: no frame can be decoded. Copy it again.")
    if fault:
        raise DataError(f"Video {path} is damaged or truncated: it ends after {number} frames. Copy it again.")


def _breaks_off(container: InputContainer, stream: VideoStream, packets: int, seconds: float) -> bool:
    """Return whether the file ended early, given the packets and seconds read."""
    if container.format.name.split(",")[0] in _COUNTED and stream.frames:
        return packets < stream.frames
    stated = _seconds(container, stream)
    return stated is not None and seconds < 0.9 * stated - _LACKING_SECONDS


def _timed(frames: Iterable[av.VideoFrame], stream: VideoStream, rate: float) -> Iterator[tuple[av.VideoFrame, float]]:
    """Yield each frame with its seconds since the start of the stream, in ascending order.

    Frames without a time follow the previous one at the average rate, as do those of a clock that was reset.
    """
    start = None if stream.start_time is None else float(stream.start_time * stream.time_base)
    is_timed = has_reliable_times(stream.container, stream)
    last = None
    for frame in frames:
        following = 0.0 if last is None else last + 1 / rate
        if frame.time is None or not is_timed:
            seconds = following
        else:
            if start is None or (last is None and frame.time - start < 2 / rate):
                start = frame.time  # the delay of reordering; a longer one is lost frames before the first key frame
            seconds = frame.time - start
            if last is not None and seconds < last - _BACKWARD_SECONDS:
                start, seconds = frame.time - following, following
            elif last is not None and seconds <= last:
                seconds = last + 1 / TICKS_PER_SECOND
        yield frame, seconds
        last = seconds


def _pixels(frame: av.VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """Convert a frame to upright RGB, resized to ``size`` (width, height) if it differs."""
    pixels = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
    return np.ascontiguousarray(np.rot90(pixels, turns(frame)))


@contextmanager
def open_camera(number: int) -> Iterator[Iterator[np.ndarray]]:
    """Open a camera.

    Yields:
        Its frames, uint8 (H, W, 3), RGB, until the camera stops delivering.

    Raises:
        UserError: The camera cannot be opened.
    """
    # OpenCV logs every backend that it tries.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(int(number))
    try:
        if not capture.isOpened():
            raise UserError(
                f"camera:{number} cannot be opened. Check that it is connected (camera:0 is the first one), that no "
                "other program uses it, and that you have permission to read it."
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
