"""Intrinsics of images to predict, by hand."""

import numpy as np
import pytest

from common.errors import DataError
from inference.camera_intrinsics import make_intrinsics

MATRIX = [[700.0, 0, 600], [0, 710, 180], [0, 0, 1]]


def test_field_of_view():
    K = make_intrinsics(None, 90.0)((101, 641))
    np.testing.assert_allclose(K, [[320.5, 0, 320], [0, 320.5, 50], [0, 0, 1]])


def test_kitti_intrinsics():
    K = make_intrinsics("kitti", None)((375, 1242))
    np.testing.assert_allclose(K, [[720.36, 0, 621], [0, 720, 187.5], [0, 0, 1]])


@pytest.mark.parametrize("text", ["700 710 600 180", "700, 0, 600\n0, 710, 180\n0, 0, 1\n"])
def test_numbers_in_a_file(tmp_path, text):
    (tmp_path / "K.txt").write_text(text)
    np.testing.assert_array_equal(make_intrinsics(str(tmp_path / "K.txt"), None)((376, 1240)), MATRIX)


def test_kitti_calibration_files(tmp_path):
    projection = "700 0 600 45 0 710 180 0 0 0 1 0"
    (tmp_path / "calib_cam_to_cam.txt").write_text(f"S_rect_02: 1240 376\nP_rect_02: {projection}\n")
    (tmp_path / "calib.txt").write_text(f"P2: {projection}\n")
    raw, odometry = (make_intrinsics(str(tmp_path / name), None) for name in ("calib_cam_to_cam.txt", "calib.txt"))
    np.testing.assert_array_equal(raw((376, 1240)), MATRIX)
    np.testing.assert_array_equal(odometry((376, 1240)), MATRIX)
    # At half the size, image borders map to borders: c becomes (c + 0.5) / 2 - 0.5.
    np.testing.assert_allclose(raw((188, 620)), [[350, 0, 299.75], [0, 355, 89.75], [0, 0, 1]])


def test_camera_file_of_an_imported_video(tmp_path):
    text = '{"fx": 700, "fy": 710, "cx": 600, "cy": 180'
    named, nameless = tmp_path / "named.json", tmp_path / "nameless.yml"
    named.write_text(text + ', "width": 1240, "height": 376}')
    nameless.write_text(text + "}")
    np.testing.assert_allclose(
        make_intrinsics(str(named), None)((188, 620)), [[350, 0, 299.75], [0, 355, 89.75], [0, 0, 1]]
    )
    np.testing.assert_allclose(make_intrinsics(str(nameless), None)((376, 1240)), MATRIX)
    with pytest.raises(DataError, match=r"for images of 1240x376, but the image has 376x1240.*swapped"):
        make_intrinsics(str(named), None)((1240, 376))


def test_distortion_is_an_error_before_predicting(tmp_path):
    (tmp_path / "K.json").write_text('{"fx": 700, "fy": 710, "cx": 600, "cy": 180, "distortion": [-0.3, 0.1, 0, 0]}')
    with pytest.raises(DataError, match=r"K\.json has distortion.*tools/import_video\.py"):
        make_intrinsics(str(tmp_path / "K.json"), None)


@pytest.mark.parametrize("text", ["", "1 2 3", "one two three four", "0 710 600 180", "700 0 600 0 710 180 0 0 2"])
def test_invalid_files_are_an_error(tmp_path, text):
    (tmp_path / "K.txt").write_text(text)
    with pytest.raises(DataError, match=r"K\.txt: got .*expected fx fy cx cy"):
        make_intrinsics(str(tmp_path / "K.txt"), None)


def test_a_missing_file():
    with pytest.raises(DataError, match=r"none\.txt cannot be read"):
        make_intrinsics("none.txt", None)


IMPLAUSIBLE = {  # fx fy cx cy, for images of 1240x376
    "normalised": ((0.58, 1.92, 0.5, 0.5), "fractions of the image, not pixels"),
    "infinite": (("inf", 710, 600, 180), "finite|expected 4 numbers"),
    "infinite principal point": ((700, 710, "inf", 180), "finite|expected 4 numbers"),
    "nan": ((700, 710, 600, "nan"), "finite|expected 4 numbers"),
    "principal point outside": ((700, 710, 1300, 180), "outside the image"),
    "principal point as a fraction": ((700, 710, 0.5, 0.5), "fraction of the image"),
    "swapped": ((700, 710, 188, 620), "swapped"),
    "millimetres": ((24, 24, 600, 180), "FOV"),
}


@pytest.mark.parametrize("ending", ["txt", "9.txt", "json", "yml", "calib.txt", "calib_cam_to_cam.txt"])
@pytest.mark.parametrize("name", IMPLAUSIBLE)
def test_all_files_are_validated_alike(tmp_path, name, ending):
    values, message = IMPLAUSIBLE[name]
    fx, fy, cx, cy = values
    projection = f"{fx} 0 {cx} 0 0 {fy} {cy} 0 0 0 1 0"
    numbers = {"inf": "Infinity", "nan": "NaN"} if ending == "json" else {"inf": ".inf", "nan": ".nan"}
    named = ", ".join(
        f'"{key}": {numbers.get(value, value)}' for key, value in zip(("fx", "fy", "cx", "cy"), values, strict=True)
    )
    path = tmp_path / (ending if ending.startswith("calib") else f"K.{ending}")
    path.write_text(
        {
            "txt": f"{fx} {fy} {cx} {cy}",
            "9.txt": f"{fx} 0 {cx} 0 {fy} {cy} 0 0 1",
            "calib.txt": f"P2: {projection}\n",
            "calib_cam_to_cam.txt": f"S_rect_02: 1240 376\nP_rect_02: {projection}\n",
        }.get(ending, f"{{{named}}}")
    )
    with pytest.raises(DataError, match=message):
        make_intrinsics(str(path), None)((376, 1240))
