"""A connection between two processes of a run: values, last words, and a heartbeat."""

import contextlib
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

MAX_INTERVAL = 10.0  # seconds between heartbeats
_BEATS = 10  # at least, within the timeout


class ControlChannel:
    """Exchange values with one other process, and notice when that process ends or hangs.

    Two threads serve the connection: one takes what arrives, the other sends heartbeats. A busy process keeps beating;
    one that is stopped, or whose machine is unreachable, does not. Silence is counted in this process's own heartbeats,
    not by the clock, so that a run whose processes a scheduler suspends and resumes together continues.

    Args:
        connection: authenticated, to the other process.
        rank: of the other process.
        timeout: seconds of silence after which the other process counts as hung; ``inf`` for never.
        on_loss: called once with the rank, what happened to the other process, and its last words, None without any.

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
        """Send a "value", a "beat", the last words as "end", or "leave" before a normal end.

        Does nothing where the other process is gone.
        """
        with self._sending, contextlib.suppress(OSError):
            self._connection.send((kind, content))

    def receive(self, patience: float = 1.0) -> Any:
        """Wait for the next value.

        Args:
            patience: how many timeouts to wait before the other process, though it answers, counts as hung.
        """
        waited = 0.0
        while True:
            with contextlib.suppress(queue.Empty):
                return self._values.get(timeout=self._interval)
            waited += self._interval
            if waited >= patience * self._timeout:
                self._lose(f"answers, but has not reached the same point as the others for {waited:.0f} s")

    def close(self) -> None:
        """Stop the heartbeat, and ignore what happens to the other process from now on."""
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
            if not self._sending.locked():  # a value that is under way shows life as well
                self.send("beat")

    def _lose(self, what: str, last_words: str | None = None) -> None:
        if not self._closed.is_set():
            self.close()
            self._on_loss(self.rank, what, last_words)
