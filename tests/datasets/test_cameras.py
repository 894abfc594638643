"""Cameras by hand, and those that cannot be meant."""

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


def test_the_field_of_view_and_back():
    made = Camera.from_view(90, SIZE, "by --fov")
    np.testing.assert_allclose(made.K, [[320, 0, 319.5], [0, 320, 239.5], [0, 0, 1]])  # tan 45 = 1: half the width
    assert made.view == pytest.approx((90, 2 * np.degrees(np.arctan(0.75))))
    wide_pixels = Camera.from_view(90, SIZE, "by --fov", pixel_aspect=4 / 3)  # film of 4:3 squeezed by its format
    assert (wide_pixels.K[0, 0], wide_pixels.K[1, 1]) == pytest.approx((320, 320 * 4 / 3))


def test_a_focal_length_on_film_counts_on_the_diagonal():
    """A lens as long as the film's diagonal sees 53.13 degrees across that: its half has the tangent 1/2."""
    made = Camera.from_35mm_equivalent(43.26661530556787, SIZE, "by EXIF")
    assert made.K[0, 0] == made.K[1, 1] == pytest.approx(800)  # the diagonal of 640x480


def test_a_guess_sees_65_degrees_across_the_longer_side():
    assert Camera.guessed((640, 480)).view[1] == pytest.approx(65)
    assert Camera.guessed((480, 640)).view[0] == pytest.approx(65)


def test_a_fisheye_sees_angles_in_proportion():
    """Without coefficients the equidistant model has focal length times angle: 320 / 200 radians to each side."""
    fisheye = camera(200, 200, distortion=(1,))
    assert fisheye.view == pytest.approx(tuple(np.degrees([3.2, 2.4])))


def test_calibrations_at_another_resolution_are_scaled():
    resized = rescale_and_validate(camera(cx=300), (960, 1280), "film.mp4")
    np.testing.assert_allclose(resized.K, [[1000, 0, 600.5], [0, 1000, 479.5], [0, 0, 1]])


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"fx": 0.58, "fy": 1.92, "cx": 0.5, "cy": 0.5}, "shares of the image, not pixels"),
        ({"size": (640, 480)}, "swapped"),
        ({"size": (400, 640)}, "shape"),
        ({"cx": 900}, r"centre \(900, 239.5\) is outside"),
        ({"cx": 0.5, "cy": 0.5}, "centre .* share of the image"),
        ({"cx": 239.5, "cy": 319.5}, "cx and cy, or width and height, swapped"),
        ({"fx": -500}, "positive"),
        ({"fx": 5000, "fy": 5000}, "7.3 degrees"),
        ({"fx": 50, "fy": 50}, "162.2 degrees"),
        ({"distortion": (0, 4.0, -9.0)}, "cannot be undone"),
        ({"distortion": (1, -0.9)}, "cannot be undone"),
    ],
)
def test_cameras_that_cannot_be_meant_are_refused_with_the_cause(wrong, cause):
    with pytest.raises(DataError, match=rf"cam\.json.*{cause}"):
        rescale_and_validate(camera(**wrong), SIZE, "film.mp4")


def test_a_lens_that_looks_too_far_aside_cannot_be_kept():
    check_keeping(camera(300, 300, distortion=(1,)))  # corners at 400 / 300 radians: 76 degrees
    with pytest.raises(DataError, match="85 degrees"):
        check_keeping(camera(260, 260, distortion=(1,)))  # 88 degrees


@pytest.mark.parametrize("lens", ["brown", "fisheye"])
def test_what_a_lens_drew_is_undone_to_within_a_pixel(lens):
    """A street filmed through a lens and straightened, against the same street seen by the pinhole camera."""
    bent = lens_camera((96, 192), lens)
    seen, depth = StreetVideo((0, 1), 2, 30, bent)(0)
    undistorter = Undistorter(bent)
    straight, exact_depth = StreetVideo((0, 1), 2, 30, undistorter.camera)(0)
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (undistorter.image(seen), seen, straight)]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(grey[0], grey[2], None)
    away = np.hypot(flow[..., 0], flow[..., 1])
    assert np.percentile(away, 95) < 1 and np.median(away) < 0.1
    assert measure_motion(grey[1], grey[2]) * 192 > 1  # as it was before
    undone = undistorter.depth(depth)
    known = (undone > 0) & (exact_depth > 0)
    assert known.mean() > 0.5
    assert np.median(abs(undone - exact_depth)[known] / exact_depth[known]) < 0.02


def test_a_film_has_the_field_of_view_asked_for():
    assert lens_camera((96, 320), "none", 100.0).view[0] == pytest.approx(100)
    assert lens_camera((96, 320), "none").K[0, 0] == pytest.approx(0.58 * 320)  # KITTI's
