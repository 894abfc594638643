"""Work in other processes: order, errors, and processes that die."""

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
def test_results_come_in_the_order_of_the_items(num_workers):
    assert list(map_in_processes(operator.neg, range(5), num_workers)) == [0, -1, -2, -3, -4]


def test_items_are_not_taken_long_before_they_are_done():
    taken = []
    items = (taken.append(i) or i for i in range(1000))
    results = map_in_processes(operator.neg, items, 1)
    assert next(results) == 0 and len(taken) < 10
    results.close()
    assert len(taken) < 10


def test_errors_of_the_function_are_raised():
    with pytest.raises(ValueError, match="invalid literal"):
        list(map_in_processes(int, ["1", "one"], 1))


def test_errors_show_where_they_were_raised():
    with pytest.raises(ValueError) as error:
        list(map_in_processes(_fail, [3], 1))
    assert "in _fail" in "".join(traceback.format_exception(error.value))


def _fail(item):
    raise ValueError(item)


def test_what_cannot_be_sent_is_an_error_and_no_death():
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        list(map_in_processes(_unpicklable, [3], 1))


def _unpicklable(item):
    return lambda: item


def test_a_process_that_dies_is_told_with_what_it_was_at():
    with pytest.raises(DataError) as error:
        list(map_in_processes(os._exit, [3], 1, describe=lambda item: f"item {item}"))
    assert str(error.value).startswith("A worker process exited unexpectedly")
    assert str(error.value).endswith("It was working on:\n  item 3")


@pytest.mark.parametrize("delay", [0, 0.001, 0.003, 0.01, 0.03])
def test_a_process_that_is_killed_in_the_middle_of_an_answer_is_told(delay):
    """Half an answer of 8 MB is in the pipe: what reads answers of all processes from one pipe waits for ever."""
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
        print(os.getpid(), flush=True)
        time.sleep(60)

if __name__ == "__main__":
    for _ in map_in_processes(work, range(4), 2):
        pass
"""


@pytest.fixture
def start(tmp_path):
    """Starts a script whose two processes are in the middle of items of a minute: the script, and their ids."""
    (tmp_path / "work.py").write_text(SCRIPT.format(root=str(ROOT)))
    parents = []

    def make():
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        parent = subprocess.Popen([sys.executable, tmp_path / "work.py"], **pipes, text=True, start_new_session=True)
        parents.append(parent)
        return parent, [int(parent.stdout.readline()) for _ in range(2)]

    yield make
    for parent in parents:
        parent.kill()
        parent.communicate()


def test_no_process_outlives_a_killed_parent_though_it_is_busy(start):
    parent, workers = start()
    parent.kill()
    _wait_for_end(workers)


def test_the_parent_alone_answers_ctrl_c(start):
    parent, workers = start()
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.wait(20) != 0
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
