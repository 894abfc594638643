"""The processes of one run: what they tell each other besides tensors, and how they end together.

Each process but the first holds one connection to the first, over which short values go as lines of JSON, without the
GPU and without a limit of time. The system closes a connection when its process dies, however that happens, so that
the others know at once: they say which one it was, and end too, where they would wait for its gradients for ever.
"""

import contextlib
import json
import os
import queue
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from common.errors import DataError, Stopped, UserError

_OWN_WORDS_SECONDS = 2.0  # in which a process that hears of an end may come to its own
_SILENCE_SECONDS = 30  # after which a machine that answers nothing counts as gone
_KEY_BYTES = 16
_OPEN_PORTS = "The machines of a run must reach each other on all ports."
_WITHOUT_A_WORD = "ended without a word: it was killed, ran out of memory, or its machine or network is gone"


class Link:
    """A connection to another process; a thread takes what comes.

    Args:
        connection: as made; the link closes it.
        rank: of the other process.
        on_end: called by the thread with the rank and the last words, None without any, when the other one has ended.
    """

    def __init__(self, connection: socket.socket, rank: int, on_end: Callable[[int, str | None], None]) -> None:
        self.rank = rank
        self._connection = connection
        self._values: queue.SimpleQueue = queue.SimpleQueue()
        self._on_end = on_end
        _notice_silence(connection)
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, kind: str, content: Any) -> None:
        """Sends a "value", the last words as "end", or "leave" before a good end; nothing where the other is gone."""
        with contextlib.suppress(OSError):
            self._connection.sendall(json.dumps([kind, content]).encode() + b"\n")

    def receive(self) -> Any:
        """The next value; waits for it."""
        return self._values.get()

    def close(self) -> None:
        """Ends the connection, on both sides."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        last_words = None
        # ValueError: a line that was cut off.
        with contextlib.suppress(OSError, ValueError), self._connection.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                kind, content = json.loads(line)
                if kind == "leave":
                    return
                if kind == "end":
                    last_words = content
                    break
                self._values.put(content)
        self._on_end(self.rank, last_words)


class Peers:
    """This process among those of the run; alone by default, and then nothing is sent.

    As a context, around all that the process does in the run: an error inside ends the others with its message, and
    without one each waits for the last.

    Args:
        rank: of this process, from 0.
        size: how many there are.

    Attributes:
        is_main: whether this is the one that prints, logs and saves.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.is_main = rank == 0
        self._links: list[Link] = []
        self._leaving = threading.Event()
        self._end = threading.Lock()

    def connect(self, host: str, share: Callable[[Any], Any]) -> None:
        """Opens the connections.

        Args:
            host: name or address of the first process's machine, as the others know it.
            share: gives the first process's value to all; called once.
        """
        if self.is_main:
            server = socket.create_server((host, 0), backlog=self.size)
            port, key = share((server.getsockname()[1], secrets.token_hex(_KEY_BYTES)))
            accepted = self._accept_all(server, key)
            self._links = [Link(accepted[rank], rank, self._on_end) for rank in sorted(accepted)]
        else:
            port, key = share(None)
            try:
                connection = socket.create_connection((host, port), _SILENCE_SECONDS)
            except OSError as fault:
                raise UserError(f"process 0 cannot be reached at {host}:{port} ({fault}). {_OPEN_PORTS}") from fault
            connection.settimeout(None)
            connection.sendall(_greeting(key, self.rank))
            self._links = [Link(connection, 0, self._on_end)]

    def _accept_all(self, server: socket.socket, key: str) -> dict[int, socket.socket]:
        """The connections of all other processes by rank."""
        accepted: dict[int, socket.socket] = {}
        server.settimeout(2 * _SILENCE_SECONDS)
        with server:
            while len(accepted) < self.size - 1:
                try:
                    connection, _ = server.accept()
                except TimeoutError as fault:
                    missing = sorted(set(range(1, self.size)) - set(accepted))
                    raise UserError(f"process {', '.join(map(str, missing))} did not connect. {_OPEN_PORTS}") from fault
                rank = _greeted(connection, key)
                if rank is not None:
                    accepted[rank] = connection
        return accepted

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes by rank, in each of them; all must call it.

        Args:
            value: as JSON can hold it.
        """
        if not self._links:
            return [value]
        if not self.is_main:
            self._links[0].send("value", value)
            return self._links[0].receive()
        values = [value, *(link.receive() for link in self._links)]
        for link in self._links:
            link.send("value", values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process; all must call it."""
        return any(self.gather(flag))

    def mean(self, values: Sequence[float]) -> list[float]:
        """The mean over processes of each of these numbers; all must call it."""
        return [sum(column) / self.size for column in zip(*self.gather(list(values)), strict=True)]

    def wait(self) -> None:
        """Returns when all processes have come here."""
        self.gather(None)

    def check_alike(self, **facts: Any) -> None:
        """Raises DataError where the processes differ in what must be the same for all."""
        everyone = self.gather(facts)
        different = [
            f"{name}: {everyone[0][name]} in process 0, {other[name]} in process {rank}"
            for rank, other in enumerate(everyone)
            for name in facts
            if other[name] != everyone[0][name]
        ]
        if different:
            raise DataError(
                "the processes of this run do not see the same; all machines need the same data, and one --log_dir "
                "that they share:\n  " + "\n  ".join(different[:8])
            )

    def __enter__(self) -> "Peers":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or isinstance(error, Stopped):  # as all of them
            self.wait()
        elif self._links and isinstance(error, Exception) and not isinstance(error, UserError):
            # Most likely of a collective that another process left: then the link's thread says so and ends this one.
            time.sleep(2 * _OWN_WORDS_SECONDS)
        self._leaving.set()
        for link in self._links:
            if error is None or isinstance(error, Stopped):
                link.send("leave", None)
            else:
                link.send("end", self._describe(self.rank, f"ended: {error or type(error).__name__}"))
            link.close()

    def _describe(self, rank: int, what: str) -> str:
        return f"process {rank} of {self.size} {what}"

    def _on_end(self, rank: int, last_words: str | None) -> None:
        """Ends this process, which may hang in a collective, unless it is about to end by itself."""
        if self._leaving.wait(_OWN_WORDS_SECONDS if last_words else 0):
            return
        with self._end:
            message = last_words or self._describe(rank, _WITHOUT_A_WORD)
            for link in self._links:
                link.send("end", message)
            print(f"error: {message}", file=sys.stderr, flush=True)
            os._exit(1)


def _greeting(key: str, rank: int) -> bytes:
    return f"{key} {rank:08d}\n".encode()


def _greeted(connection: socket.socket, key: str) -> int | None:
    """The rank of a process of this run that has connected; None, and closed, where it is somebody else."""
    received, length = b"", len(_greeting(key, 0))
    connection.settimeout(_SILENCE_SECONDS)
    with contextlib.suppress(OSError):
        while len(received) < length and (part := connection.recv(length - len(received))):
            received += part
    if not secrets.compare_digest(received[: len(key)], key.encode()):
        connection.close()
        return None
    connection.settimeout(None)
    return int(received[len(key) :])


def _notice_silence(connection: socket.socket) -> None:
    """Has the system close the connection when the other machine no longer answers."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    tries = 3
    for name, value in (
        ("TCP_KEEPIDLE", _SILENCE_SECONDS // 2),
        ("TCP_KEEPINTVL", _SILENCE_SECONDS // 2 // tries),
        ("TCP_KEEPCNT", tries),
        ("TCP_USER_TIMEOUT", 1000 * _SILENCE_SECONDS),
    ):
        if hasattr(socket, name):  # as on Linux
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
