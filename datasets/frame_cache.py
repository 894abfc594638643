"""Frames kept at the networks' size, before flip and jitter, so that each file is decoded and resized once.

A cache may be used by many processes at once, and a process that is killed leaves nothing half-written that another
would take. A frame is used as long as its file has the size and time of change that it was made from. Less is kept than
would fill the memory or the disk.
"""

import contextlib
import math
import mmap
import os
import shutil
import struct
import tempfile
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.shared_memory import SharedBuffer
from datasets.transforms import Frame, load_frame

SPARE_BYTES = 4e9  # of memory or disk that are left to others
LEFTOVER_SECONDS = 3600.0  # a frame is written within milliseconds
Version = tuple[int, int]  # of a file: bytes, and time of change in nanoseconds


class FrameCache:
    """What the caches have in common.

    Args:
        height, width: of the frames.
        spare_bytes: how much of what it is kept on is left free.
    """

    def __init__(self, height: int, width: int, spare_bytes: float = SPARE_BYTES) -> None:
        self.height, self.width = height, width
        self.spare_bytes = spare_bytes

    @property
    def frame_bytes(self) -> int:
        """What a frame takes at most; a third of it where it is grey."""
        return 3 * self.height * self.width

    def load(self, path: str) -> Frame:
        """As `load_frame`: kept from before, or kept from now on where there is room. Its pixels may be read-only."""
        version = _version(path)
        frame = self._find(path, version) if version else None
        if frame is None:
            frame = load_frame(path, self.height, self.width)
            # The file may have been written to meanwhile.
            if version == _version(path) and self.free_bytes() > self.spare_bytes + self.frame_bytes:
                self._keep(path, version, frame)
        return frame

    def describe_room(self, paths: Iterable[str]) -> str:
        """Whether there is room for the frames of these paths, for whoever waits for them."""
        missing = sum(not self._holds(path) for path in paths)
        needed, room = missing * self.frame_bytes, max(0.0, self.free_bytes() - self.spare_bytes)
        text = (
            f"{missing} frames to keep in {self}, {needed / 1e9:.1f} GB at most; there is room for {room / 1e9:.1f} GB"
        )
        if needed > room:
            text += f", so that {1 - room / needed:.0%} of them may have to be decoded each time"
        return text

    def free_bytes(self) -> float:
        """How much is free where the frames are kept."""
        raise NotImplementedError

    def _holds(self, path: str) -> bool:
        """Whether there is a frame of this path, perhaps of an earlier version."""
        raise NotImplementedError

    def _find(self, path: str, version: Version) -> Frame | None:
        raise NotImplementedError

    def _keep(self, path: str, version: Version, frame: Frame) -> None:
        raise NotImplementedError


class DiskCache(FrameCache):
    """A file for each frame, which is mapped into memory: ``folder/WIDTHxHEIGHT/PATH.frame``.

    Files are never changed, but replaced by whole ones.

    Raises:
        UserError: the folder cannot be written.
    """

    HEADER = struct.Struct("<8s5q")  # kind of file, channels, height and width of the source, version
    KIND = b"frame v1"

    def __init__(self, height: int, width: int, folder: str | Path, spare_bytes: float = SPARE_BYTES) -> None:
        super().__init__(height, width, spare_bytes)
        self.folder = Path(folder) / f"{width}x{height}"
        self._unfinished = self.folder / ".unfinished"
        try:
            self._unfinished.mkdir(parents=True, exist_ok=True)
            for path in self._unfinished.iterdir():
                if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:  # of a process that was killed
                    path.unlink(missing_ok=True)
            with tempfile.TemporaryFile(dir=self._unfinished):
                pass
        except OSError as error:
            raise UserError(
                f"frames cannot be kept in {self.folder}: {error.strerror or error}. Name another --cache_dir, or "
                "choose --cache ram or none."
            ) from error

    def __str__(self) -> str:
        return str(self.folder)

    def free_bytes(self) -> float:
        """Of the disk; 0 where the folder is gone."""
        try:
            return shutil.disk_usage(self.folder).free
        except OSError:
            return 0.0

    def _path(self, path: str) -> str:
        return f"{self.folder}{os.path.splitdrive(os.path.abspath(path))[1]}.frame"

    def _holds(self, path: str) -> bool:
        return os.path.exists(self._path(path))

    def _find(self, path: str, version: Version) -> Frame | None:
        try:
            with open(self._path(path), "rb") as file:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            kind, channels, height, width, *made_from = self.HEADER.unpack_from(memory)
        except (OSError, ValueError, struct.error):  # none, an empty one, one that is too short
            return None
        shape = (channels, self.height, self.width)
        if kind != self.KIND or tuple(made_from) != version or len(memory) != self.HEADER.size + math.prod(shape):
            return None
        return Frame(np.frombuffer(memory, np.uint8, offset=self.HEADER.size).reshape(shape), (height, width))

    def _keep(self, path: str, version: Version, frame: Frame) -> None:
        unfinished, final = self._unfinished / uuid.uuid4().hex, self._path(path)
        header = self.HEADER.pack(self.KIND, len(frame.pixels), *frame.original_size, *version)
        try:
            unfinished.write_bytes(header + frame.pixels.tobytes())
            os.makedirs(os.path.dirname(final), exist_ok=True)
            os.replace(unfinished, final)
        except OSError:  # training goes on without, as where there is no room
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)


class RamCache(FrameCache):
    """Memory of this process and those that it starts, which has a place for each frame and is free after them.

    A place is filled once: of a file that changes while it is used, the later versions are decoded each time.

    Not a ``DiskCache`` in /dev/shm: that holds half the memory, and in a container 64 MB unless told otherwise; what a
    killed run leaves there keeps its memory; and opening a file for each frame takes 70 us where a place takes 28.

    Args:
        paths: of all files that there will be frames of.
    """

    RECORD = np.dtype([("version", "<i8", 2), ("original_size", "<i8", 2), ("channels", "<i8")])

    def __init__(self, height: int, width: int, paths: Iterable[str], spare_bytes: float = SPARE_BYTES) -> None:
        super().__init__(height, width, spare_bytes)
        self._places = {path: place for place, path in enumerate(dict.fromkeys(paths))}
        self._memory = SharedBuffer(len(self._places) * (self.RECORD.itemsize + self.frame_bytes))

    def __str__(self) -> str:
        return "memory"

    def free_bytes(self) -> float:
        """Of the machine, or of the container that this runs in."""
        return min(_free_memory(), _free_memory_of_container())

    def _record(self, path: str) -> np.ndarray:
        """(1,)"""
        start = self._places[path] * self.RECORD.itemsize
        return self._memory.bytes[start : start + self.RECORD.itemsize].view(self.RECORD)

    def _pixels(self, path: str, channels: int) -> np.ndarray:
        start = len(self._places) * self.RECORD.itemsize + self._places[path] * self.frame_bytes
        shape = (channels, self.height, self.width)
        return self._memory.bytes[start : start + math.prod(shape)].reshape(shape)

    def _holds(self, path: str) -> bool:
        return bool(self._record(path)["channels"][0])

    def _find(self, path: str, version: Version) -> Frame | None:
        record = self._record(path)[0]
        if not record["channels"] or tuple(record["version"].tolist()) != version:
            return None
        return Frame(self._pixels(path, int(record["channels"])), tuple(record["original_size"].tolist()))

    def _keep(self, path: str, version: Version, frame: Frame) -> None:
        if self._holds(path):
            return
        channels = len(frame.pixels)
        self._pixels(path, channels)[:] = frame.pixels
        record = self._record(path)
        record["version"], record["original_size"] = version, frame.original_size
        record["channels"] = channels  # last: now it is whole


def _version(path: str) -> Version | None:
    """None where there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _free_memory() -> float:
    """Bytes that the machine has left; infinite where it does not say."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return math.inf


def _free_memory_of_container(folder: Path = Path("/sys/fs/cgroup")) -> float:
    """Bytes that are left to the container by its limit; infinite where it has none."""
    for limit, used, files in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),  # older systems
    ):
        with contextlib.suppress(OSError, ValueError):  # no such files, or no limit
            free = int((folder / limit).read_text()) - int((folder / used).read_text())
            lines = (folder / used).with_name("memory.stat").read_text().splitlines()
            # Copies of files go when memory is asked for.
            return float(free + next((int(line.split()[1]) for line in lines if line.split()[0] == files), 0))
    return math.inf
