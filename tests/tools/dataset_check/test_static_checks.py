"""Static stretches of a real drive of known speed."""

import pytest

from datasets.build import build_dataset
from datasets.splits import SplitLine
from tools.dataset_check.run_checks import plan_checks, run_checks


def test_real_car_that_comes_to_a_stop(kitti_sample_colour):
    """The speed from tracked lidar points is 2.5 m/s at frame 0, 1.0 at 36, and 0.4 at 48."""
    drive = "2011_09_26/2011_09_26_drive_9001_sync"
    if len(list((kitti_sample_colour / drive / "image_02/data").glob("*"))) != 50:
        pytest.skip("the speed is known only for the 50 frames of this drive")
    lines = [SplitLine(drive, frame, "l") for frame in range(1, 49)]
    settings = {"height": 96, "width": 320, "frame_ids": (0, -1, 1), "train": False}
    plan = plan_checks({"train": build_dataset("kitti", str(kitti_sample_colour), lines, **settings)}, [])
    result = run_checks(plan, 0, lambda files: None)
    (finding,) = result.findings
    assert finding.kind == "static_images" and result.passed
    first, last = (int(word) for word in finding.detail.removeprefix("frames ").split(" to "))
    assert 36 < first < 43 and last == 49
