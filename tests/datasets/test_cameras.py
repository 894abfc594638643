"""Cameras computed by hand, implausible cameras, and undistortion."""

import cv2
import numpy as np
import pytest

from common.errors import DataError
from datasets.cameras import Camera, Undistorter, check_keeping, rescale_and_validate
from tools.synthetic.street_video import StreetVideo, lens_camera
from tools.video_import.frame_motion import measure_motion

SIZE = (480, 640)


def camera(fx=500.0, fy=500.0, cx=319.5, cy=239.5, size=SIZE, distortion=()) -> Camera:
    lens = np.zeros(9)
    lens[: len(distortion)] = distortion
    return Camera(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), size, lens, "cam.json")


def test_fov_to_intrinsics_and_back():
    made = Camera.from_view(90, SIZE, "by --fov")
    np.testing.assert_allclose(made.K, [[320, 0, 319.5], [0, 320, 239.5], [0, 0, 1]])  # tan 45 = 1: half the width
    assert made.view == pytest.approx((90, 2 * np.degrees(np.arctan(0.75))))
    wide_pixels = Camera.from_view(90, SIZE, "by --fov", pixel_aspect=4 / 3)  # anamorphic 4:3 pixels
    assert (wide_pixels.K[0, 0], wide_pixels.K[1, 1]) == pytest.approx((320, 320 * 4 / 3))


def test_35mm_equivalent_is_measured_on_the_diagonal():
    """A focal length equal to the film's diagonal gives a diagonal FOV of 53.13 degrees: tan of half is 1/2."""
    made = Camera.from_35mm_equivalent(43.26661530556787, SIZE, "by EXIF")
    assert made.K[0, 0] == made.K[1, 1] == pytest.approx(800)  # the diagonal of 640x480


def test_guess_has_65_degrees_across_the_longer_side():
    assert Camera.guessed((640, 480)).view[1] == pytest.approx(65)
    assert Camera.guessed((480, 640)).view[0] == pytest.approx(65)


def test_equidistant_fisheye_fov():
    """Without coefficients, radius is focal length times angle: 320 / 200 radians on each side."""
    fisheye = camera(200, 200, distortion=(1,))
    assert fisheye.view == pytest.approx(tuple(np.degrees([3.2, 2.4])))


def test_calibration_of_another_resolution_is_rescaled():
    resized = rescale_and_validate(camera(cx=300), (960, 1280), "video.mp4")
    np.testing.assert_allclose(resized.K, [[1000, 0, 600.5], [0, 1000, 479.5], [0, 0, 1]])


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"fx": 0.58, "fy": 1.92, "cx": 0.5, "cy": 0.5}, "fractions of the image, not pixels"),
        ({"size": (640, 480)}, "swapped"),
        ({"size": (400, 640)}, "aspect ratio"),
        ({"cx": 900}, r"\(900, 239.5\) is outside"),
        ({"cx": 0.5, "cy": 0.5}, "fraction of the image"),
        ({"cx": 239.5, "cy": 319.5}, "cx and cy, or width and height, are swapped"),
        ({"fx": -500}, "positive"),
        ({"fx": 5000, "fy": 5000}, "7.3 degrees"),
        ({"fx": 50, "fy": 50}, "162.2 degrees"),
        ({"distortion": (0, 4.0, -9.0)}, "not invertible"),
        ({"distortion": (1, -0.9)}, "not invertible"),
    ],
)
def test_implausible_cameras_are_rejected_with_the_cause(wrong, cause):
    with pytest.raises(DataError, match=rf"cam\.json.*{cause}"):
        rescale_and_validate(camera(**wrong), SIZE, "video.mp4")


def test_distortion_beyond_85_degrees_cannot_be_kept():
    check_keeping(camera(300, 300, distortion=(1,)))  # corners at 400 / 300 radians: 76 degrees
    with pytest.raises(DataError, match="85 degrees"):
        check_keeping(camera(260, 260, distortion=(1,)))  # 88 degrees


@pytest.mark.parametrize("lens", ["brown", "fisheye"])
def test_undistortion_is_accurate_to_one_pixel(lens):
    """Compare an undistorted rendering with a rendering by the pinhole camera."""
    bent = lens_camera((96, 192), lens)
    seen, depth = StreetVideo((0, 1), 2, 30, bent)(0)
    undistorter = Undistorter(bent)
    straight, exact_depth = StreetVideo((0, 1), 2, 30, undistorter.camera)(0)
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (undistorter.image(seen), seen, straight)]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(grey[0], grey[2], None)
    away = np.hypot(flow[..., 0], flow[..., 1])
    assert np.percentile(away, 95) < 1 and np.median(away) < 0.1
    assert measure_motion(grey[1], grey[2]) * 192 > 1  # before undistortion
    undone = undistorter.depth(depth)
    known = (undone > 0) & (exact_depth > 0)
    assert known.mean() > 0.5
    assert np.median(abs(undone - exact_depth)[known] / exact_depth[known]) < 0.02


def test_synthetic_lens_has_the_requested_fov():
    assert lens_camera((96, 320), "none", 100.0).view[0] == pytest.approx(100)
    assert lens_camera((96, 320), "none").K[0, 0] == pytest.approx(0.58 * 320)  # KITTI's
