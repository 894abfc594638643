"""SIGTERM and Ctrl-C as requests: the step under way is finished and the run saved before the process ends."""

import itertools
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

from common.errors import Stopped
from training.distributed_context import DistributedContext

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_Item = TypeVar("_Item")


class StopSignals:
    """Within its ``with`` block the first signal is only noted; a second one ends the process as it always would.

    Among several processes a signal to one stops all, at the same ``check``; further ones are ignored, after the block
    too, while the run is saved: the launcher sends several, and kills what has not ended after 30 s.

    A signal that was ignored before, as Ctrl-C is for what a script runs in the background, stays so. Signals reach the
    main thread alone; elsewhere, as in a notebook's worker, nothing is changed.
    """

    def __init__(self, context: DistributedContext | None = None) -> None:
        self._context = context or DistributedContext()
        self._received: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            heeded = [signum for signum in _SIGNALS if signal.getsignal(signum) is not signal.SIG_IGN]
            self._before = {signum: signal.signal(signum, self._note) for signum in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        if self._received is None or self._context.size == 1:
            self._restore()

    def check(self) -> None:
        """Raises ``Stopped`` if a signal has come to any process; all must call it."""
        received = [signum for signum in self._context.gather(self._received) if signum is not None]
        if received:
            self._received = received[0]
            raise Stopped(received[0])

    def until_stopped(self, items: Iterable[_Item], rounds: int) -> Iterator[_Item]:
        """At most ``rounds`` items, with a ``check`` before each, and for those that are not there."""
        iterator = iter(items)
        for _ in range(rounds):
            self.check()
            yield from itertools.islice(iterator, 1)

    def _note(self, signum: int, _: object) -> None:
        if self._received is not None:
            return
        self._received = signal.Signals(signum)
        once_more = ""
        if self._context.size == 1:
            self._restore()
            once_more = " (once more ends at once)"
        # Not print: the signal may have come in the middle of one.
        os.write(2, f"\n{self._received.name}: finishing the step, then saving{once_more}\n".encode())

    def _restore(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}
