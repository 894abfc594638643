"""The verdict: figures by hand, and the ones of ``docs/coming_from_the_original.md``."""

import dataclasses

import numpy as np
import pytest

from tools.original.result_table import format_comparison
from tools.original.verdict import Comparison, Scores, allowed_differences, judge_losses, judge_scores

LOSSES = np.array([0.2, 0.19, 0.18, 0.17, 0.16])
RESULT = Comparison(
    losses={"ours": LOSSES, "original": LOSSES, "repeated": LOSSES},
    seconds={name: np.array([9, 9, 1, 3, 2]) * factor for name, factor in (("ours", 1.0), ("original", 2.0))},
    peak_memory_mb={"ours": 500, "original": 1000},
    versions={"ours": "3.3.1", "original": "2.13.0"},
    threads={"ours": 2, "original": 2, "repeated": 1},
    scores=None,
)


def compared(ours, repeated) -> Comparison:
    """Build a result with these relative differences per step."""
    reference = LOSSES[: len(ours)]
    losses = {"ours": reference * (1 + np.array(ours)), "repeated": reference * (1 - np.array(repeated))}
    return dataclasses.replace(RESULT, losses={**losses, "original": reference})


def test_allowed_differences_by_hand():
    # The first step by rounding alone; then ten times the largest so far, up to the next step, which the last lacks.
    assert allowed_differences(np.array([1e-7, 8e-6, 3e-4, 2e-4])) == pytest.approx([1e-5, 3e-3, 3e-3, np.inf])
    assert allowed_differences(np.zeros(3)) == pytest.approx([1e-5, 1e-5, np.inf])
    assert allowed_differences(np.array([0.5])) == pytest.approx([1e-5])


@pytest.mark.parametrize(
    ("ours", "repeated", "agrees", "words"),
    [
        ([0, 0, 0], [0, 0, 0], True, "differ by 0.0e+00 at step 1"),
        # The lockstep training of the documentation: the plain form, and the C++ operators.
        ([7e-7, 3e-7, 4e-4, 4e-3], [1e-7, 8e-6, 3e-4, 7e-3], True, "up to 4.0e-03 over 4 steps"),
        ([3e-6, 2e-5, 3e-4, 6e-3], [1e-7, 8e-6, 3e-4, 7e-3], True, "itself by up to 7.0e-03"),
        # Another loss shows before any update, whatever the later noise; another update only afterwards.
        ([2e-5, 2e-5, 3e-4], [1e-7, 8e-6, 3e-2], False, "step 1 differ by 2.0e-05, but rounding explains only 1.0e-05"),
        ([1e-7, 2e-3, 4e-3], [1e-7, 8e-6, 3e-5], False, "step 2 differ by 2.0e-03, but rounding explains only 3.0e-04"),
        ([1e-7, 1e-6, np.nan], [1e-7, 8e-6, 3e-5], False, "A loss of step 3 is not finite"),
    ],
)
def test_losses_are_judged_by_the_originals_difference_from_itself(ours, repeated, agrees, words):
    verdict = judge_losses(compared(ours, repeated))
    assert verdict.agrees is agrees and words in verdict.reason


def test_scores_are_judged_per_frame():
    metrics = np.array([[0.2, 1.0, 5.0, 0.3, 0.7, 0.9, 0.0], [np.nan] * 7])
    other, unscored = metrics.copy(), metrics.copy()
    other[0, 1] = 1.0001
    unscored[1] = 0.5
    for theirs, agrees in ((metrics, True), (other, False), (unscored, False), (metrics[:1], False)):
        assert judge_scores(Scores({"median": metrics}, {"median": theirs})).agrees is agrees
    ours, theirs = Scores({"median": metrics}, {"median": other}).means()["median"]
    assert ours == pytest.approx(metrics[0]) and theirs == pytest.approx(other[0])
    assert judge_scores(None) is None


def test_table():
    metrics = {"median": np.array([[0.25, 1.0, 5.0, 0.3, 0.7, 0.9, 0.0]])}
    table, agrees = format_comparison(dataclasses.replace(RESULT, scores=Scores(metrics, metrics)))
    split = [[cell.strip() for cell in row.split("|")[1:-1]] for row in _rows(table)]
    rows = {name: cells for name, *cells in split}
    assert agrees and "Verdict: the implementations agree." in table
    assert rows["loss, step 2"] == ["0.190000", "0.190000", "0.0e+00", "0.0e+00", "1.0e-05"]
    assert rows["abs_rel, median-scaled"] == ["0.2500000", "0.2500000", "0.0e+00", "", ""]
    # Medians of the last three steps.
    assert rows["seconds per step, median"] == ["2.00", "4.00", "x 0.50", "", ""]
    assert rows["peak memory, MiB"] == ["500", "1000", "x 0.50", "", ""]
    assert "the original from itself: with 1, from weights changed" in table
    assert len({len(row) for row in _rows(table)}) == 1  # aligned


def test_table_of_implementations_that_differ():
    table, agrees = format_comparison(compared([1e-3] * 2, [0] * 2))
    assert not agrees and "Verdict: the implementations differ." in table
    assert "no test frames" in table


def _rows(table: str) -> list[str]:
    return [line for line in table.splitlines() if line.startswith("|")]
