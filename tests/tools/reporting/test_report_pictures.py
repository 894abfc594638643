"""Colour maps with fixed ranges, and enlarged sparse points."""

import numpy as np
import pytest

from evaluation.error_pictures import colour_error, spread
from tools.reporting.report_pictures import colour_depth, even_columns, readable_frame


def test_depth_and_error_saturate_at_the_ends_of_their_ranges():
    near, two, eighty, far = colour_depth(np.array([[0.1, 2.0, 80.0, 500.0]]))[0]
    assert (near == two).all() and (eighty == far).all() and (near != far).any()
    assert near[0] > near[2] and not far[0] > far[2]  # red, blue
    zero, half, more = colour_error(np.array([[0.0, 0.5, 3.0]]))[0]
    assert (half == more).all() and zero[2] > zero[0] and half[0] > half[2]


def test_sparse_pixels_are_enlarged_and_dense_ones_are_not():
    colours, background = np.full((41, 41, 3), 200, np.uint8), np.zeros((41, 41, 3), np.uint8)
    known = np.zeros((41, 41), bool)
    known[20, 20] = True
    drawn = spread(colours, known, background)[:, :, 0] > 0
    assert drawn[20, 19:22].all() and drawn[19:22, 20].all()
    assert drawn.sum() == 5
    dense = np.ones((41, 41), bool)
    dense[0, 0] = False
    assert (spread(colours, dense, background)[:, :, 0] > 0).sum() == dense.sum()
    assert not spread(colours, np.zeros((41, 41), bool), background).any()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2011_09_26/2011_09_26_drive_0048_sync 0000000007 l", "2011-09-26, drive 0048, frame 7, left camera"),
        ("2011_09_26/2011_09_26_drive_0048_sync 0 r", "2011-09-26, drive 0048, frame 0, right camera"),
        ("garden 12", "garden, frame 12"),
    ],
)
def test_split_lines_are_readable(line, words):
    assert readable_frame(line) == words


def test_grids_leave_few_cells_empty():
    assert [even_columns(count) for count in (1, 2, 3, 4, 6, 7, 8)] == [1, 2, 3, 4, 3, 4, 4]
