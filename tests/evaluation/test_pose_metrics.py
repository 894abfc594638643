"""Trajectory errors against the reference and by hand."""

import numpy as np
import pytest

from errors import DataError
from evaluation.pose_metrics import snippet_errors


def forward(steps) -> np.ndarray:
    """Motions along z."""
    motions = np.tile(np.eye(4), (len(steps), 1, 1))
    motions[:, 2, 3] = steps
    return motions


def test_snippet_errors_are_the_reference(load_reference):
    arrays = load_reference("evaluation.npz")
    errors = snippet_errors(arrays["pose_gt_local"], arrays["pose_pred_local"])
    np.testing.assert_allclose(errors, arrays["pose_ate"], rtol=1e-6)


def test_scale_does_not_count():
    np.testing.assert_allclose(snippet_errors(forward([1, 2, 1, 3, 1]), forward([3, 6, 3, 9, 3])), 0, atol=1e-12)


def test_standing_still_at_the_end_by_hand():
    """Truth at 0 1 2 3 4, prediction at 0 1 2 3 3: scale 26/23, squared errors (9 + 36 + 81 + 196) / 23^2."""
    (error,) = snippet_errors(forward([1, 1, 1, 1]), forward([1, 1, 1, 0]))
    assert error == pytest.approx(np.sqrt(9 + 36 + 81 + 196) / 23 / 5)


def test_wrong_shapes():
    with pytest.raises(DataError, match=r"\(3, 4, 4\) and \(4, 4, 4\)"):
        snippet_errors(forward([1, 1, 1]), forward([1, 1, 1, 1]))
