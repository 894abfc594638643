"""Signals as requests: noted once, heeded at once the second time, and left alone where they were ignored."""

import signal
import threading

import pytest

from errors import Stopped
from training.stop_signals import StopSignals


def test_a_signal_is_noted_and_told_at_the_next_check(capfd):
    with StopSignals() as stop:
        stop.check()
        signal.raise_signal(signal.SIGTERM)
        assert "SIGTERM: finishing the step" in capfd.readouterr().err
        with pytest.raises(Stopped) as stopped:
            stop.check()
    assert stopped.value.signum == signal.SIGTERM


def test_items_end_where_a_signal_came():
    with StopSignals() as stop, pytest.raises(Stopped):
        for item in stop.until_stopped(range(5), 5):
            if item == 2:
                signal.raise_signal(signal.SIGTERM)
    assert item == 2


def test_handlers_are_those_of_before_after_the_first_signal_and_after_the_block():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("before"))
    try:
        with StopSignals():
            signal.raise_signal(signal.SIGTERM)
            assert seen == []
            signal.raise_signal(signal.SIGTERM)
            assert seen == ["before"]
        with StopSignals():
            pass
        signal.raise_signal(signal.SIGTERM)
        assert seen == ["before", "before"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            signal.raise_signal(signal.SIGINT)
            stop.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_changes_nothing():
    handlers = []

    def enter() -> None:
        with StopSignals():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]
