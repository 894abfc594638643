"""Signals: the first is recorded, the second ends the process, ignored ones stay ignored."""

import signal
import threading

import pytest

from common.errors import Stopped
from training.distributed_context import DistributedContext
from training.stop_signals import StopSignals


def test_a_signal_is_raised_at_the_next_check(capfd):
    with StopSignals() as stop:
        stop.check()
        signal.raise_signal(signal.SIGTERM)
        assert "SIGTERM: finishing the step" in capfd.readouterr().err
        with pytest.raises(Stopped) as stopped:
            stop.check()
    assert stopped.value.signum == signal.SIGTERM


def test_iteration_stops_after_a_signal():
    with StopSignals() as stop, pytest.raises(Stopped):
        for item in stop.until_stopped(range(5), 5):
            if item == 2:
                signal.raise_signal(signal.SIGTERM)
    assert item == 2


def test_handlers_are_restored_after_the_first_signal_and_after_the_block():
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


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            signal.raise_signal(signal.SIGINT)
            stop.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_do_not_change_handlers():
    handlers = []

    def enter() -> None:
        with StopSignals():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]


@pytest.fixture
def second_of_two(monkeypatch):
    """The second of two processes; ``received_by_first`` is the signal that the first one has received."""
    context = DistributedContext(1, 2)
    context.received_by_first, context.asked = None, 0

    def gather(own):
        context.asked += 1
        return [context.received_by_first, own]

    monkeypatch.setattr(context, "gather", gather)
    return context


def test_a_signal_to_another_process_stops_this_one(second_of_two):
    with StopSignals(second_of_two) as stop:
        stop.check()
        second_of_two.received_by_first = 15
        with pytest.raises(Stopped) as stopped:
            stop.check()
    assert stopped.value.signum == signal.SIGTERM


def test_with_several_processes_further_signals_of_the_launcher_are_ignored(second_of_two, capfd):
    with StopSignals(second_of_two) as stop:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert capfd.readouterr().err == "\nSIGTERM: finishing the step, then saving\n"
        with pytest.raises(Stopped):
            stop.check()


def test_a_process_with_fewer_items_checks_as_often(second_of_two):
    with StopSignals(second_of_two) as stop:
        assert list(stop.until_stopped("ab", 3)) == ["a", "b"]
    assert second_of_two.asked == 3


@pytest.mark.parametrize("by_first", [False, True])
def test_with_several_processes_later_signals_do_not_interrupt_saving(second_of_two, by_first):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("before"))
    try:
        with StopSignals(second_of_two) as stop, pytest.raises(Stopped):
            if by_first:
                second_of_two.received_by_first = signal.SIGTERM
            else:
                signal.raise_signal(signal.SIGTERM)
            stop.check()
        signal.raise_signal(signal.SIGTERM)  # the second signal of the launcher
        assert seen == []
    finally:
        signal.signal(signal.SIGTERM, before)
