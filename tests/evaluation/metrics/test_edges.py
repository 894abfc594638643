"""Depth edges of walls at known positions."""

import numpy as np
import pytest

from evaluation.metrics.edges import depth_edges, edge_scores


def wall(column: int, near: float = 10, far: float = 20) -> np.ndarray:
    """Depth (40, 100): far on the left, near from a given column."""
    depth = np.full((40, 100), far, np.float32)
    depth[:, column:] = near
    return depth


def test_a_step_gives_one_line():
    edges = depth_edges(wall(50))
    columns = np.flatnonzero(edges.any(axis=0))
    assert len(columns) == 1 and abs(columns[0] - 49.5) <= 0.5 and edges[5:-5].any(axis=1).all()


@pytest.mark.parametrize("shift", [0, 3, -6])
def test_a_shifted_wall_scores_its_shift(shift):
    scores = edge_scores(wall(50), wall(50 + shift))
    assert scores == pytest.approx({"accuracy": abs(shift), "completeness": abs(shift)})


def test_edges_depend_on_the_depth_ratio():
    assert edge_scores(wall(50), wall(50, 1, 2)) == {"accuracy": 0, "completeness": 0}
    assert not depth_edges(wall(50, 10, 10.9)).any()
    assert depth_edges(wall(50, 10, 13)).any()


def test_missed_and_distant_edges_score_the_maximum():
    for pred in (wall(80), np.full((40, 100), 10, np.float32)):
        assert edge_scores(wall(50), pred) == {"accuracy": 10, "completeness": 10}
    # A second edge where there is none costs no completeness, and its distance is out of reach.
    both = wall(50)
    both[:, :20] = 40
    assert edge_scores(wall(50), both) == {"accuracy": 0, "completeness": 0}
    assert edge_scores(both, wall(50))["completeness"] == pytest.approx(5)  # one of two is missed


def test_ground_truth_without_edges_gives_nan():
    assert all(np.isnan(value) for value in edge_scores(np.full((40, 100), 10, np.float32), wall(50)).values())
