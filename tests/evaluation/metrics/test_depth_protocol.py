"""The depth protocol against the reference implementation and by hand."""

import time

import numpy as np
import pytest

from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.depth_protocol import DepthProtocol, evaluate_depths, evaluate_frame

PERFECT = dict(zip(METRIC_NAMES, [0, 0, 0, 0, 1, 1, 1], strict=True))


@pytest.fixture(scope="module")
def arrays(load_reference):
    return load_reference("evaluation.npz")


@pytest.fixture(scope="module")
def ground_truths(arrays, kitti_sample):
    """Depth of the reference frames along the lidar's forward axis."""
    from datasets.kitti_calibration import lidar_to_depth

    for scans in sorted(kitti_sample.glob("*/*_sync/velodyne_points/data")):
        paths = [scans / f"{frame:010d}.bin" for frame in arrays["frames"]]
        if all(path.is_file() for path in paths):
            calibration = scans.parents[2]
            return [lidar_to_depth(path, calibration, camera=2, forward_axis="legacy") for path in paths]
    pytest.skip(f"no drive of {kitti_sample} has scans of all frames {arrays['frames'].tolist()}")


@pytest.mark.parametrize("stereo", [0, 1])
@pytest.mark.parametrize("eigen", [0, 1])
def test_reference_metrics(arrays, ground_truths, stereo, eigen):
    key = f"metrics_stereo{stereo}_eigen{eigen}"
    if key not in arrays:
        pytest.skip(f"this set lacks {key}")
    scaling = {"median_scaling": False, "scale_factor": 5.4} if stereo else {}
    protocol = DepthProtocol.choose("lidar", "auto" if eigen else "none", **scaling)
    result = evaluate_depths(arrays["pred_disp"], ground_truths, protocol)
    np.testing.assert_allclose(list(result.means.values()), arrays[key], rtol=1e-6)
    np.testing.assert_allclose(result.metrics.mean(axis=0), arrays[key], rtol=1e-6)
    ratios = np.ones(len(ground_truths)) if stereo else arrays[f"ratios_eigen{eigen}"]
    np.testing.assert_allclose(result.ratios, ratios, rtol=1e-6)
    assert list(result.means) == list(METRIC_NAMES) and result.skipped == ()


def test_reference_distinguishes_the_crops(arrays, ground_truths):
    """The published "Eigen crop" is Garg's; the crop of Eigen et al. does not reproduce the reference."""
    result = evaluate_depths(arrays["pred_disp"], ground_truths, DepthProtocol(crop="eigen_2014"))
    assert abs(result.means["abs_rel"] / arrays["metrics_stereo0_eigen1"][0] - 1) > 1e-4


def test_choice_of_protocol():
    lidar = DepthProtocol.choose("lidar", "auto")
    assert lidar == DepthProtocol("eigen", 1e-3, 80.0, True, 1.0)
    assert DepthProtocol.choose(None, "auto") == lidar
    everything = DepthProtocol("none", 0.0, float("inf"), True, 1.0)
    assert DepthProtocol.choose("improved", "auto") == everything
    assert DepthProtocol.choose("lidar", "none") == everything
    assert DepthProtocol.choose("improved", "garg") == DepthProtocol(crop="garg")


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [
        (
            "eigen",
            (153, 371),
            (44, 1197),
        ),  # 375 * 0.40810811 = 153.04; 371.96; 1242 * 0.03594771 = 44.6; 1197.4
        ("garg", (153, 371), (44, 1197)),
        ("eigen_2014", (124, 342), (44, 1197)),
        ("none", (0, 375), (0, 1242)),
    ],
)
def test_crop_rectangles(crop, rows, columns):
    mask = DepthProtocol(crop=crop).valid_mask(np.full((375, 1242), 10.0))
    expected = np.zeros((375, 1242), bool)
    expected[slice(*rows), slice(*columns)] = True
    np.testing.assert_array_equal(mask, expected)


def test_range_of_ground_truth_is_open():
    gt = np.array([[0.0, 1e-3, 0.01, 79.9, 80.0, 100.0]])
    in_range = DepthProtocol(crop="none").valid_mask(gt)
    np.testing.assert_array_equal(in_range, [[False, False, True, True, False, False]])
    everything = DepthProtocol.choose("improved", "auto").valid_mask(gt)
    np.testing.assert_array_equal(everything, [[False, True, True, True, True, True]])


@pytest.fixture
def depths():
    return np.random.default_rng(0).uniform(2, 60, (3, 20, 60)).astype(np.float32)


def test_ground_truth_has_no_error(depths):
    result = evaluate_depths(1 / depths, list(depths), DepthProtocol(median_scaling=False))
    assert result.means == pytest.approx(PERFECT, abs=1e-5)


def test_median_scaling_removes_a_factor_and_stereo_scaling_applies_one(depths):
    disps = 5.4 / depths  # depth in units of 5.4 m
    scaled = evaluate_depths(disps, list(depths), DepthProtocol())
    assert scaled.means == pytest.approx(PERFECT, abs=1e-5)
    np.testing.assert_allclose(scaled.ratios, 5.4, rtol=1e-5)
    by_factor = evaluate_depths(disps, list(depths), DepthProtocol(median_scaling=False, scale_factor=5.4))
    assert by_factor.means == pytest.approx(PERFECT, abs=1e-5)
    unscaled = evaluate_depths(disps, list(depths), DepthProtocol(median_scaling=False))
    assert unscaled.means["abs_rel"] == pytest.approx(1 - 1 / 5.4, rel=1e-5)


def test_clipping_comes_after_scaling():
    # Scaled by the medians' ratio of 2, depths 1, 10, 100 are 2, 20, 200; the last is clipped to 80.
    disp = 1 / np.array([[1, 10, 100]], np.float32)
    gt = np.array([[2, 20, 160]], np.float32)
    score = evaluate_frame(disp, gt, DepthProtocol.choose("improved", "auto"))
    assert score.alignment.ratio == pytest.approx(2)
    assert score.metrics[0] == pytest.approx((0 + 0 + 0.5) / 3)


def test_disparity_is_resized_instead_of_depth():
    # Between disparities 1 and 1/3 bilinear resizing to twice the width gives 1, 5/6, 1/2, 1/3.
    disp = np.array([[1, 1 / 3]], np.float32)
    gt = np.array([[1, 1.2, 2, 3]], np.float32)
    protocol = DepthProtocol("none", 0.0, float("inf"), median_scaling=False)
    assert evaluate_frame(disp, gt, protocol).metrics[0] == pytest.approx(0, abs=1e-6)


def test_frames_without_ground_truth_are_skipped_and_reported(depths):
    truths = [depths[0], np.zeros((7, 9), np.float32), None]
    result = evaluate_depths(1 / depths, truths, DepthProtocol(), names=["a 1 l", "a 2 l", "a 3 l"])
    assert result.skipped == ("a 2 l", "a 3 l")
    assert np.isnan(result.metrics[1:]).all() and np.isnan(result.ratios[1:]).all()
    assert result.means == pytest.approx(PERFECT, abs=1e-5)
    with pytest.raises(ValueError, match="3 frames"):
        evaluate_depths(1 / depths, [None] * 3, DepthProtocol())


def test_wrong_input_is_reported(depths):
    disps, truths, names = 1 / depths, list(depths), ["a 1 l", "a 2 l", "a 3 l"]
    with pytest.raises(ValueError, match="3 frames, ground truth for 2"):
        evaluate_depths(disps, truths[:2], DepthProtocol())
    with pytest.raises(ValueError, match=r"\(3, 1, 20, 60\)"):
        evaluate_depths(disps[:, None], truths, DepthProtocol())
    with pytest.raises(ValueError, match=r"a 1 l: disparities.*int64"):
        evaluate_depths(np.ones((3, 4, 5), np.int64), truths, DepthProtocol(), names)
    with pytest.raises(ValueError, match="a 1 l: ground truth"):
        evaluate_depths(disps, [depths[0][None], *truths[1:]], DepthProtocol(), names)
    for value in (np.nan, np.inf, 0, -1):
        damaged = disps.copy()
        damaged[1, 3, 3] = value
        with pytest.raises(ValueError, match=r"a 2 l: .*positive"):
            evaluate_depths(damaged, truths, DepthProtocol(), names)


def test_a_cap_of_50_metres_limits_ground_truth_and_predictions():
    # Depths 10, 40, 100 of truths 10, 50.5, 49: the second does not count, the third is clipped to 50.
    disp = 1 / np.array([[10, 40, 100]], np.float32)
    gt = np.array([[10, 50.5, 49]], np.float32)
    for crop in ("none", "auto"):
        protocol = DepthProtocol.choose("improved", crop, median_scaling=False, cap=50.0)
        assert evaluate_frame(disp, gt, protocol).metrics[0] == pytest.approx((0 + 1 / 49) / 2, rel=1e-5)
    assert DepthProtocol.choose("lidar", "auto", cap=50.0) == DepthProtocol(max_depth=50.0, cap=50.0)


def test_70_frames_take_at_most_2_seconds():
    random = np.random.default_rng(0)
    gt = np.where(random.random((375, 1242)) < 20_000 / (375 * 1242), random.uniform(2, 85, (375, 1242)), 0)
    disps = np.broadcast_to(random.uniform(0.01, 1, (192, 640)).astype(np.float32), (70, 192, 640))
    started = time.process_time()  # CPU time of this process, independent of other load
    evaluate_depths(disps, [gt.astype(np.float32)] * 70, DepthProtocol())
    assert time.process_time() - started < 2
