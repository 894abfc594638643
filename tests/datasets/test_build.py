"""Building datasets from options."""

import pytest

from common.errors import DataError
from datasets.build import dataset_class, dataset_from
from datasets.splits import SplitLine
from options import Options

LINES = [SplitLine("2011_01_01/drive", 3, "r")]


def test_options_reach_the_dataset():
    size = {"height": 96, "width": 320}
    kind = {"dataset": "kitti_depth", "png": True, "gt_depth": "camera", "kitti_mean_intrinsics": True}
    opt = Options(data_path="DATA", seed=7, **size, **kind)
    dataset = dataset_from(opt, LINES, frame_ids=(0, 1, "s"), scales=(0, 2), augment=True)
    assert dataset.frame_paths(LINES[0])[2] == "DATA/2011_01_01/drive/image_02/data/0000000003.png"
    assert "groundtruth" in dataset.ground_truth_path(LINES[0])
    assert (dataset.height, dataset.width, dataset.scales, dataset.seed) == (96, 320, (0, 2), 7)
    assert dataset.train and dataset.mean_intrinsics and dataset.gt_depth == "camera"
    other = dataset_from(opt, LINES, kind=dataset_class("kitti_odom"))
    assert other.frame_paths(SplitLine("9", 3, "r")) == ["DATA/sequences/09/image_3/000003.png"]
    assert not other.train and not other.mean_intrinsics


def test_mean_intrinsics_are_rejected_only_with_scales():
    opt = Options(data_path="DATA", dataset="folder", kitti_mean_intrinsics=True)
    assert len(dataset_from(opt, LINES)) == 1
    with pytest.raises(DataError, match="kitti_mean_intrinsics"):
        dataset_from(opt, LINES, scales=(0,))
