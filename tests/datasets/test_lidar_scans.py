"""Scans in other layouts are rejected by the reader, and by all that score or check them."""

import numpy as np
import pytest

from common.errors import DataError
from datasets.build import build_dataset
from datasets.lidar_scans import read_scan
from datasets.splits import SplitLine
from tools.dataset_check.depth_checks import DepthLines, examine_depth

DRIVE = "2011_01_01/2011_01_01_drive_0001_sync"


def full_turn(points: int = 4096) -> np.ndarray:
    """Generate a scan of a full turn, float64 (N, 4)."""
    rng = np.random.default_rng(0)
    angle, distance = rng.uniform(0, 2 * np.pi, points), rng.uniform(3, 80, points)
    up, reflectance = rng.uniform(-2, 1, points), rng.uniform(0, 1, points)
    return np.stack([distance * np.cos(angle), distance * np.sin(angle), up, reflectance], axis=1)


def with_column(scan: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.concatenate([scan, values[:, None]], axis=1)


SCAN = full_turn()
RING = np.arange(len(SCAN)) % 64
NAN = np.where(np.arange(SCAN.size).reshape(SCAN.shape) == 402, np.nan, SCAN)

OTHER_LAYOUTS = {
    "3 columns": (SCAN[:, :3].astype("<f4"), "reflectance is -"),
    "5 columns, ring last": (with_column(SCAN, RING).astype("<f4"), "reflectance is -"),
    "5 columns, ring first": (np.roll(with_column(SCAN, RING), 1, axis=1).astype("<f4"), "reflectance is -"),
    "6 columns": (with_column(with_column(SCAN, RING), RING / 1000).astype("<f4"), "reflectance is -"),
    "float64": (SCAN.astype("<f8"), "not finite|coordinates reach"),
    "float64 from float32": (SCAN.astype("<f4").astype("<f8"), "coordinates reach"),
    "big-endian": (SCAN.astype(">f4"), "not finite|coordinates reach"),
    "float16": (SCAN.astype("<f2"), "not finite|coordinates reach|reflectance is"),
    "millimetres": ((SCAN * [1000, 1000, 1000, 1]).astype("<f4"), "coordinates reach"),
    "reflectance of 16 bits": ((SCAN * [1, 1, 1, 65535]).astype("<f4"), "reflectance is"),
    "NaN": (NAN.astype("<f4"), "1 of 16384 numbers are not finite"),
    "infinity": (np.where(np.isnan(NAN), np.inf, SCAN).astype("<f4"), "not finite"),
    "behind": ((np.abs(SCAN) * [-1, 1, 1, 1]).astype("<f4"), "0% of the points are in front"),
    "text": (np.frombuffer(b"10.5 3.2 -1.0 0.25\n" * 400, np.uint8), "coordinates reach 0|coordinates reach .*e-"),
}


@pytest.mark.parametrize("layout", OTHER_LAYOUTS)
def test_other_layouts_are_rejected_everywhere(tree, layout):
    content, words = OTHER_LAYOUTS[layout]
    path = tree / DRIVE / "velodyne_points/data/0000000002.bin"
    content.tofile(path)
    with pytest.raises(DataError, match=words) as error:
        read_scan(path)
    assert str(path) in str(error.value) and "Expected little-endian float32" in str(error.value)
    line = SplitLine(DRIVE, 2, "l")
    dataset = build_dataset("kitti", str(tree), [line], height=32, width=64, frame_ids=(0,), train=False)
    with pytest.raises(DataError, match="is not in KITTI's format"):
        dataset.ground_truth(line)
    (finding,) = examine_depth(DepthLines("test", dataset))
    assert (finding.kind, finding.detail) == ("depth_damaged", str(error.value))


@pytest.mark.parametrize("most", [1, 255])
@pytest.mark.parametrize("is_cropped", [False, True])
def test_valid_scans(tmp_path, most, is_cropped):
    scan = (SCAN * [1, 1, 1, most])[SCAN[:, 0] > 0 if is_cropped else slice(None)].astype("<f4")
    scan.tofile(tmp_path / "a.bin")
    np.testing.assert_array_equal(read_scan(tmp_path / "a.bin"), scan)


def test_real_scans_are_valid(kitti_sample):
    scans = sorted(kitti_sample.glob("*/*/velodyne_points/data/*.bin"))
    if not scans:
        pytest.skip("this sample has no lidar")
    for path in scans:
        assert read_scan(path).shape[1] == 4
