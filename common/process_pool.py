"""A function over many items, in processes of their own: results keep their order, and few are held at a time."""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from common.errors import DataError

Item, Result = TypeVar("Item"), TypeVar("Result")
SUBMITTED = 4  # items for each process: none of them waits, and results do not pile up
_function: Callable[[Any], Any]  # of the process that runs it


def map_in_processes(function: Callable[[Item], Result], items: Iterable[Item], num_workers: int) -> Iterator[Result]:
    """``function(item)`` of every item, in their order.

    Args:
        function: must be picklable; it is sent to each process once.
        items: must be picklable.
        num_workers: processes, started afresh; 0 runs in this one. A script that asks for some needs the guard
            ``if __name__ == "__main__"``, since each of them imports it.

    Raises:
        DataError: a process died; or whatever the function raises.
    """
    if not num_workers:
        yield from map(function, items)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(num_workers, context, initializer=_start, initargs=(function,)) as executor:
        under_way: deque[Future] = deque()
        try:
            for item in items:
                under_way.append(executor.submit(_run, item))
                if len(under_way) > SUBMITTED * num_workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool as error:
            raise DataError(
                "a working process died: it was killed, or ran out of memory (use fewer --num_workers)"
            ) from error
        finally:
            for future in under_way:
                future.cancel()


def _start(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the main process decides


def _run(item: Any) -> Any:
    return _function(item)
