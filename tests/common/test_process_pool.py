"""Process pool: order of results, errors, and workers that die."""

import operator
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from common.errors import DataError
from common.process_pool import map_in_processes

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_results_keep_the_order_of_the_items(num_workers):
    assert list(map_in_processes(operator.neg, range(5), num_workers)) == [0, -1, -2, -3, -4]


def test_items_are_consumed_on_demand():
    taken = []
    items = (taken.append(i) or i for i in range(1000))
    results = map_in_processes(operator.neg, items, 1)
    assert next(results) == 0 and len(taken) < 10
    results.close()
    assert len(taken) < 10


def test_function_errors_are_raised():
    with pytest.raises(ValueError, match="invalid literal"):
        list(map_in_processes(int, ["1", "one"], 1))


def test_errors_keep_the_workers_traceback():
    with pytest.raises(ValueError) as error:
        list(map_in_processes(_fail, [3], 1))
    assert "in _fail" in "".join(traceback.format_exception(error.value))


def _fail(item):
    raise ValueError(item)


def test_unpicklable_result_is_an_error():
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        list(map_in_processes(_unpicklable, [3], 1))


def _unpicklable(item):
    return lambda: item


def test_dead_worker_is_reported_with_its_item():
    with pytest.raises(DataError) as error:
        list(map_in_processes(os._exit, [3], 1, describe=lambda item: f"item {item}"))
    assert str(error.value).startswith("A worker process exited unexpectedly")
    assert str(error.value).endswith("It was working on:\n  item 3")


@pytest.mark.parametrize("delay", [0, 0.001, 0.003, 0.01, 0.03])
def test_worker_killed_while_sending_is_reported(delay):
    """Half a result of 8 MB is in the pipe; a pool with one shared result pipe would wait forever."""
    answers = map_in_processes(_large, range(20), 2)
    pid, _ = next(answers)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(DataError, match="A worker process exited unexpectedly"):
        list(answers)


def _large(item):
    return os.getpid(), bytes(8_000_000)


SCRIPT = """
import os, sys, time
sys.path.insert(0, {root!r})
from common.process_pool import map_in_processes

def work(item):
    if item > 1:
        os.write(1, b"%d\\n" % os.getpid())  # one write: two workers share the pipe
        time.sleep(60)

if __name__ == "__main__":
    for _ in map_in_processes(work, range(4), 2):
        pass
"""


@pytest.fixture
def start(tmp_path):
    """Start a script with two workers busy for a minute; return the script's process and the worker ids."""
    (tmp_path / "work.py").write_text(SCRIPT.format(root=str(ROOT)))
    parents = []

    def make():
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        parent = subprocess.Popen(
            [sys.executable, tmp_path / "work.py"],
            **pipes,
            text=True,
            start_new_session=True,
            # A shell starts background jobs, as this test may be, with SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        parents.append(parent)
        return parent, [int(parent.stdout.readline()) for _ in range(2)]

    yield make
    for parent in parents:
        parent.kill()
        parent.communicate()


def test_busy_workers_exit_with_a_killed_parent(start):
    parent, workers = start()
    parent.kill()
    _wait_for_end(workers)


def test_only_the_parent_handles_ctrl_c(start):
    parent, workers = start()
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.wait(50) != 0
    _wait_for_end(workers)
    assert parent.stderr.read().count("Traceback") == 1


def _wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(_is_running(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
