"""The processes of a run: rank and size, exchange of Python values, and a common end with a reason.

Each process but the first has a ``ControlChannel`` to the first. Paddle's own means do not suffice: its collectives
name no process and give no reason, gloo's time out after 30 s although the others are healthy but slow, and NCCL's and
the store's wait without limit.
"""

import os
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, TypeVar

from common.errors import DataError, Stopped, UserError
from training.control_channel import ControlChannel

_OWN_WORDS_SECONDS = 2.0  # time for a process to exit with its own message after another one has ended
_CONNECT_SECONDS = 60.0
_KEY_BYTES = 16
_OPEN_PORTS = "The machines of a run must reach each other on all ports."
_Result = TypeVar("_Result")


class DistributedContext:
    """This process among those of the run; by default a single process, which sends nothing.

    Use it as a context manager around all work of the run. An error inside ends the other processes with its message;
    without an error, each process waits for the last. If another process is killed or hangs, this one reports which,
    and exits with status 1.

    Args:
        rank: rank of this process, from 0.
        size: number of processes.
        timeout: seconds after which a process that does not answer, or that the others wait for, counts as hung.

    Attributes:
        is_main: whether this process prints, logs and saves.
    """

    def __init__(self, rank: int = 0, size: int = 1, timeout: float = float("inf")) -> None:
        self.rank, self.size = rank, size
        self.is_main = rank == 0
        self._timeout = timeout
        self._channels: list[ControlChannel] = []
        self._leaving = threading.Event()
        self._ending = threading.Lock()

    def connect(self, host: str, share: Callable[[Any], Any]) -> None:
        """Open the control channels; all processes must call it.

        Args:
            host: name or address of the first process's machine, reachable from the others.
            share: broadcasts the first process's value; called once.

        Raises:
            UserError: a process is unreachable.
        """
        if self.is_main:
            key = secrets.token_bytes(_KEY_BYTES)
            with Listener((host, 0), backlog=self.size, authkey=key) as listener:
                share((listener.address[1], key.hex()))
                connections = self._accept_all(listener)
        else:
            port, key = share(None)
            connections = {0: self._connect_to_main(host, port, bytes.fromhex(key))}
        self._channels = [
            ControlChannel(connections[rank], rank, self._timeout, self._on_loss) for rank in sorted(connections)
        ]

    def _accept_all(self, listener: Listener) -> dict[int, Connection]:
        """Accept the connections of all other processes, by rank."""
        accepted: dict[int, Connection] = {}

        def accept() -> None:
            """Accept until all have sent their rank; connections of others are dropped."""
            while len(accepted) < self.size - 1:
                try:
                    connection = listener.accept()
                    accepted[connection.recv()] = connection
                except (AuthenticationError, EOFError, OSError):  # not a process of this run
                    continue

        try:
            _within(_CONNECT_SECONDS, accept)
        except queue.Empty:
            missing = sorted(set(range(1, self.size)) - set(accepted))
            raise UserError(f"process {', '.join(map(str, missing))} did not connect. {_OPEN_PORTS}") from None
        return accepted

    def _connect_to_main(self, host: str, port: int, key: bytes) -> Connection:
        def connect() -> Connection | Exception:
            try:
                return Client((host, port), authkey=key)
            except (AuthenticationError, EOFError, OSError) as fault:
                return fault

        try:
            connection = _within(_CONNECT_SECONDS, connect)
        except queue.Empty:
            connection = TimeoutError(f"no answer within {_CONNECT_SECONDS:.0f} s")
        if isinstance(connection, Exception):
            raise UserError(f"process 0 is unreachable at {host}:{port} ({connection}). {_OPEN_PORTS}")
        connection.send(self.rank)
        return connection

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, by rank; all processes must call it.

        Args:
            value: made of Python's built-in types.
        """
        if not self._channels:
            return [value]
        if not self.is_main:
            self._channels[0].send("value", value)
            # Wait longer than the main process does: only the main process can report which one is late.
            return self._channels[0].receive(patience=2.0)
        values = [value, *(channel.receive() for channel in self._channels)]
        for channel in self._channels:
            channel.send("value", values)
        return values

    def mean(self, values: Sequence[float]) -> list[float]:
        """Return the mean over processes of each value; all processes must call it."""
        return [sum(column) / self.size for column in zip(*self.gather(list(values)), strict=True)]

    def barrier(self) -> None:
        """Wait until all processes have called it."""
        self.gather(None)

    def assert_consistent(self, **facts: Any) -> None:
        """Check that values are the same in all processes.

        Args:
            facts: name -> value of this process.

        Raises:
            DataError: the processes differ; the message names the values and ranks.
        """
        everyone = self.gather(facts)
        different = [
            f"{name}: {everyone[0][name]} in process 0, {other[name]} in process {rank}"
            for rank, other in enumerate(everyone)
            for name in facts
            if other[name] != everyone[0][name]
        ]
        if different:
            raise DataError(
                "the processes of this run differ. All machines need the same data and a shared --log_dir:\n  "
                + "\n  ".join(different[:8])
            )

    def __enter__(self) -> "DistributedContext":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or isinstance(error, Stopped):  # in all processes alike
            self.barrier()
        elif self._channels and isinstance(error, Exception) and not isinstance(error, UserError):
            self._blame_other_process()
        self._leaving.set()
        for channel in self._channels:
            if error is None or isinstance(error, Stopped):
                channel.send("leave")
            else:
                channel.send("end", self._describe(self.rank, f"ended: {error or type(error).__name__}"))
            channel.close()

    def _blame_other_process(self) -> None:
        """End this process with another one's reason if that caused its error, for example of a failed collective."""
        for channel in self._channels:
            if channel.is_silent:  # gloo timed out earlier than this run
                self._on_loss(channel.rank, f"has not answered for {channel.silence:.0f} s")
        time.sleep(2 * _OWN_WORDS_SECONDS)  # a channel's thread ends this process if another one has ended

    def _describe(self, rank: int, what: str) -> str:
        return f"process {rank} of {self.size} {what}"

    def _on_loss(self, rank: int, what: str, last_words: str | None = None) -> None:
        """End this process, which may hang in a collective, unless it is already exiting."""
        if self._leaving.wait(_OWN_WORDS_SECONDS if last_words else 0):
            return
        with self._ending:
            message = last_words or self._describe(rank, what)
            print(f"error: {message}", file=sys.stderr, flush=True)
            # Sending to a hung process may block.
            threading.Timer(_OWN_WORDS_SECONDS, os._exit, (1,)).start()
            for channel in self._channels:
                channel.send("end", message)
            os._exit(1)


def _within(seconds: float, function: Callable[[], _Result]) -> _Result:
    """Call a function that may block, and return its result.

    Raises:
        queue.Empty: the function has not returned in time; its thread is left running.
    """
    results: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=lambda: results.put(function()), daemon=True).start()
    return results.get(timeout=seconds)
