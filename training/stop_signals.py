"""Graceful handling of SIGTERM and Ctrl-C: finish the current step and save the run before exiting."""

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
    """Within the ``with`` block, record the first signal; a second one ends the process as usual.

    With several processes, a signal to one stops all at the same ``check``. Further signals are ignored until the run
    is saved, also after the block: the launcher sends several, and kills processes that are alive after 30 s.

    Signals that were ignored before stay ignored, as Ctrl-C for background jobs of a script. Python handles signals
    only in the main thread; in other threads, as in notebooks, this class does nothing.

    Args:
        context: the processes of the run; this one alone by default.
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
        """Check whether any process has received a signal; all processes must call it.

        Raises:
            Stopped: one has.
        """
        received = [signum for signum in self._context.gather(self._received) if signum is not None]
        if received:
            self._received = received[0]
            raise Stopped(received[0])

    def until_stopped(self, items: Iterable[_Item], rounds: int) -> Iterator[_Item]:
        """Yield up to ``rounds`` items, with a ``check`` before each.

        Checks continue after the last item: processes may have one item fewer, but all need the same number of checks.

        Raises:
            Stopped: a process has received a signal.
        """
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
            once_more = " (repeat to exit at once)"
        # Not print: the signal may have interrupted one.
        os.write(2, f"\n{self._received.name}: finishing the step, then saving{once_more}\n".encode())

    def _restore(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}
