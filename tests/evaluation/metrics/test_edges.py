"""Depth edges: walls at known places."""

import numpy as np
import pytest

from evaluation.metrics.edges import depth_edges, edge_scores


def wall(column: int, near: float = 10, far: float = 20) -> np.ndarray:
    """(40, 100): far at the left, near from a column on."""
    depth = np.full((40, 100), far, np.float32)
    depth[:, column:] = near
    return depth


def test_a_step_is_one_line():
    edges = depth_edges(wall(50))
    columns = np.flatnonzero(edges.any(axis=0))
    assert len(columns) == 1 and abs(columns[0] - 49.5) <= 0.5 and edges[5:-5].any(axis=1).all()


@pytest.mark.parametrize("shift", [0, 3, -6])
def test_a_shifted_wall_is_wrong_by_its_shift(shift):
    scores = edge_scores(wall(50), wall(50 + shift))
    assert scores == pytest.approx({"accuracy": abs(shift), "completeness": abs(shift)})


def test_jumps_count_by_their_ratio_at_any_depth():
    assert edge_scores(wall(50), wall(50, 1, 2)) == {"accuracy": 0, "completeness": 0}
    assert not depth_edges(wall(50, 10, 10.9)).any()
    assert depth_edges(wall(50, 10, 13)).any()


def test_edges_that_are_missed_or_far_off_cost_the_most():
    for pred in (wall(80), np.full((40, 100), 10, np.float32)):
        assert edge_scores(wall(50), pred) == {"accuracy": 10, "completeness": 10}
    # A second edge where there is none costs no completeness, and its distance is out of reach.
    both = wall(50)
    both[:, :20] = 40
    assert edge_scores(wall(50), both) == {"accuracy": 0, "completeness": 0}
    assert edge_scores(both, wall(50))["completeness"] == pytest.approx(5)  # one of two is missed


def test_a_truth_without_edges_says_nothing():
    assert all(np.isnan(value) for value in edge_scores(np.full((40, 100), 10, np.float32), wall(50)).values())
