"""Processes of a run: gathered values, and how the failure of one ends the others. Without Paddle, hence quick."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import DataError
from training.distributed_context import DistributedContext

ROOT = Path(__file__).resolve().parents[2]
# Pipes pass the address from the first process to the others, instead of a launcher's store.
PROLOGUE = """
import json, os, signal, sys, time
sys.path.insert(0, {root!r})
from common.errors import DataError, Stopped, UserError
from training.distributed_context import DistributedContext

def share(value):
    if context.rank:
        return json.loads(sys.stdin.readline())
    print(json.dumps(value), flush=True)
    return value

context = DistributedContext({rank}, {size}, {timeout})
context.connect("127.0.0.1", share)
"""


class Run:
    """Processes that run the same code, which can use ``context`` and ``rank``."""

    def __init__(self, code: str, size: int = 3, timeout: float = 60.0) -> None:
        self.processes = []
        for rank in range(size):
            script = PROLOGUE.format(root=str(ROOT), rank=rank, size=size, timeout=timeout) + f"rank = {rank}\n{code}"
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

    def finish(self, hung: int | None = None) -> list[tuple[int, str, str]]:
        """Return exit status, output and errors of each process; kill the hung one after the others have exited."""
        for process in self.processes[1:]:
            process.stdin.write(self.address)
            process.stdin.flush()
        ended = {}
        for rank, process in sorted(enumerate(self.processes), key=lambda item: item[0] == hung):
            if rank == hung:
                process.kill()
            output, errors = process.communicate(timeout=60)
            ended[rank] = (process.returncode, output.strip(), errors.strip())
        return [ended[rank] for rank in sorted(ended)]


def test_a_single_process_communicates_with_itself():
    with DistributedContext() as context:
        assert context.gather({"a": 1}) == [{"a": 1}] and context.mean([1.5, 2.0]) == [1.5, 2.0]
        assert context.is_main
        context.assert_consistent(lines=3)


def test_gather_returns_all_values_by_rank():
    code = "with context:\n    print(context.gather([rank, 0.1]), context.mean([rank, 1.0]))\n"
    for status, output, errors in Run(code).finish():
        assert (status, errors) == (0, "")
        assert output == "[[0, 0.1], [1, 0.1], [2, 0.1]] [1.0, 1.0]"


@pytest.mark.parametrize("victim", [0, 2])
def test_a_killed_process_ends_the_others_with_the_reason(victim):
    code = f"""
with context:
    context.barrier()
    if rank == {victim}:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # waits, as in a collective
"""
    for rank, (status, _, errors) in enumerate(Run(code).finish()):
        if rank == victim:
            assert status == -signal.SIGKILL
        else:
            assert status == 1
            assert errors.startswith(f"error: process {victim} of 3 exited unexpectedly: it was killed")


@pytest.mark.parametrize("victim", [0, 2])
def test_a_process_that_hangs_ends_the_others_within_the_timeout(victim):
    """The others are busy, as in a step or a collective; their heartbeats continue."""
    code = f"""
with context:
    context.barrier()
    started = time.monotonic()
    if rank == {victim}:
        os.kill(os.getpid(), signal.SIGSTOP)
    while time.monotonic() < started + 30:
        sum(range(1000))
"""
    started = time.monotonic()
    for rank, (status, _, errors) in enumerate(Run(code, timeout=2.0).finish(hung=victim)):
        if rank != victim:
            assert status == 1
            assert errors.startswith(f"error: process {victim} of 3 has not answered for 2 s")
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("victim", [0, 2])
def test_a_responsive_process_that_is_too_late_ends_the_others(victim):
    code = f"""
with context:
    context.barrier()
    if rank == {victim}:
        time.sleep(60)
    context.barrier()
"""
    for rank, (status, _, errors) in enumerate(Run(code, timeout=1.0).finish(hung=victim)):
        if rank != victim:
            assert status == 1
            assert errors.startswith(f"error: process {victim} of 3 answers, but has not reached")


def test_a_failed_collective_is_attributed_to_the_hung_process():
    """Gloo times out after 30 s, and names no process."""
    code = """
with context:
    context.barrier()
    if rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3)
    raise RuntimeError("TIMEOUT")
"""
    (status, _, errors), _ = Run(code, size=2, timeout=10.0).finish(hung=1)
    assert status == 1 and errors.startswith("error: process 1 of 2 has not answered for ")


def test_busy_processes_may_exceed_the_timeout():
    code = "with context:\n    time.sleep(3)\n    print(context.gather(rank))\n"
    assert [output for _, output, _ in Run(code, timeout=1.0).finish()] == ["[0, 1, 2]"] * 3


def test_an_error_message_reaches_all_processes():
    code = """
with context:
    if rank == 2:
        raise DataError("Image x.jpg cannot be read.")
    context.barrier()
"""
    first, second, third = Run(code).finish()
    for status, _, errors in (first, second):
        assert (status, errors) == (1, "error: process 2 of 3 ended: Image x.jpg cannot be read.")
    assert "DataError: Image x.jpg cannot be read." in third[2]


def test_an_error_raised_by_all_is_reported_by_each_itself():
    code = "with context:\n    context.barrier()\n    raise UserError('the same everywhere')\n"
    for _, _, errors in Run(code).finish():
        assert "the same everywhere" in errors and "error: process" not in errors


def test_a_foreign_connection_is_rejected():
    run = Run("with context:\n    print(context.gather(rank))\n", size=2)
    port, _ = eval(run.address)
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n")
        ended = run.finish()
        with contextlib.suppress(ConnectionResetError):
            while stranger.recv(100):  # the authentication challenge, then the end of the stream
                pass
    assert [(status, output) for status, output, _ in ended] == [(0, "[0, 1]")] * 2


def test_assert_consistent_names_differences(monkeypatch):
    context = DistributedContext()
    seen = {"step": 4, "training_lines": "12 lines (0a)"}
    monkeypatch.setattr(context, "gather", lambda facts: [facts, {**facts, "step": 2}])
    with pytest.raises(DataError, match="step: 4 in process 0, 2 in process 1"):
        context.assert_consistent(**seen)
