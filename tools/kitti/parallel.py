"""Many small tasks on a pool of threads."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, as_completed, wait
from typing import Any


def in_parallel(pool: Executor, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """What the function gives for each item, in their order; after the first error nothing new is begun, and all ended.

    Raises:
        The error of the first task that failed.
    """
    futures = [pool.submit(function, item) for item in items]
    try:
        for future in as_completed(futures):
            future.result()
    finally:
        for future in futures:
            future.cancel()
        wait(futures)
    return [future.result() for future in futures]
