"""A connection between two processes of a run: values, error messages, and a heartbeat."""

import contextlib
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

MAX_INTERVAL = 10.0  # seconds between heartbeats
_BEATS = 10  # minimum number of heartbeats within the timeout


class ControlChannel:
    """Exchange values with one other process, and notice when that process ends or hangs.

    Two threads serve the connection: one receives, the other sends heartbeats. A busy process still sends heartbeats; a
    stopped process or an unreachable machine does not. Silence is measured in this process's own heartbeats, not by the
    clock: a run survives when a scheduler suspends and resumes all its processes together.

    Args:
        connection: authenticated, to the other process.
        rank: of the other process.
        timeout: seconds of silence after which the other process counts as hung; ``inf`` for never.
        on_loss: called once with the rank, what happened to the other process, and its error message or None.

    Attributes:
        silence: seconds since anything arrived, a multiple of the interval between heartbeats.
    """

    def __init__(
        self, connection: Connection, rank: int, timeout: float, on_loss: Callable[[int, str, str | None], None]
    ) -> None:
        self.rank = rank
        self.silence = 0.0
        self._connection = connection
        self._timeout = timeout
        self._interval = min(MAX_INTERVAL, timeout / _BEATS)
        self._on_loss = on_loss
        self._values: queue.SimpleQueue = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._closed = threading.Event()
        for serve in (self._listen, self._beat):
            threading.Thread(target=serve, daemon=True).start()

    def send(self, kind: str, content: Any = None) -> None:
        """Send a "value", a "beat", an error message as "end", or "leave" before a normal exit.

        Does nothing if the other process has exited.
        """
        with self._sending, contextlib.suppress(OSError):
            self._connection.send((kind, content))

    def receive(self, patience: float = 1.0) -> Any:
        """Wait for the next value.

        Args:
            patience: number of timeouts after which the other process counts as hung although it sends heartbeats.
        """
        waited = 0.0
        while True:
            with contextlib.suppress(queue.Empty):
                return self._values.get(timeout=self._interval)
            waited += self._interval
            if waited >= patience * self._timeout:
                self._lose(f"answers, but has not reached the same point as the others for {waited:.0f} s")

    def close(self) -> None:
        """Stop the heartbeat, and ignore the other process from now on."""
        self._closed.set()

    @property
    def is_silent(self) -> bool:
        """Whether at least one heartbeat of the other process is missing."""
        return self.silence >= 2 * self._interval

    def _listen(self) -> None:
        try:
            while True:
                kind, content = self._connection.recv()
                self.silence = 0.0
                if kind == "value":
                    self._values.put(content)
                elif kind == "end":
                    return self._lose("ended", content)
                elif kind == "leave":
                    return self.close()
        except (EOFError, OSError):
            self._lose("exited unexpectedly: it was killed, ran out of memory, or its machine or network is gone")

    def _beat(self) -> None:
        while not self._closed.wait(self._interval):
            self.silence += self._interval
            if self.silence >= self._timeout:
                return self._lose(
                    f"has not answered for {self.silence:.0f} s: it is stopped, or its machine or network is gone"
                )
            if not self._sending.locked():  # a value being sent serves as a heartbeat
                self.send("beat")

    def _lose(self, what: str, last_words: str | None = None) -> None:
        if not self._closed.is_set():
            self.close()
            self._on_loss(self.rank, what, last_words)
