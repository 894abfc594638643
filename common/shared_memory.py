"""Memory that processes share: no file system has its name, and it goes with its last process, killed or not."""

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

ALIGNMENT = 64  # bytes: a line of the processor's cache


class SharedBuffer:
    """Zeros at first; takes memory only where it has been written to.

    It can be sent to a process when that is started, as one of its arguments or within one.

    Args:
        size: bytes, at least 1.

    Attributes:
        bytes: uint8 (size,), which all processes see alike.
    """

    def __init__(self, size: int) -> None:
        # Not in /dev/shm, where a container has a few megabytes.
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
    """Room for what other processes answer, so that the arrays in it need not be sent.

    One process has slots and lends one to each request; the process that answers makes its arrays there.

    Args:
        count: of slots, which take memory only when used; with none, answers are sent whole.
        slot_bytes: size of each.
    """

    def __init__(self, count: int, slot_bytes: int) -> None:
        self._buffer = SharedBuffer(max(1, count * slot_bytes))
        self._slot_bytes = slot_bytes
        self._free = deque(range(count))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_free": None}  # the process that lends keeps count

    def take(self) -> int | None:
        """A free slot, the one last used first; None where there is none: the answer then takes the long way."""
        try:
            return self._free.pop()
        except IndexError:
            return None

    def give_back(self, slot: int | None) -> None:
        """Of a request that was not answered."""
        if slot is not None:
            self._free.append(slot)

    def writer(self, slot: int | None) -> "SlotWriter":
        """For the process that answers."""
        return SlotWriter(self._memory(slot))

    def read(self, slot: int | None, answer: tuple[bytes, list[tuple[int, int]]]) -> Any:
        """What `SlotWriter.pack` was given. Arrays in the slot are not copied: it is free again when all are gone."""
        pickled, places = answer
        memory = self._memory(slot)
        if slot is not None:
            weakref.finalize(memory, self._free.append, slot).atexit = False
        return pickle.loads(pickled, buffers=[memoryview(memory)[start : start + size] for start, size in places])

    def _memory(self, slot: int | None) -> np.ndarray:
        """A view of its own each time, on which all arrays in the slot depend."""
        start, size = (0, 0) if slot is None else (slot * self._slot_bytes, self._slot_bytes)
        return self._buffer.bytes[start : start + size]


class SlotWriter:
    """Makes arrays in a slot as long as they fit, and packs what holds them."""

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory
        self._used = 0

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """As ``np.empty``."""
        size = math.prod(shape) * dtype.itemsize
        start = self._used
        if start + size > len(self._memory):
            return np.empty(shape, dtype)
        self._used += -(-size // ALIGNMENT) * ALIGNMENT
        return self._memory[start : start + size].view(dtype).reshape(shape)

    def pack(self, answer: Any) -> tuple[bytes, list[tuple[int, int]]]:
        """The pickled answer without its arrays in the slot, and their places there: (start, size) in bytes."""
        places = []

        def stays_in_pickle(buffer: pickle.PickleBuffer) -> bool:
            array = np.frombuffer(buffer.raw(), np.uint8)
            start = array.ctypes.data - self._memory.ctypes.data
            if not 0 <= start < self._used:
                return True
            places.append((start, array.size))
            return False

        return pickle.dumps(answer, protocol=5, buffer_callback=stays_in_pickle), places
