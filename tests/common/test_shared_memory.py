"""Shared memory: visible to other processes, slots taken and freed, nothing left behind."""

import gc
import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from common.shared_memory import SharedBuffer, SharedSlots


@pytest.fixture
def slots() -> SharedSlots:
    """Two slots of 100 bytes."""
    return SharedSlots(2, 100)


def answer(slots, slot, *arrays):
    """Return the arrays as the owner reads them; each is stacked into an array from the writer."""
    writer = slots.writer(slot)
    made = [np.stack([array], out=writer.empty((1, *array.shape), array.dtype)) for array in arrays]
    return slots.read(slot, writer.pack(made))


def test_another_process_reads_and_writes_the_buffer():
    buffer = SharedBuffer(10)
    assert buffer.bytes.tolist() == [0] * 10
    buffer.bytes[0] = 3
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=exec, args=("shared.bytes[1] = shared.bytes[0] + 4", {"shared": buffer}))
    process.start()
    process.join()
    assert process.exitcode == 0 and buffer.bytes[:3].tolist() == [3, 7, 0]


def test_buffer_has_no_name_and_is_freed():
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("requires /proc")
    mapped = lambda: sum("memfd:shared" in line for line in maps.read_text().splitlines())  # noqa: E731
    gc.collect()  # buffers of other tests
    before, descriptors = mapped(), len(os.listdir("/proc/self/fd"))
    buffer = SharedBuffer(10**6)
    view = buffer.bytes[5:]
    assert mapped() == before + 1
    del buffer
    assert mapped() == before + 1  # as long as a view exists
    del view
    gc.collect()
    assert mapped() == before and len(os.listdir("/proc/self/fd")) == descriptors


def test_arrays_in_a_slot_are_not_copied(slots):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    slot = slots.take()
    (got,) = answer(slots, slot, values)
    np.testing.assert_array_equal(got[0], values)
    slots.writer(slot).empty((12,), np.dtype("f4"))[:] = 5  # the same memory
    np.testing.assert_array_equal(got, np.full((1, 3, 4), 5))


def test_arrays_that_do_not_fit_are_sent(slots):
    """Of 100 bytes, 64 fit, the next 40 do not, and the last 20 do."""
    arrays = [np.arange(64, dtype=np.uint8), np.arange(10, dtype=np.int32), np.arange(5, dtype=np.int32)]
    slot = slots.take()
    writer = slots.writer(slot)
    made = [writer.empty(array.shape, array.dtype) for array in arrays]
    for new, array in zip(made, arrays, strict=True):
        new[:] = array
    pickled, ranges = writer.pack({"made": made, "name": "a"})
    assert ranges == [(0, 64), (64, 20)] and len(pickled) > 40
    got = slots.read(slot, (pickled, ranges))
    assert got["name"] == "a"
    for new, array in zip(got["made"], arrays, strict=True):
        np.testing.assert_array_equal(new, array)


def test_without_a_slot_everything_is_sent(slots):
    (got,) = answer(slots, None, np.arange(4))
    assert got.tolist() == [[0, 1, 2, 3]]


def test_slot_is_freed_with_its_last_array(slots):
    first, second = slots.take(), slots.take()
    assert {first, second} == {0, 1} and slots.take() is None
    one, two = answer(slots, first, np.arange(2), np.arange(3))
    part = two[:, 1:]
    del one, two
    assert slots.take() is None
    del part
    assert slots.take() == first
    answer(slots, second)  # without arrays
    assert slots.take() == second
    slots.give_back(second)
    slots.give_back(None)
    assert slots.take() == second and slots.take() is None


def test_exception_can_be_a_result(slots):
    slot = slots.take()
    error = slots.read(slot, slots.writer(slot).pack(ValueError("why")))
    assert isinstance(error, ValueError) and error.args == ("why",)
    assert pickle.loads(pickle.dumps(error)).args == ("why",) and slots.take() is not None
