"""Where frames come from: a video, or a folder of images; each frame upright, with the time it was taken at."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.error import FFmpegError

from common.errors import DataError
from common.image_motion import small_grey
from common.images import read_image
from common.input_files import find_images
from common.video import decode_frames, open_container, turns, video_stream


class SourceFrame(NamedTuple):
    """A frame: its place in the source, and uint8 (H, W, 3) RGB, or grey (h, w) where so asked for."""

    index: int
    pixels: np.ndarray


class Source:
    """Frames in the order of time.

    Attributes:
        path: the file or folder.
        times: (N,) of the frames, seconds from the first; of images, whose times are not known, their numbers.
        size: (height, width) of the upright frames.
        rotation: degrees counterclockwise that frames were turned by to stand upright.
        pixel_aspect: width of a pixel over its height.
    """

    path: Path
    times: np.ndarray
    size: tuple[int, int]
    rotation = 0
    pixel_aspect = 1.0

    def __len__(self) -> int:
        return len(self.times)

    @property
    def version(self) -> list[int]:
        """What changes when the source does: bytes and time of change; of a folder, of all its images."""
        raise NotImplementedError

    def read(self, indices: Sequence[int], grey_width: int | None = None) -> Iterator[SourceFrame]:
        """The frames of these places, which ascend; those that cannot be decoded are passed over.

        Args:
            grey_width: asks for grey frames of this width.

        Raises:
            DataError: nothing can be read any more.
        """
        raise NotImplementedError


def open_source(path: Path) -> Source:
    """A folder of images, or a video, told by its content.

    Raises:
        DataError: it is not there, is no video, or has less than two frames.
    """
    if not path.exists():
        raise DataError(f"{path} is not there.")
    source: Source = ImageFolderSource(path) if path.is_dir() else VideoSource(path)
    if len(source) < 2:
        raise DataError(f"{path} has {len(source)} frames: there is nothing to learn motion from.")
    return source


class ImageFolderSource(Source):
    """A folder of images, in the natural order of their names; none knows when it was taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images = find_images([str(path)])
        self.times = np.arange(len(self.images), dtype=float)
        self.size = read_image(self.images[0]).shape[:2]

    @property
    def version(self) -> list[int]:
        """Of all images."""
        statuses = [os.stat(image) for image in self.images]
        return [sum(status.st_size for status in statuses), max(status.st_mtime_ns for status in statuses)]

    def read(self, indices: Sequence[int], grey_width: int | None = None) -> Iterator[SourceFrame]:
        """As in `Source`. Raises DataError where an image is damaged, or of another size than the first."""
        for index in indices:
            pixels = read_image(self.images[index])
            if pixels.shape[:2] != self.size:
                raise DataError(
                    f"{self.images[index]} is {pixels.shape[1]}x{pixels.shape[0]}, the images before it "
                    f"{self.size[1]}x{self.size[0]}: put images of each size into a folder of their own."
                )
            yield SourceFrame(index, pixels if grey_width is None else small_grey(pixels, grey_width))


class VideoSource(Source):
    """A video file. Turned upright as its display matrix says; its frames' own times count, not a frame rate."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_container(self.path) as container:
            stream = video_stream(container)
            # The times of all packets, without decoding any.
            stamps = {_stamp(packet) for packet in container.demux(stream) if packet.size and not packet.is_discard}
            self._stamps = np.array(sorted(stamps - {None}), dtype=np.int64)
            self.times = (self._stamps - self._stamps[:1]) * float(stream.time_base)
            self.pixel_aspect = float(stream.sample_aspect_ratio or 1)
        first = next(self.read(range(len(self.times))), None)
        if first is None:
            raise DataError(f"Video {path} is damaged: it holds no frame that can be read.")
        self.size = first.pixels.shape[:2]
        if self.rotation % 180:
            self.pixel_aspect = 1 / self.pixel_aspect

    @property
    def version(self) -> list[int]:
        """Of the file."""
        status = os.stat(self.path)
        return [status.st_size, status.st_mtime_ns]

    def read(self, indices: Sequence[int], grey_width: int | None = None) -> Iterator[SourceFrame]:
        """As in `Source`."""
        wanted = {int(self._stamps[index]): index for index in indices}
        if not wanted:
            return
        frames = self._decode(min(wanted), max(wanted))
        for frame in frames:
            index = wanted.get(frame.pts if frame.pts is not None else frame.dts)
            if index is not None:
                yield SourceFrame(index, self._upright(frame, grey_width))

    def _decode(self, first: int, last: int) -> Iterator[av.VideoFrame]:
        """The frames from one time stamp to another, from the key frame before the first on."""
        for seek in (True, False):
            with open_container(self.path) as container:
                stream = video_stream(container)
                if seek:
                    try:
                        container.seek(first, stream=stream)
                    except FFmpegError:  # this format cannot seek
                        continue
                begun = False
                for frame in decode_frames(container, stream):
                    stamp = frame.pts if frame.pts is not None else frame.dts
                    if seek and not begun and stamp > first:  # an index that leads astray
                        break
                    begun = True
                    if stamp >= first:
                        yield frame
                    if stamp >= last:
                        return
                if begun:
                    return

    def _upright(self, frame: av.VideoFrame, grey_width: int | None) -> np.ndarray:
        self.rotation = 90 * turns(frame)
        if grey_width is None:
            pixels = frame.to_ndarray(format="rgb24")
        else:
            across = frame.width if self.rotation % 180 == 0 else frame.height
            scale = min(1.0, grey_width / across)
            small = frame.reformat(max(1, round(frame.width * scale)), max(1, round(frame.height * scale)), "gray")
            pixels = small.to_ndarray()
        return np.ascontiguousarray(np.rot90(pixels, self.rotation // 90))


def _stamp(packet: av.Packet) -> int | None:
    return packet.pts if packet.pts is not None else packet.dts
