"""A process pool that returns results in the order of the items and holds only a few at a time.

The pool reports a worker that is killed, and no worker outlives its parent. ``ProcessPoolExecutor`` and loky guarantee
neither: their workers share one result pipe. A worker killed while it writes leaves a partial message in that pipe, and
no further result arrives (seen with Python 3.11.7 and loky 3.7.0). Here each worker has its own pipe, which closes when
either side exits.

Workers are spawned, not forked: a worker forked from a parent with threads can deadlock on a lock that was held at that
moment. Spawned workers import the main script, which therefore needs the guard ``if __name__ == "__main__"``.
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
PATIENCE_SECONDS = 2.0  # for items still running at shutdown: enough to finish writing a file
AHEAD = 4  # items in flight per worker in ``map_in_processes``: keeps workers busy and memory bounded


class Workspace:
    """Second argument of a pool's function: allocation in shared memory, and progress within the item.

    Args:
        empty: Function that allocates an array of a shape and dtype. In a worker, it uses shared memory while space is
            left; the array is then not sent through the pipe.
        part: int64 (1,), shared with the parent.
    """

    def __init__(
        self, empty: Callable[[tuple[int, ...], np.dtype], np.ndarray] = np.empty, part: np.ndarray | None = None
    ) -> None:
        self.empty = empty
        self._part = np.zeros(1, np.int64) if part is None else part

    def begin_part(self, part: int) -> None:
        """Record the part of the item in progress, for the error message if the worker dies."""
        self._part[0] = part


class ProcessPool(Generic[Item, Result]):
    """Pool of worker processes that are started on demand; each works on one item at a time.

    Args:
        function: Function of an item and a ``Workspace``. Must be picklable; each worker receives it once.
        num_workers: Number of workers; 0 runs the function in a thread of this process.
        describe: Return the description of a part of an item, for the error message if its worker dies.
        slots: Shared memory for results.
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
        self._threads = ThreadPoolExecutor(max(1, num_workers), "pool")  # each thread waits for its own worker
        self._of_thread = threading.local()
        self._workers: list[_Worker] = []

    def map(self, items: Iterable[Item], ahead: int) -> Iterator[Result]:
        """Apply the function to all items and yield the results in order.

        The iteration may be abandoned at any time, and a new one started immediately.

        Args:
            items: Picklable items, consumed on demand.
            ahead: Number of items per worker that are submitted before the first result is awaited.

        Raises:
            DataError: A worker exited unexpectedly.
            Exception: Any exception that the function raised.
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
        """Stop the workers; kill those that are still busy after ``PATIENCE_SECONDS``."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + PATIENCE_SECONDS
        for worker in self._workers:
            worker.close(deadline)
        self._threads.shutdown()
        self._workers.clear()

    def _answer(self, item: Item) -> Result:
        """Process an item; called in a thread of the pool."""
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
                "A worker process exited unexpectedly: it was killed or ran out of memory. Pass a smaller "
                "--num_workers, or --num_workers 0 to see the error. "
                f"It was working on:\n  {self._describe(item, worker.part)}"
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
    """Apply a function to all items in worker processes, and yield the results in order.

    Args:
        function: Picklable function; each worker receives it once.
        items: Picklable items.
        num_workers: Number of workers; 0 runs the function in this process.
        describe: Return the description of an item, for the error message if its worker dies.

    Raises:
        DataError: A worker exited unexpectedly.
        Exception: Any exception that the function raised.
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
    """A worker process and its pipe."""

    def __init__(self, function: Callable[[Any, Workspace], Any], slots: SharedSlots) -> None:
        context = multiprocessing.get_context("spawn")
        self._slots = slots
        self._at_work = threading.Lock()
        self._part = SharedBuffer(8)
        self._pipe, pipe_of_process = context.Pipe()
        arguments = (function, pipe_of_process, slots, self._part)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        pipe_of_process.close()  # the worker has the only copy: the pipe closes when the worker exits
        # Close the pipe before multiprocessing joins its processes at exit: workers exit when their pipe closes.
        Finalize(self, self._pipe.close, exitpriority=0)

    @property
    def part(self) -> int:
        """The part of the item that the worker recorded last."""
        return int(self._part.bytes.view(np.int64)[0])

    def call(self, item: Any) -> tuple[Any, Exception | None, str | None]:
        """Process an item.

        Returns:
            (result, error, traceback): the function's result, or the exception it raised with the formatted traceback.

        Raises:
            EOFError: The worker died.
            OSError: The worker died.
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
        """Stop the worker. If it is still busy at ``deadline`` (``time.monotonic``), kill it.

        Calls made afterwards raise ``OSError``.
        """
        if not self._at_work.acquire(timeout=max(0.0, deadline - time.monotonic())):
            self._process.kill()
            self._at_work.acquire()
        self._pipe.close()
        self._process.join()
        self._at_work.release()


class _WorkerError(Exception):
    """Cause of an exception raised in a worker; shows the worker's traceback."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _serve(function: Callable[[Any, Workspace], Any], pipe: Connection, slots: SharedSlots, part: SharedBuffer) -> None:
    """Answer each item with (result, error, traceback) until the pipe closes."""
    # Ctrl-C and schedulers signal the whole process group; only the main process reacts.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the workers already use all cores
    while True:
        try:
            slot, item = pipe.recv()
        except (EOFError, ConnectionResetError):  # the latter if a result was not read
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
    """Exit as soon as the parent exits, even while an item is being processed."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
