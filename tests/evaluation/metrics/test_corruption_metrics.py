"""Metrics of robustness, by hand."""

import numpy as np
import pytest

from evaluation.metrics.corruption_metrics import corruption_errors, depth_estimation_error, resilience_rates

DEE = np.array([[0.2, 0.4], [0.1, 0.1]])


def test_depth_estimation_error():
    # (0.12 - 0.88 + 1) / 2, and a perfect prediction
    np.testing.assert_allclose(depth_estimation_error(np.array([0.12, 0]), np.array([0.88, 1])), [0.12, 0], atol=1e-12)


def test_corruption_errors():
    baseline = np.array([[0.5, 0.25], [0.1, 0.3]])
    np.testing.assert_allclose(corruption_errors(DEE, baseline), [0.6 / 0.75, 0.2 / 0.4])
    np.testing.assert_allclose(corruption_errors(DEE, DEE), [1, 1])
    assert np.isnan(corruption_errors(DEE, 0 * DEE)).all()
    with pytest.raises(ValueError, match="same"):
        corruption_errors(DEE, baseline[:1])


def test_resilience_rates():
    np.testing.assert_allclose(resilience_rates(DEE, 0.1), [(0.8 + 0.6) / (2 * 0.9), 1])
    assert np.isnan(resilience_rates(DEE, 1.0)).all()
    with pytest.raises(ValueError, match="corruptions, severities"):
        resilience_rates(np.zeros(3), 0.1)
