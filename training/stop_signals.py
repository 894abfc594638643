"""SIGTERM and Ctrl-C as requests: the step under way is finished and the run saved before the process ends."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

from errors import Stopped

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_Item = TypeVar("_Item")


class StopSignals:
    """Within its ``with`` block the first signal is only noted; a second one ends the process as it always would.

    A signal that was ignored before, as Ctrl-C is for what a script runs in the background, stays so. Signals reach the
    main thread alone; elsewhere, as in a notebook's worker, nothing is changed.
    """

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            heeded = [signum for signum in _SIGNALS if signal.getsignal(signum) is not signal.SIG_IGN]
            self._before = {signum: signal.signal(signum, self._note) for signum in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def check(self) -> None:
        """Raises ``Stopped`` if a signal has come."""
        if self._received is not None:
            raise Stopped(self._received)

    def until_stopped(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """The items, with a ``check`` before each."""
        for item in items:
            self.check()
            yield item

    def _note(self, signum: int, _: object) -> None:
        self._received = signal.Signals(signum)
        self._restore()
        # Not print: the signal may have come in the middle of one.
        os.write(2, f"\n{self._received.name}: finishing the step, then saving (once more ends at once)\n".encode())

    def _restore(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}
