"""How much moves between two pictures: by hand, and on a real drive whose speed is known."""

import numpy as np
import pytest

from datasets.build import build_dataset
from datasets.splits import SplitLine
from tools.dataset_check.image_checks import measure_shift
from tools.dataset_check.run_checks import plan_checks, run_checks

RAMP = np.tile(10 * np.arange(60, dtype=np.float32), (30, 1))  # 10 grey levels a pixel; 2 x 4 blocks


def test_a_ramp_that_moves_by_a_known_part_of_a_pixel():
    assert measure_shift(RAMP, RAMP + 1) == pytest.approx(0.1)
    assert measure_shift(RAMP, RAMP) == 0


def test_what_passes_before_a_standing_camera_does_not_count():
    passing = RAMP.copy()
    passing[15:, :30] += 20  # two of the eight blocks
    assert measure_shift(RAMP, passing) == 0


def test_a_picture_without_contrast_tells_nothing():
    grey = np.full((30, 60), 100, np.float32)
    assert measure_shift(grey, grey + 3) is None


def test_a_real_car_that_comes_to_a_stop(kitti_sample_colour):
    """Its speed, from lidar points tracked into the next frame: 2.5 m/s at frame 0, 1.0 at 36, 0.4 at 48."""
    drive = "2011_09_26/2011_09_26_drive_9001_sync"
    lines = [SplitLine(drive, frame, "l") for frame in range(1, 49)]
    settings = {"height": 96, "width": 320, "frame_ids": (0, -1, 1), "train": False}
    plan = plan_checks({"train": build_dataset("kitti", str(kitti_sample_colour), lines, **settings)}, [])
    result = run_checks(plan, 0, lambda files: None)
    (finding,) = result.findings
    assert finding.kind == "static_images" and result.passed
    first, last = (int(word) for word in finding.detail.removeprefix("frames ").split(" to "))
    assert 36 < first < 43 and last == 49
