"""Overlap of reading, computing and writing in one process: threads that work ahead of or behind the main one.

Decoding, compression and network engines release Python's lock, so threads use all cores. Both helpers keep the order,
hold a bounded number of items, pass exceptions on to the main thread, and end their thread before they return.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
_END = object()


def read_ahead(items: Iterable[Item], ahead: int) -> Generator[Item, None, None]:
    """Iterate in a background thread, and yield the items in order.

    Close the generator (``contextlib.closing``) to end the thread early; it then finishes the item in progress.

    Args:
        items: Iterated by the thread alone.
        ahead: Maximum number of items that are in progress or wait to be taken.

    Raises:
        Exception: Whatever the iteration raised, after the items before it.
    """
    ready: queue.Queue = queue.Queue()
    room = threading.Semaphore(ahead)
    closed = threading.Event()

    def produce() -> None:
        try:
            iterator = iter(items)
            while room.acquire() and not closed.is_set():
                ready.put((next(iterator, _END), None))
        except BaseException as error:  # raised again where the items are taken
            ready.put((_END, error))

    thread = threading.Thread(target=produce, name="read_ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            room.release()
            yield item
    finally:
        closed.set()
        room.release()
        thread.join()


class BackgroundCalls:
    """Context that makes calls one after another in a background thread.

    At the end of the block, also if it raised, all calls have been made, up to the first that raised.

    Args:
        ahead: Maximum number of calls that wait for their turn.
    """

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self._thread = ThreadPoolExecutor(1, "background_calls")
        self._pending: deque[Future] = deque()

    def submit(self, function: Callable[..., Any], *args: Any) -> None:
        """Make a call after those before it; wait while too many are pending.

        Raises:
            Exception: Whatever an earlier call raised.
        """
        while len(self._pending) > self._ahead or (self._pending and self._pending[0].done()):
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(function, *args))

    def __enter__(self) -> "BackgroundCalls":
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the calls.

        Raises:
            Exception: Whatever a call raised.
        """
        try:
            while self._pending:
                self._pending.popleft().result()
        finally:
            self._thread.shutdown(cancel_futures=True)
