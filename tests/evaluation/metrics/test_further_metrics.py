"""The metrics of KITTI's server and of other benchmarks, by hand."""

import numpy as np
import pytest

from evaluation.metrics.further_metrics import BENCHMARK_NAMES, FURTHER_NAMES, benchmark_metrics, further_metrics

GT = np.array([1.0, 2.0, 4.0, 10.0])
PRED = np.array([1.08, 1.0, 5.0, 10.2])  # ratios 1.08, 2, 1.25 and 1.02


def test_benchmark_by_hand():
    logs = [np.log(1.08), -np.log(2), np.log(1.25), np.log(1.02)]
    mean_square = sum(value**2 for value in logs) / 4
    expected = {
        "silog": 100 * np.sqrt(mean_square - (sum(logs) / 4) ** 2),
        "sq_error_rel": 100 * (0.0064 + 0.25 + 0.0625 + 0.0004) / 4,
        "abs_error_rel": 100 * (0.08 + 0.5 + 0.25 + 0.02) / 4,
        "irmse": 1000 * np.sqrt(((1 / 1.08 - 1) ** 2 + 0.5**2 + 0.05**2 + (1 / 10.2 - 0.1) ** 2) / 4),
    }
    assert benchmark_metrics(GT, PRED) == pytest.approx(expected, rel=1e-12)


def test_further_by_hand():
    expected = {
        "mae": (0.08 + 1 + 1 + 0.2) / 4,
        "log10": np.log10(1.08 * 2 * 1.25 * 1.02) / 4,
        "imae": 1000 * ((1 - 1 / 1.08) + 0.5 + 0.05 + (0.1 - 1 / 10.2)) / 4,
        "d105": 1 / 4,
        "d110": 2 / 4,
    }
    assert further_metrics(GT, PRED) == pytest.approx(expected, rel=1e-12)


def test_ground_truth_has_no_error():
    assert benchmark_metrics(GT, GT) == dict.fromkeys(BENCHMARK_NAMES, 0)
    assert further_metrics(GT, GT) == dict(zip(FURTHER_NAMES, [0, 0, 0, 1, 1], strict=True))


def test_silog_ignores_a_factor():
    scaled, plain = (benchmark_metrics(GT, factor * PRED) for factor in (3, 1))
    assert scaled["silog"] == pytest.approx(plain["silog"], rel=1e-12)
    assert scaled["abs_error_rel"] > 2 * plain["abs_error_rel"]
