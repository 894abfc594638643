"""Write MP4 files that browsers and phones can play."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from common.errors import DataError, UserError
from common.video import TICKS_PER_SECOND, open_container, sound_track, video_stream

_MAX_DENOMINATOR = 1001  # of a frame rate, as in 30000/1001; a tick must be a fraction of 32-bit integers
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


class Mp4Writer:
    """Writer of MP4 files that browsers and phones can play: H.264 with 4:2:0 colour, AAC, index at the start.

    Args:
        path: The file, with any extension.
        rate: Frames per second; their average if the rate varies.
        crf: x264's constant rate factor; smaller means better quality.
        sound: Video whose first sound track is re-encoded as AAC; None for no sound.
        cut_sound: End the sound with the picture, for a picture that ends before that of the sound's video.
    """

    def __init__(
        self, path: Path, rate: float, crf: int = 15, sound: Path | None = None, cut_sound: bool = False
    ) -> None:
        self._path, self._crf = path, crf
        self._rate = max(Fraction(rate).limit_denominator(_MAX_DENOMINATOR), Fraction(1, _MAX_DENOMINATOR))
        self._sound, self._cut_sound = sound, cut_sound
        self._container = self._stream = None
        self._packets = (packet for packet in ())
        self._waiting: av.Packet | None = None
        # A multiple of the rate, so that a constant rate is written exactly.
        self._ticks = math.ceil(TICKS_PER_SECOND / self._rate)  # per frame
        self._tick = 1 / (self._rate * self._ticks)  # seconds
        self._next = 0  # time of the next frame in ticks, unless it has a time

    def write(self, picture: np.ndarray, seconds: float | None = None) -> None:
        """Add a frame. Odd sizes are padded, because 4:2:0 colour requires even ones.

        Args:
            picture: uint8 (H, W, 3), RGB.
            seconds: Time since the start of the video, above that of the previous frame; None for the time that
                follows from the rate.

        Raises:
            UserError: The file cannot be written.
        """
        height, width = picture.shape[:2]
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)))
        with self._faults():
            if self._container is None:
                self._open(picture.shape[1], picture.shape[0])
            frame = av.VideoFrame.from_ndarray(picture)
            place = self._next if seconds is None else round(seconds / self._tick)
            frame.pts, frame.duration, frame.time_base = place, self._ticks, self._tick
            self._mux_sound(float(place * self._tick))
            self._container.mux(self._stream.encode(frame))
        self._next = place + self._ticks

    def _open(self, width: int, height: int) -> None:
        self._container = av.open(f"file:{self._path}", "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=self._rate, options={"crf": str(self._crf)})
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = self._tick
        if self._sound is not None:
            self._packets = _sound_packets(self._sound, self._container)
            self._waiting = next(self._packets, None)

    def _mux_sound(self, until: float) -> None:
        """Write the sound up to ``until`` seconds, to interleave sound and picture."""
        while self._waiting is not None and float(self._waiting.pts * self._waiting.time_base) <= until:
            self._container.mux(self._waiting)
            self._waiting = next(self._packets, None)

    def __enter__(self) -> "Mp4Writer":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        """Finish the file.

        Raises:
            UserError: The file cannot be written.
        """
        if self._container is None:
            return
        try:
            if kind is not None:  # the partial file is discarded
                with suppress(FFmpegError, OSError):
                    self._container.close()
                return
            with self._faults():
                self._container.mux(self._stream.encode())
                self._mux_sound(float(self._next * self._tick) if self._cut_sound else math.inf)
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
        return UserError(f"Video {self._path} cannot be written. Check the free space on the disk.")


def _sound_packets(source: Path, target: OutputContainer) -> Iterator[av.Packet]:
    """Add an AAC stream to the target and yield its packets; time 0 is the start of the source's picture."""
    with open_container(source) as container:
        track, picture = sound_track(container), video_stream(container)
        if track is None:
            return
        start = float((picture.start_time or 0) * picture.time_base)
        rate = track.rate if track.rate in _AAC_RATES else 48000
        stream = target.add_stream("aac", rate=rate, layout="mono" if track.channels == 1 else "stereo")
        for frame in _sound_frames(container, track, start):
            yield from stream.encode(frame)
        yield from stream.encode(None)


def _sound_frames(container: InputContainer, track: av.AudioStream, start: float) -> Iterator[av.AudioFrame]:
    """Decode a track from second ``start``; skip damaged packets."""
    for packet in container.demux(track):
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        for frame in frames:
            seconds = 0.0 if frame.time is None else frame.time - start
            if seconds >= 0 and frame.pts is not None:
                frame.pts -= round(start / frame.time_base)
                yield frame
