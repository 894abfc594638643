"""Read upright frames and their times from a video or a folder of images."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.error import FFmpegError

from common.errors import DataError
from common.image_motion import small_grey
from common.images import load_small_grey, read_image
from common.input_files import find_images
from common.video import decode_frames, has_reliable_times, open_container, turns, video_stream

HEADER_WIDTH = 32  # pixels; only the size is wanted, and a small width is decoded faster


class SourceFrame(NamedTuple):
    """A frame: its index in the source, and its pixels, uint8 (H, W, 3) RGB, or (h, w) grey if requested."""

    index: int
    pixels: np.ndarray


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """Cut this part out of an image (H, W, ...)."""
        return np.ascontiguousarray(pixels[self.top : self.top + self.height, self.left : self.left + self.width])


class Source:
    """Frames in chronological order.

    Attributes:
        path: The file or folder.
        times: (N,) seconds from the first frame; their indices where the times are unknown.
        has_times: Whether the times are known.
        size: (height, width) of the upright frames.
        rotation: Counterclockwise rotation in degrees that makes the frames upright.
        pixel_aspect: Width of a pixel divided by its height.
        stated_rate: Frames per second that the times are computed from; None if the frames have time stamps.
        box: The part of the frames that is read, inside letterbox bars; None for all. ``size`` is its size.
    """

    path: Path
    times: np.ndarray
    has_times = True
    size: tuple[int, int]
    rotation = 0
    pixel_aspect = 1.0
    stated_rate: float | None = None
    box: Box | None = None

    def crop(self, box: Box) -> None:
        """Read only this part of the frames from now on."""
        self.box, self.size = box, (box.height, box.width)

    def _finished(self, pixels: np.ndarray, grey_width: int | None) -> np.ndarray:
        """Crop a frame, and convert it to grey if requested."""
        pixels = self.box.cut(pixels) if self.box else pixels
        return pixels if grey_width is None else small_grey(pixels, grey_width)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def version(self) -> list[int]:
        """Return the size in bytes and the modification time in ns, which reveal a changed source."""
        raise NotImplementedError

    def read(self, indices: Sequence[int], grey_width: int | None = None) -> Iterator[SourceFrame]:
        """Read the frames at these indices, skipping those that cannot be decoded.

        Args:
            indices: Ascending indices.
            grey_width: Width of grey frames to return instead of RGB.

        Raises:
            DataError: If the source cannot be read.
        """
        raise NotImplementedError


def open_source(path: Path, fps: float | None = None) -> Source:
    """Open a folder of images or a video; videos are recognised by their content.

    Args:
        path: The folder or video.
        fps: Frames per second of the images; None if unknown. Videos have their own times.

    Raises:
        DataError: If the path does not exist, is not a video, or has fewer than two frames.
    """
    if not path.exists():
        raise DataError(f"{path} not found.")
    source: Source = ImageFolderSource(path, fps) if path.is_dir() else VideoSource(path)
    if len(source) < 2:
        raise DataError(f"{path} has {len(source)} frames, expected at least 2.")
    return source


class ImageFolderSource(Source):
    """A folder of images, in the natural order of their names, with times if the frames per second are given."""

    def __init__(self, path: Path, fps: float | None = None) -> None:
        self.path = path
        self.fps = fps
        self.has_times = fps is not None
        self.images = find_images([str(path)], lambda note: print(f"  {note}"))
        self.times = np.arange(len(self.images)) / (fps or 1.0)
        self.size = self._full_size = read_image(self.images[0]).shape[:2]

    def keep_common_size(self) -> list[tuple[Path, tuple[int, int]]]:
        """Keep only the images of the most common size, and return the others with their sizes (height, width).

        Raises:
            DataError: If no size is that of more than half of the images.
        """
        sizes = [load_small_grey(image, HEADER_WIDTH)[0] for image in self.images]
        counts = Counter(sizes).most_common()
        size, count = counts[0]
        if 2 * count <= len(sizes):
            found = ", ".join(f"{number} of {width}x{height}" for (height, width), number in counts[:5])
            raise DataError(
                f"{self.path} has images of {len(counts)} sizes, none of them that of more than half of the images: "
                f"{found}. Put the images of each camera into a separate folder."
            )
        others = [(image, its) for image, its in zip(self.images, sizes, strict=True) if its != size]
        self.images = [image for image, its in zip(self.images, sizes, strict=True) if its == size]
        self.times, self.size, self._full_size = self.times[: len(self.images)], size, size
        return others

    @property
    def version(self) -> list[int]:
        """Return the total size in bytes and the latest modification time in ns."""
        statuses = [os.stat(image) for image in self.images]
        return [sum(status.st_size for status in statuses), max(status.st_mtime_ns for status in statuses)]

    def read(self, indices: Sequence[int], grey_width: int | None = None) -> Iterator[SourceFrame]:
        """Read images as ``Source.read`` does.

        Raises:
            DataError: If an image is damaged, or differs in size from the first one.
        """
        for index in indices:
            pixels = read_image(self.images[index])
            if pixels.shape[:2] != self._full_size:
                raise DataError(
                    f"{self.images[index]} is {pixels.shape[1]}x{pixels.shape[0]}, but earlier images are "
                    f"{self._full_size[1]}x{self._full_size[0]}. Put the images of each size into a separate folder."
                )
            yield SourceFrame(index, self._finished(pixels, grey_width))


class VideoSource(Source):
    """A video file. Frames are rotated by its display matrix, and have their own time stamps, not a frame rate.

    Without reliable time stamps, frames are identified by their position in the order of presentation, and always
    decoded from the start of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_container(self.path) as container:
            stream = video_stream(container)
            is_timed = has_reliable_times(container, stream)
            # Time stamps come from the packets, which need no decoding.
            packets = (packet for packet in container.demux(stream) if packet.size and not packet.is_discard)
            stamps = [_stamp(packet) for packet in packets]
            if is_timed and None not in stamps:
                self._stamps = np.array(sorted(set(stamps)), dtype=np.int64)
                self.times = (self._stamps - self._stamps[:1]) * float(stream.time_base)
            else:
                rate = stream.average_rate or stream.guessed_rate
                if not rate:
                    raise DataError(f"Video {path} has neither time stamps nor a frame rate. Convert it to MP4.")
                self.stated_rate = float(rate)
                self._stamps = np.arange(len(stamps))
                self.times = self._stamps / self.stated_rate
            self.pixel_aspect = float(stream.sample_aspect_ratio or 1)
        self._in_order: Iterator[tuple[int, av.VideoFrame]] = iter(())
        self._next = len(stamps)  # position of the next frame of ``_in_order``
        first = next(self.read(range(len(self.times))), None)
        if first is None:
            raise DataError(f"Video {path} is damaged or truncated. Copy it again.")
        self.size = first.pixels.shape[:2]
        if self.rotation % 180:
            self.pixel_aspect = 1 / self.pixel_aspect

    @property
    def version(self) -> list[int]:
        """Return the size in bytes and the modification time in ns of the file."""
        status = os.stat(self.path)
        return [status.st_size, status.st_mtime_ns]

    def read(self, indices: Sequence[int], grey_width: int | None = None) -> Iterator[SourceFrame]:
        """Read frames as ``Source.read`` does."""
        wanted = {int(self._stamps[index]): index for index in indices}
        if not wanted:
            return
        decode = self._decode if self.stated_rate is None else self._decode_in_order
        for stamp, frame in decode(min(wanted), max(wanted)):
            index = wanted.get(stamp)
            if index is not None:
                yield SourceFrame(index, self._upright(frame, grey_width))

    def _decode_in_order(self, first: int, last: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode the frames between two positions; continue after the previous call where possible."""
        if self._next > first:
            self._in_order, self._next = enumerate(self._all_frames()), 0
        for position, frame in self._in_order:
            self._next = position + 1
            yield position, frame
            if position >= last:
                return

    def _all_frames(self) -> Iterator[av.VideoFrame]:
        with open_container(self.path) as container:
            yield from decode_frames(container, video_stream(container))

    def _decode(self, first: int, last: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode the frames between two time stamps, starting at the key frame before the first."""
        for seek in (True, False):
            with open_container(self.path) as container:
                stream = video_stream(container)
                if seek:
                    try:
                        container.seek(first, stream=stream)
                    except FFmpegError:  # the format does not support seeking
                        continue
                begun = False
                for frame in decode_frames(container, stream):
                    stamp = frame.pts if frame.pts is not None else frame.dts
                    if stamp is None:
                        continue
                    if seek and not begun and stamp > first:  # the index is wrong: decode from the start
                        break
                    begun = True
                    if stamp >= first:
                        yield stamp, frame
                    if stamp >= last:
                        return
                if begun:
                    return

    def _upright(self, frame: av.VideoFrame, grey_width: int | None) -> np.ndarray:
        self.rotation = 90 * turns(frame)
        if grey_width is None or self.box:
            pixels = frame.to_ndarray(format="rgb24")
        else:
            across = frame.width if self.rotation % 180 == 0 else frame.height
            scale = min(1.0, grey_width / across)
            small = frame.reformat(max(1, round(frame.width * scale)), max(1, round(frame.height * scale)), "gray")
            pixels = small.to_ndarray()
        pixels = np.ascontiguousarray(np.rot90(pixels, self.rotation // 90))
        return self._finished(pixels, grey_width) if self.box else pixels


def _stamp(packet: av.Packet) -> int | None:
    return packet.pts if packet.pts is not None else packet.dts
