"""Anonymous shared memory: it has no name in a file system, and is freed when its last process exits or is killed."""

import math
import mmap
import os
import pickle
import tempfile
import weakref
from collections import deque
from multiprocessing import reduction
from typing import Any

import numpy as np

ALIGNMENT = 64  # bytes, one cache line


class SharedBuffer:
    """Shared memory, zero-initialised; only pages that are written to occupy memory.

    Pass it to a process as an argument, or inside one, when the process is started.

    Args:
        size: Size in bytes, at least 1.

    Attributes:
        bytes: uint8 (size,), shared by all processes.
    """

    def __init__(self, size: int) -> None:
        # Not in /dev/shm, which containers limit to a few megabytes.
        file = open(os.memfd_create("shared"), "r+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()  # noqa: SIM115
        file.truncate(size)
        self._attach(file, size)

    def _attach(self, file: Any, size: int) -> None:
        self._file = file
        self.bytes = np.frombuffer(mmap.mmap(file.fileno(), size), np.uint8)

    def __getstate__(self) -> tuple[Any, int]:
        return reduction.DupFd(self._file.fileno()), len(self.bytes)

    def __setstate__(self, state: tuple[Any, int]) -> None:
        descriptor, size = state
        self._attach(open(descriptor.detach(), "r+b"), size)  # noqa: SIM115


class SharedSlots:
    """Slots of shared memory for the results of workers, whose arrays are then not sent through a pipe.

    One process owns the slots and assigns one to each request. The worker allocates its arrays in that slot.

    Args:
        count: Number of slots; they occupy memory only when used. With 0, results are sent entirely.
        slot_bytes: Size of a slot in bytes.
    """

    def __init__(self, count: int, slot_bytes: int) -> None:
        self._buffer = SharedBuffer(max(1, count * slot_bytes))
        self._slot_bytes = slot_bytes
        self._free = deque(range(count))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_free": None}  # only the owner assigns slots

    def take(self) -> int | None:
        """Take a free slot, the most recently used first; None if all are in use, and the result is sent entirely."""
        try:
            return self._free.pop()
        except IndexError:
            return None

    def give_back(self, slot: int | None) -> None:
        """Return the slot of a request that failed."""
        if slot is not None:
            self._free.append(slot)

    def writer(self, slot: int | None) -> "SlotWriter":
        """Return the writer of a slot, for the worker."""
        return SlotWriter(self._memory(slot))

    def read(self, slot: int | None, answer: tuple[bytes, list[tuple[int, int]]]) -> Any:
        """Unpack a result. Its arrays are views of the slot, which becomes free when the last of them is deleted."""
        pickled, ranges = answer
        memory = self._memory(slot)
        if slot is not None:
            weakref.finalize(memory, self._free.append, slot).atexit = False
        return pickle.loads(pickled, buffers=[memoryview(memory)[start : start + size] for start, size in ranges])

    def _memory(self, slot: int | None) -> np.ndarray:
        """Create a view of a slot. All arrays in the slot refer to this view, so its finalizer can free the slot."""
        start, size = (0, 0) if slot is None else (slot * self._slot_bytes, self._slot_bytes)
        return self._buffer.bytes[start : start + size]


class SlotWriter:
    """Allocator of arrays in a slot; it pickles results without the data of these arrays."""

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory
        self._used = 0

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Allocate an array as ``np.empty`` does, in the slot if it fits."""
        size = math.prod(shape) * dtype.itemsize
        start = self._used
        if start + size > len(self._memory):
            return np.empty(shape, dtype)
        self._used += -(-size // ALIGNMENT) * ALIGNMENT
        return self._memory[start : start + size].view(dtype).reshape(shape)

    def pack(self, answer: Any) -> tuple[bytes, list[tuple[int, int]]]:
        """Pickle a result; return the pickle without arrays in the slot, and their positions (start, size) in bytes."""
        ranges = []

        def stays_in_pickle(buffer: pickle.PickleBuffer) -> bool:
            array = np.frombuffer(buffer.raw(), np.uint8)
            start = array.ctypes.data - self._memory.ctypes.data
            if not 0 <= start < self._used:
                return True
            ranges.append((start, array.size))
            return False

        return pickle.dumps(answer, protocol=5, buffer_callback=stays_in_pickle), ranges
