"""Threads that work ahead of and behind the main one: order, bounds, errors, and their end."""

import threading
import time
from contextlib import closing

import pytest

from common.background import BackgroundCalls, read_ahead


def count_threads():
    return sum(thread.name.startswith(("read_ahead", "background_calls")) for thread in threading.enumerate())


def test_items_are_read_in_order_and_at_most_so_far_ahead():
    read = []

    def items():
        for number in range(10):
            read.append(number)
            yield number

    taken = []
    with closing(read_ahead(items(), ahead=2)) as ready:
        for number in ready:
            taken.append(number)
            time.sleep(0.01)
            assert len(read) <= len(taken) + 2
    assert taken == list(range(10)) == read
    assert count_threads() == 0


def test_reading_happens_while_the_items_are_used():
    reading = threading.Event()

    def items():
        yield 1
        reading.set()
        yield 2

    with closing(read_ahead(items(), ahead=1)) as ready:
        assert next(ready) == 1
        assert reading.wait(10)


def test_an_error_of_reading_arrives_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("second")

    ready = read_ahead(items(), ahead=3)
    assert next(ready) == 1
    with pytest.raises(ValueError, match="second"):
        next(ready)
    assert count_threads() == 0


def test_reading_ends_when_the_iteration_is_abandoned():
    with closing(read_ahead(iter(int, 1), ahead=1)) as ready:  # endless
        next(ready)
    assert count_threads() == 0


def test_calls_are_made_in_order_and_all_at_the_end_of_the_block():
    made = []

    def call(number):
        time.sleep(0.01 if number == 0 else 0)
        made.append((number, threading.current_thread() is threading.main_thread()))

    with BackgroundCalls(ahead=1) as calls:
        for number in range(5):
            calls.submit(call, number)
            assert number - len(made) <= 2
    assert made == [(number, False) for number in range(5)]
    assert count_threads() == 0


@pytest.mark.parametrize("last", [True, False])
def test_an_error_of_a_call_reaches_the_main_thread(last):
    def fail():
        raise OSError("full")

    made = []
    with pytest.raises(OSError, match="full"), BackgroundCalls(ahead=1) as calls:
        calls.submit(fail)
        for number in range(0 if last else 10):
            calls.submit(made.append, number)
    assert len(made) < 10 and count_threads() == 0


def test_calls_before_ctrl_c_are_made():
    made = []
    with pytest.raises(KeyboardInterrupt), BackgroundCalls(ahead=1) as calls:
        calls.submit(made.append, 1)
        calls.submit(made.append, 2)
        raise KeyboardInterrupt
    assert made == [1, 2] and count_threads() == 0
