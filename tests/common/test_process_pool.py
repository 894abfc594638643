"""Work in other processes: order, errors, and processes that die."""

import operator
import os

import pytest

from common.errors import DataError
from common.process_pool import map_in_processes


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


def test_a_process_that_dies_is_told():
    with pytest.raises(DataError, match="a working process died"):
        list(map_in_processes(os._exit, [3], 1))
