"""Processes of a run: what they gather, and how the end of one ends the others. Without Paddle, thus quickly."""

import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import DataError
from training.control_channel import Peers

ROOT = Path(__file__).resolve().parents[2]
# The address goes from the first process to the others through a pipe of each, as a launcher's store would hand it on.
PROLOGUE = """
import json, os, signal, sys, time
sys.path.insert(0, {root!r})
from common.errors import DataError, Stopped, UserError
from training.control_channel import Peers

def share(value):
    if peers.rank:
        return json.loads(sys.stdin.readline())
    print(json.dumps(value), flush=True)
    return value

peers = Peers({rank}, {size})
peers.connect("127.0.0.1", share)
"""


class Run:
    """Processes that run the same code; ``peers`` and ``rank`` are there."""

    def __init__(self, code: str, size: int = 3) -> None:
        self.processes = []
        for rank in range(size):
            script = PROLOGUE.format(root=str(ROOT), rank=rank, size=size) + f"rank = {rank}\n{code}"
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", script],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        self.address = self.processes[0].stdout.readline()

    def finish(self) -> list[tuple[int, str, str]]:
        """Status, output and errors of each."""
        for process in self.processes[1:]:
            process.stdin.write(self.address)
            process.stdin.flush()
        ended = []
        for process in self.processes:
            output, errors = process.communicate(timeout=60)
            ended.append((process.returncode, output.strip(), errors.strip()))
        return ended


def test_alone_nothing_is_asked_of_others():
    with Peers() as peers:
        assert peers.gather({"a": 1}) == [{"a": 1}] and peers.mean([1.5, 2.0]) == [1.5, 2.0]
        assert peers.any(True) and not peers.any(False) and peers.is_main
        peers.check_alike(lines=3)


def test_all_get_the_values_of_all_in_order():
    code = "with peers:\n    print(peers.gather([rank, 0.1]), peers.mean([rank, 1.0]), peers.any(rank == 1))\n"
    for status, output, errors in Run(code).finish():
        assert (status, errors) == (0, "")
        assert output == "[[0, 0.1], [1, 0.1], [2, 0.1]] [1.0, 1.0] True"


@pytest.mark.parametrize("victim", [0, 2])
def test_a_killed_process_ends_the_others_with_the_reason(victim):
    code = f"""
with peers:
    peers.wait()
    if rank == {victim}:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # as in a collective that waits for it
"""
    for rank, (status, _, errors) in enumerate(Run(code).finish()):
        if rank == victim:
            assert status == -signal.SIGKILL
        else:
            assert status == 1
            assert errors.startswith(f"error: process {victim} of 3 ended without a word: it was killed")


def test_the_message_of_one_that_fails_reaches_all():
    code = """
with peers:
    if rank == 2:
        raise DataError("Image x.jpg cannot be read.")
    peers.wait()
"""
    first, second, third = Run(code).finish()
    for status, _, errors in (first, second):
        assert (status, errors) == (1, "error: process 2 of 3 ended: Image x.jpg cannot be read.")
    assert "DataError: Image x.jpg cannot be read." in third[2]


def test_what_all_raise_is_told_by_each_alone():
    code = "with peers:\n    peers.wait()\n    raise UserError('the same everywhere')\n"
    for _, _, errors in Run(code).finish():
        assert "the same everywhere" in errors and "error: process" not in errors


def test_a_stranger_who_connects_is_turned_away():
    run = Run("with peers:\n    print(peers.gather(rank))\n", size=2)
    port, _ = eval(run.address)
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n")
        ended = run.finish()
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(10) == b""
    assert [(status, output) for status, output, _ in ended] == [(0, "[0, 1]")] * 2


def test_differences_are_named(monkeypatch):
    peers = Peers()
    seen = {"step": 4, "training_lines": "12 lines (0a)"}
    monkeypatch.setattr(peers, "gather", lambda facts: [facts, {**facts, "step": 2}])
    with pytest.raises(DataError, match="step: 4 in process 0, 2 in process 1"):
        peers.check_alike(**seen)
