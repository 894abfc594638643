"""One function in several processes: answers in the order of the items, few held at a time.

A process that is killed is reported, and none outlives its parent. ``ProcessPoolExecutor`` and loky cannot promise
that: their processes answer through one pipe, which one killed in the middle of an answer leaves half-read, so that no
other answer arrives either (seen with Python 3.11.7 and loky 3.7.0). Here each process has a pipe of its own, which
ends when either side does. Processes are started afresh, since one forked from a parent with threads can wait for ever
for a lock that was held at that moment; a script that uses some needs the guard ``if __name__ == "__main__"``, because
each of them imports it.
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from typing import Any, Generic, TypeVar

import cv2
import numpy as np

from common.errors import DataError
from common.shared_memory import SharedBuffer, SharedSlots, SlotWriter

Item, Result = TypeVar("Item"), TypeVar("Result")
PATIENCE_SECONDS = 2.0  # for items that nobody waits for any longer: enough to finish a file
AHEAD = 4  # items of `map_in_processes` for each process: none of them waits, and results do not pile up


class Workspace:
    """What a function of a pool is given beside its item.

    Args:
        empty: makes an array of a shape and type; in a process, where the answer need not be sent if there is room.
        part: int64 (1,), seen by the parent.
    """

    def __init__(
        self, empty: Callable[[tuple[int, ...], np.dtype], np.ndarray] = np.empty, part: np.ndarray | None = None
    ) -> None:
        self.empty = empty
        self._part = np.zeros(1, np.int64) if part is None else part

    def begin_part(self, part: int) -> None:
        """Note which part of the item is worked on, for the message in case the process dies over it."""
        self._part[0] = part


class ProcessPool(Generic[Item, Result]):
    """Processes that each answer one item at a time; they are started when they are needed.

    Args:
        function: of an item and a `Workspace`; must be picklable, and is sent to each process once.
        num_workers: processes; 0 works in a thread of this one.
        describe: what to call part ``part`` of an item in the message about a process that died over it.
        slots: memory for answers.
    """

    def __init__(
        self,
        function: Callable[[Item, Workspace], Result],
        num_workers: int,
        *,
        describe: Callable[[Item, int], str],
        slots: SharedSlots | None = None,
    ) -> None:
        self.slots = slots or SharedSlots(0, 0)
        self._function = function
        self._num_workers = num_workers
        self._describe = describe
        self._threads = ThreadPoolExecutor(max(1, num_workers), "pool")  # each waits for its own process
        self._of_thread = threading.local()
        self._workers: list[_Worker] = []

    def map(self, items: Iterable[Item], ahead: int) -> Iterator[Result]:
        """Answer items in their order. The iteration may be left halfway, and another begun at once.

        Args:
            items: must be picklable; they are taken as they are needed.
            ahead: how many items for each process are under way before the first answer is taken.

        Raises:
            DataError: a process died; or whatever the function raises.
        """
        under_way: deque[Future] = deque()
        try:
            for item in items:
                under_way.append(self._threads.submit(self._answer, item))
                if len(under_way) > ahead * max(1, self._num_workers):
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()

    def close(self) -> None:
        """End the processes, if need be in the middle of an item."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + PATIENCE_SECONDS
        for worker in self._workers:
            worker.close(deadline)
        self._threads.shutdown()
        self._workers.clear()

    def _answer(self, item: Item) -> Result:
        """Run in one of the threads."""
        if not self._num_workers:
            return self._function(item, Workspace())
        worker = getattr(self._of_thread, "worker", None)
        if worker is None:
            worker = self._of_thread.worker = _Worker(self._function, self.slots)
            self._workers.append(worker)
        try:
            result, error, trace = worker.call(item)
        except (EOFError, OSError) as ended:
            self._of_thread.worker = None
            raise DataError(
                "A worker process exited unexpectedly: it was killed, or ran out of memory. Pass a smaller "
                f"--num_workers, or 0 to see more. It was working on:\n  {self._describe(item, worker.part)}"
            ) from ended
        if error is not None:
            raise error from _WorkerError(trace)
        return result


def map_in_processes(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    num_workers: int,
    describe: Callable[[Item], str] = str,
) -> Iterator[Result]:
    """Apply a function to every item, and yield the results in the items' order.

    Args:
        function: must be picklable; it is sent to each process once.
        items: must be picklable.
        num_workers: processes; 0 runs in this one.
        describe: what to call an item in the message about a process that died over it.

    Raises:
        DataError: a process died; or whatever the function raises.
    """
    if not num_workers:
        yield from map(function, items)
        return
    pool = ProcessPool(partial(_call, function), num_workers, describe=lambda item, _: describe(item))
    try:
        yield from pool.map(items, AHEAD)
    finally:
        pool.close()


def _call(function: Callable[[Item], Result], item: Item, workspace: Workspace) -> Result:
    return function(item)


class _Worker:
    """A process, and its pipe."""

    def __init__(self, function: Callable[[Any, Workspace], Any], slots: SharedSlots) -> None:
        context = multiprocessing.get_context("spawn")
        self._slots = slots
        self._at_work = threading.Lock()
        self._part = SharedBuffer(8)
        self._pipe, pipe_of_process = context.Pipe()
        arguments = (function, pipe_of_process, slots, self._part)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        pipe_of_process.close()  # the process holds the only copy: its end is the pipe's
        # Before multiprocessing waits at exit for its processes, which end when their pipe does.
        Finalize(self, self._pipe.close, exitpriority=0)

    @property
    def part(self) -> int:
        """The part of the item that the process was at last."""
        return int(self._part.bytes.view(np.int64)[0])

    def call(self, item: Any) -> tuple[Any, Exception | None, str | None]:
        """The result, or what the function raised and its traceback.

        Raises:
            EOFError, OSError: the process died.
        """
        slot = self._slots.take()
        try:
            with self._at_work:
                self._pipe.send((slot, item))
                answer = self._pipe.recv()
        except BaseException:
            self._slots.give_back(slot)
            raise
        return self._slots.read(slot, answer)

    def close(self, deadline: float) -> None:
        """End the process, at ``deadline`` (``time.monotonic``) in the middle of an item. Later calls raise OSError."""
        if not self._at_work.acquire(timeout=max(0.0, deadline - time.monotonic())):
            self._process.kill()
            self._at_work.acquire()
        self._pipe.close()
        self._process.join()
        self._at_work.release()


class _WorkerError(Exception):
    """Shows the traceback of a worker's error."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _serve(function: Callable[[Any, Workspace], Any], pipe: Connection, slots: SharedSlots, part: SharedBuffer) -> None:
    """Answer each item with (result, error, traceback) until the pipe ends."""
    # Ctrl-C, and what schedulers send, reach the whole group: the main process decides.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the processes fill the cores
    while True:
        try:
            slot, item = pipe.recv()
        except (EOFError, ConnectionResetError):  # the latter where an answer had not been taken
            return
        writer = slots.writer(slot)
        workspace = Workspace(writer.empty, part.bytes.view(np.int64))
        try:
            pipe.send(_packed(function, item, workspace, writer))
        except BrokenPipeError:
            return


def _packed(
    function: Callable[[Any, Workspace], Any], item: Any, workspace: Workspace, writer: SlotWriter
) -> tuple[bytes, list[tuple[int, int]]]:
    workspace.begin_part(0)
    try:
        return writer.pack((function(item, workspace), None, None))
    except Exception as error:
        return writer.pack((None, error, traceback.format_exc()))


def _end_with_parent() -> None:
    """End the process when its parent is killed, in the middle of an item too."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
