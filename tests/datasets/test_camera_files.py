"""Calibration files of other tools."""

import cv2
import numpy as np
import pytest

from common.errors import DataError
from datasets.camera_files import read_camera_file
from datasets.cameras import Camera
from tools.video_import.camera_calibration import write_camera_file

K = [[500.5, 0, 320.25], [0, 501.5, 240.75], [0, 0, 1]]
LENS = [-0.3, 0.1, 0.001, -0.002, 0.05]
FISHEYE = [-0.03, 0.012, -0.006, 0.001]
KALIBR = """
cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [-0.03, 0.012, -0.006, 0.001]
  distortion_model: equidistant
  intrinsics: [500.5, 501.5, 320.25, 240.75]
  resolution: [640, 480]
  rostopic: /cam0/image_raw
cam1: {camera_model: pinhole, intrinsics: [1, 2, 3, 4]}
"""
ROS = """
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [500.5, 0, 320.25, 0, 501.5, 240.75, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.3, 0.1, 0.001, -0.002, 0.05]}
"""
OWN = '{"fx": 500.5, "fy": 501.5, "cx": 320.25, "cy": 240.75, "width": 640, "height": 480, "model": "brown", '
OWN += '"distortion": [-0.3, 0.1, 0.001, -0.002, 0.05]}'


@pytest.mark.parametrize(
    ("text", "distortion"),
    [(KALIBR, [1, *FISHEYE]), (ROS, [0, *LENS]), (OWN, [0, *LENS]), (OWN[:-1] + "\n}", [0, *LENS])],
)
def test_formats_of_other_tools(tmp_path, text, distortion):
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    camera = read_camera_file(path, (1, 1))
    np.testing.assert_allclose(camera.K, K)
    assert camera.size == (480, 640)
    np.testing.assert_allclose(camera.distortion, [*distortion, *[0] * (9 - len(distortion))])


@pytest.mark.parametrize("ending", [".yml", ".json"])
def test_opencv_files(tmp_path, ending):
    path = tmp_path / f"camera{ending}"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("camera_matrix", np.array(K))
    storage.write("dist_coeffs", np.array([LENS]))
    storage.release()
    camera = read_camera_file(path, (480, 640))
    np.testing.assert_allclose(camera.K, K)
    np.testing.assert_allclose(camera.distortion, [0, *LENS, 0, 0, 0])
    assert camera.size == (480, 640)  # the image size, since the file has none


def test_first_line_of_older_opencv(tmp_path):
    path = tmp_path / "camera.yml"
    path.write_text(
        "%YAML:1.0\n---\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n"
        f"   data: {[*K[0], *K[1], *K[2]]}\n"
    )
    np.testing.assert_allclose(read_camera_file(path, (480, 640)).K, K)


def test_round_trip(tmp_path):
    lens = np.array([1, *FISHEYE, 0, 0, 0, 0])
    path = tmp_path / "camera.json"
    write_camera_file(path, Camera(np.array(K), (480, 640), lens, "here"), error_pixels=0.2)
    camera = read_camera_file(path, (1, 1))
    np.testing.assert_allclose(camera.K, K)
    np.testing.assert_allclose(camera.distortion, lens)
    assert camera.size == (480, 640)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no mapping"),
        ("{", "cannot be read"),
        ("focal: 500", "found focal. Expected fx, fy"),
        ("{fx: 1, fy: 2, cx: 3}", "found fx, fy, cx. Expected"),
        ("{fx: wide, fy: 2, cx: 3, cy: 4}", "expected 4 numbers"),
        ("{camera_matrix: [1, 2, 3]}", "expected 9 numbers"),
        ("{intrinsics: [1, 2, 3, 4], camera_model: omni}", "omni', expected pinhole"),
        ("{fx: 1, fy: 2, cx: 3, cy: 4, model: fov, distortion: [0.1]}", "fov', allowed"),
        ("{fx: 1, fy: 2, cx: 3, cy: 4, model: fisheye, distortion: [1, 2, 3, 4, 5]}", "expected 0 or 4 numbers"),
        ("{fx: 1, fy: 2, cx: 3, cy: 4, width: 0, height: 3}", "got 0 x 3"),
    ],
)
def test_invalid_files_are_rejected(tmp_path, text, message):
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_camera_file(path, (480, 640))


def test_missing_file_is_rejected(tmp_path):
    with pytest.raises(DataError, match="not found"):
        read_camera_file(tmp_path / "none.json", (480, 640))
