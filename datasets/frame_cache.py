"""Caches of frames at the network's input size, before flip and jitter: each file is decoded and resized once.

Several processes may use a cache at once, and a killed process never leaves a partial frame that others would read. A
cached frame is valid while its file keeps its size and modification time. Caches leave some memory or disk space free.
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
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.shared_memory import SharedBuffer
from datasets.transforms import Frame, Window, load_frame

SPARE_BYTES = 4e9  # memory or disk space left free
LEFTOVER_SECONDS = 3600.0  # age of abandoned temporary files; writing a frame takes milliseconds
Version = tuple[int, int]  # of a file: size in bytes, modification time in ns


class FrameCache:
    """Base class of the caches.

    Args:
        height: Height of the frames.
        width: Width of the frames.
        spare_bytes: Bytes of the memory or disk to leave free.
        window: The part of each image that frames show; None for the whole image.
    """

    def __init__(self, height: int, width: int, spare_bytes: float = SPARE_BYTES, window: Window | None = None) -> None:
        self.height, self.width, self.window = height, width, window
        self.spare_bytes = spare_bytes

    @property
    def frame_bytes(self) -> int:
        """Maximum size of a frame in bytes; grey frames need a third of it."""
        return 3 * self.height * self.width

    def load(self, path: str) -> Frame:
        """Load a frame from the cache, or from its file as ``load_frame`` does, and cache it if there is space.

        Its pixels may be read-only.

        Raises:
            DataError: As in ``load_frame``.
        """
        version = _version(path)
        frame = self._find(path, version) if version else None
        if frame is None:
            frame = load_frame(path, self.height, self.width, self.window)
            # The file may have changed while it was read.
            if version == _version(path) and self.free_bytes() > self.spare_bytes + self.frame_bytes:
                self._keep(path, version, frame)
        return frame

    def describe_room(self, paths: Iterable[str]) -> str:
        """Describe how much space the frames of these paths need, and how much is available."""
        missing = sum(not self._holds(path) for path in paths)
        needed, room = missing * self.frame_bytes, max(0.0, self.free_bytes() - self.spare_bytes)
        text = f"{missing} frames to cache in {self}, at most {needed / 1e9:.1f} GB; {room / 1e9:.1f} GB are available"
        if needed > room:
            text += f". Up to {1 - room / needed:.0%} of them will be decoded in every epoch"
        return text

    def free_bytes(self) -> float:
        """Return the free bytes of the memory or disk."""
        raise NotImplementedError

    def _holds(self, path: str) -> bool:
        """Return whether the cache contains a frame of this path, possibly of an older version."""
        raise NotImplementedError

    def _find(self, path: str, version: Version) -> Frame | None:
        raise NotImplementedError

    def _keep(self, path: str, version: Version, frame: Frame) -> None:
        raise NotImplementedError


class DiskCache(FrameCache):
    """Cache with one memory-mapped file per frame: ``folder/WIDTHxHEIGHT/PATH.frame``.

    Files are replaced atomically and never modified. A checksum reveals corrupted frames; they are decoded again.

    Args:
        height: Height of the frames.
        width: Width of the frames.
        folder: Folder of the cache.
        spare_bytes: Bytes of the disk to leave free.
        window: As in ``FrameCache``; frames of different windows are in different folders.

    Raises:
        UserError: The folder cannot be written.
    """

    HEADER = struct.Struct("<8s5qQ")  # file kind, channels, original height and width, version, checksum
    KIND = b"frame v2"

    def __init__(
        self,
        height: int,
        width: int,
        folder: str | Path,
        spare_bytes: float = SPARE_BYTES,
        window: Window | None = None,
    ) -> None:
        super().__init__(height, width, spare_bytes, window)
        part = "" if window is None else f"_{window.left:g}_{window.top:g}_{window.width:g}_{window.height:g}"
        self.folder = Path(folder) / f"{width}x{height}{part}"
        self._unfinished = self.folder / ".unfinished"
        try:
            self._unfinished.mkdir(parents=True, exist_ok=True)
            for path in self._unfinished.iterdir():
                with contextlib.suppress(FileNotFoundError):  # another run has just renamed it
                    if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:  # left by a killed process
                        path.unlink()
            with tempfile.TemporaryFile(dir=self._unfinished):
                pass
        except OSError as error:
            raise UserError(
                f"Frame cache {self.folder} cannot be written: {error.strerror or error}. Pass another --cache_dir, "
                "--cache ram or --cache none."
            ) from error

    def __str__(self) -> str:
        return str(self.folder)

    def free_bytes(self) -> float:
        """Return the free bytes of the disk; 0 if the folder was removed."""
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
            kind, channels, height, width, *made_from, checksum = self.HEADER.unpack_from(memory)
        except (OSError, ValueError, struct.error):  # missing, empty or truncated
            return None
        shape = (channels, self.height, self.width)
        if kind != self.KIND or tuple(made_from) != version or len(memory) != self.HEADER.size + math.prod(shape):
            return None
        pixels = np.frombuffer(memory, np.uint8, offset=self.HEADER.size)
        if _checksum(pixels) != checksum:
            return None
        return Frame(pixels.reshape(shape), (height, width))

    def _keep(self, path: str, version: Version, frame: Frame) -> None:
        unfinished, final = self._unfinished / uuid.uuid4().hex, self._path(path)
        checksum = _checksum(frame.pixels.reshape(-1))
        header = self.HEADER.pack(self.KIND, len(frame.pixels), *frame.original_size, *version, checksum)
        try:
            unfinished.write_bytes(header + frame.pixels.tobytes())
            os.makedirs(os.path.dirname(final), exist_ok=True)
            os.replace(unfinished, final)
        except OSError:  # continue without caching, as if there were no space
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)


class RamCache(FrameCache):
    """Cache in memory shared by this process and its workers, with one slot per frame; freed when they exit.

    A slot is written once. If a file changes during use, its new version is decoded every time.

    This is not a ``DiskCache`` in /dev/shm for three reasons: /dev/shm is limited to half the memory, and to 64 MB by
    default in containers; files of a killed run keep their memory; and opening a file takes 70 us per frame, compared
    with 28 us here.

    Args:
        height: Height of the frames.
        width: Width of the frames.
        paths: Files of all frames.
        spare_bytes: Bytes of memory to leave free.
        window: As in ``FrameCache``.
    """

    RECORD = np.dtype([("version", "<i8", 2), ("original_size", "<i8", 2), ("channels", "<i8")])

    def __init__(
        self,
        height: int,
        width: int,
        paths: Iterable[str],
        spare_bytes: float = SPARE_BYTES,
        window: Window | None = None,
    ) -> None:
        super().__init__(height, width, spare_bytes, window)
        self._slots = {path: slot for slot, path in enumerate(dict.fromkeys(paths))}
        self._memory = SharedBuffer(len(self._slots) * (self.RECORD.itemsize + self.frame_bytes))

    def __str__(self) -> str:
        return "memory"

    def free_bytes(self) -> float:
        """Return the free memory in bytes, of the machine or of its container if that is less."""
        return min(_free_memory(), _free_memory_of_container())

    def _record(self, path: str) -> np.ndarray:
        """Return the record of a path, (1,) of ``RECORD``."""
        start = self._slots[path] * self.RECORD.itemsize
        return self._memory.bytes[start : start + self.RECORD.itemsize].view(self.RECORD)

    def _pixels(self, path: str, channels: int) -> np.ndarray:
        start = len(self._slots) * self.RECORD.itemsize + self._slots[path] * self.frame_bytes
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
        record["channels"] = channels  # written last: marks the frame as complete


def _checksum(pixels: np.ndarray) -> int:
    """Compute the CRC-32 of the sums of every kilobyte, as words of 64 bits.

    It reveals any single changed word, and kilobytes that were zeroed or exchanged. The CRC-32 of all bytes takes 20
    times as long, which slows down loading of cached grey frames by 5 %.
    """
    whole = pixels.size // 1024 * 1024
    sums = pixels[:whole].view(np.uint64).reshape(-1, 128).sum(axis=1)
    return zlib.crc32(pixels[whole:], zlib.crc32(sums))


def _version(path: str) -> Version | None:
    """Return the version of a file; None if it does not exist."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _free_memory() -> float:
    """Return the available memory of the machine in bytes; infinite if unknown."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return math.inf


def _free_memory_of_container(folder: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the bytes left below the memory limit of the container; infinite if there is no limit."""
    for limit, used, files in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),  # cgroup v1
    ):
        with contextlib.suppress(OSError, ValueError):  # no such files, or no limit
            free = int((folder / limit).read_text()) - int((folder / used).read_text())
            lines = (folder / used).with_name("memory.stat").read_text().splitlines()
            # The page cache is reclaimed when memory is needed.
            return float(free + next((int(line.split()[1]) for line in lines if line.split()[0] == files), 0))
    return math.inf
