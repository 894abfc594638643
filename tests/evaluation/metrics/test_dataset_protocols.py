"""Protocols of datasets beyond KITTI: the pixels, range and tables that their papers report."""

import math

import numpy as np
import pytest

from common.registry import RULE_DATASETS
from datasets.build import dataset_class
from evaluation.ground_truth import protocol_from
from evaluation.metrics.dataset_protocols import DATASET_PROTOCOLS
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.result_tables import format_metrics_table
from options import Options, parse_options

# Name, size of its ground truth, scored rows and columns, values that are just scored, and just not.
CASES = [
    ("cityscapes", (768, 2048), (256, 768), (192, 1856), (0.0011, 79.9), (0.0009, 80.1)),
    ("make3d", (21, 305), (0, 21), (0, 305), (0.0001, 69.9), (0, 70.1)),
    ("nyuv2", (480, 640), (45, 471), (41, 601), (0.0011, 9.99), (0.0009, 10.01)),
    ("ddad", (1216, 1936), (0, 1216), (0, 1936), (0.0001, 199.9), (0, 200.1)),
    ("nuscenes", (900, 1600), (0, 900), (0, 1600), (0.0011, 79.9), (0.0009, 80.1)),
]


def protocol_of(name: str, *arguments: str):
    kind = dataset_class(name)
    return protocol_from(parse_options(["--eval_mono", "--dataset", name, *arguments]), kind, kind.GROUND_TRUTH)


@pytest.mark.parametrize(("name", "size", "rows", "columns", "scored", "ignored"), CASES)
def test_pixels_and_range(name, size, rows, columns, scored, ignored):
    protocol = protocol_of(name)
    assert protocol.window(size) == (slice(*rows), slice(*columns))
    assert protocol.in_range(np.array(scored)).all() and not protocol.in_range(np.array(ignored)).any()
    far = protocol.to_depth(np.float32([1e-6]))
    assert far == DATASET_PROTOCOLS[name].cap


def test_options_override_the_protocol():
    protocol = protocol_of("cityscapes", "--eval_max_depth", "50", "--eval_crop", "none")
    assert (protocol.cap, protocol.max_depth, protocol.crop) == (50, 50, "none")
    assert protocol_of("make3d", "--eval_max_depth", "80").cap == 80  # although this is KITTI's default


def test_every_dataset_finds_its_own_lists():
    for name in RULE_DATASETS:
        opt = parse_options(["--dataset", name])
        assert (opt.split, opt.eval_split) == (name, name)
        assert dataset_class(name).PROTOCOL in DATASET_PROTOCOLS
    assert parse_options(["--dataset", "cityscapes", "--split", "mine"]).split == "mine"
    assert Options().split == "eigen_zhou"


def test_tables_of_make3d_have_the_decadic_logarithm():
    means = dict.fromkeys(METRIC_NAMES, 0.5)
    header, values = format_metrics_table(means, protocol_of("make3d")).splitlines()[1:]
    assert header.split() == [*METRIC_NAMES, "log10"]
    assert float(values.split()[-1]) == pytest.approx(0.5 / math.log(10), abs=5e-4)
    assert "log10" not in format_metrics_table(means, protocol_of("cityscapes"))
