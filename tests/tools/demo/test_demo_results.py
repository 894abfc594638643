"""Results of an upload: files, depth values for the pointer, point cloud."""

import base64
import html
import json
import re

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tools.demo.demo_results import predict_upload
from tools.demo.upload import read_upload


def probed(depth_html: str) -> tuple[np.ndarray, str]:
    """Decode the depth (H, W) in the page, and its unit."""
    data = dict(re.findall(r'data-(\w+)="([^"]*)"', depth_html))
    values = np.frombuffer(base64.b64decode(data["depth"]), "<u2") / 100
    return values.reshape(-1, int(data["width"])), data["unit"]


def cloud_of(cloud_html: str) -> dict:
    document = html.unescape(re.search(r'srcdoc="(.*)"', cloud_html, re.S)[1])
    return json.loads(re.search(r'id="cloud-data">(.*?)</script>', document)[1])["clouds"]["predicted"]


def test_image_upload_produces_images_files_and_depth(predictors, photo, tmp_path):
    result = predict_upload(predictors["stereo"], read_upload(photo, 1, 1), tmp_path, 90)
    image = np.asarray(Image.open(photo))
    expected = predictors["stereo"](image)
    endings = ("picture.png", "disp.npy", "depth.npy", "depth.png", "cloud.ply", "cloud.glb")
    assert [path.name for path in result.files] == [f"a photo_{ending}" for ending in endings]
    assert result.video is None
    np.testing.assert_array_equal(np.load(result.files[2]), expected.depth)
    np.testing.assert_allclose(cv2.imread(str(result.files[3]), -1) / 256, expected.depth, atol=0.002)
    np.testing.assert_array_equal(np.asarray(Image.open(result.pair[0])), image)
    assert Image.open(result.pair[1]).size == (70, 50)
    depth, unit = probed(result.depth)
    assert unit == "m"
    np.testing.assert_allclose(depth, expected.depth, atol=0.006)
    assert result.summary.startswith("a photo: 70x50. ") and " m. Field of view: 90° (given)." in result.summary
    assert "Depth in metres" in result.depth


def test_point_cloud_uses_the_field_of_view(predictors, photo, tmp_path):
    """At 90 degrees the focal length is half the width, 35 pixels; the outermost pixel centres are at 34.5."""
    cloud = cloud_of(predict_upload(predictors["stereo"], read_upload(photo, 1, 1), tmp_path, 90).cloud)
    x, _, z = (np.frombuffer(base64.b64decode(cloud["positions"]), "<i2").reshape(-1, 3) * cloud["unit"]).T
    assert cloud["count"] == 50 * 70
    assert abs(x / z).max() == pytest.approx(34.5 / 35, rel=1e-3)


def ply_points(path) -> np.ndarray:
    """Read the points (N, 3) of a PLY of ``inference.writers``."""
    header, _, content = path.read_bytes().partition(b"end_header\n")
    count = int(re.search(rb"element vertex (\d+)", header)[1])
    return np.frombuffer(content, [("xyz", "<f4", 3), ("rgb", "u1", 3)], count)["xyz"]


def test_downloaded_clouds_use_the_field_of_view_and_have_a_maximum_size(predictors, photo, tmp_path, monkeypatch):
    (tmp_path / "all").mkdir()
    result = predict_upload(predictors["stereo"], read_upload(photo, 1, 1), tmp_path / "all", 90)
    x, _, z = ply_points(result.files[-2]).T
    assert len(x) == 50 * 70 and abs(x / z).max() == pytest.approx(34.5 / 35, rel=1e-4)
    np.testing.assert_allclose(z, np.load(result.files[2]).ravel())

    monkeypatch.setattr("tools.demo.demo_results.MAX_FILE_POINTS", 50 * 70 // 4)
    result = predict_upload(predictors["stereo"], read_upload(photo, 1, 1), tmp_path, 90)
    x, _, z = ply_points(result.files[-2]).T
    assert len(x) == 25 * 35 and abs(x / z).max() == pytest.approx(17 / 17.5, rel=1e-4)
    assert np.load(result.files[2]).shape == (50, 70)
    assert result.files[-1].read_bytes()[:4] == b"glTF"


@pytest.mark.parametrize(
    ("size", "degrees"),
    [((640, 192), 81.5), ((400, 300), 65), ((300, 400), 51.1)],  # of 300 columns at the focal length of 400 columns
)
def test_unknown_field_of_view_is_assumed_by_the_shape(predictors, tmp_path, size, degrees):
    Image.new("RGB", size).save(tmp_path / "photo.png")
    result = predict_upload(predictors["mono"], read_upload(tmp_path / "photo.png", 1, 1), tmp_path)
    assert result.field_of_view == pytest.approx(degrees, abs=0.1) and "(assumed)" in result.summary


def test_weights_without_metric_scale_use_scene_units(predictors, photo, tmp_path):
    result = predict_upload(predictors["mono"], read_upload(photo, 1, 1), tmp_path, 80)
    assert "relative units" in result.summary and probed(result.depth)[1] == "units"
    assert "Depth in relative units" in result.depth
    assert not any(path.name.endswith("_depth.png") for path in result.files)


def test_pointer_depth_is_downsampled_to_320_columns(predictors, tmp_path):
    Image.new("RGB", (1000, 500)).save(tmp_path / "wide.png")
    result = predict_upload(predictors["stereo"], read_upload(tmp_path / "wide.png", 1, 1), tmp_path, 80)
    assert probed(result.depth)[0].shape == (160, 320)


def test_video_shows_its_middle_frame_and_uses_one_colour_range(predictors, clip, tmp_path):
    told = []
    result = predict_upload(
        predictors["stereo"], read_upload(clip, 1, 5), tmp_path, 80, lambda share, what: told.append((share, what))
    )
    assert told == [(0.0, "Frame 1 of 5"), (0.8, "Frame 5 of 5"), (1.0, "Writing the video")]
    assert result.video == tmp_path / "clip_depth.mp4" and result.files[0] == result.video
    with av.open(str(result.video)) as container:
        assert container.streams.video[0].average_rate == 10
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert frames[0].shape == (96, 64, 3)
    np.testing.assert_allclose([frame[:48].mean() for frame in frames], [40, 80, 120, 160, 200], atol=5)
    assert np.asarray(Image.open(result.pair[0])).mean() == pytest.approx(120, abs=4)
    middle = np.asarray(Image.open(result.pair[1])).astype(float)  # the colour bar is that of the video
    assert abs(middle - frames[2][48:]).mean() < 6
    # One colour range: the frames with the largest and smallest disparity are the brightest and darkest.
    disparities = predictors["stereo"](read_upload(clip, 1, 5).frames)
    means = [float(p.scaled_disp.mean()) for p in disparities]
    brightness = [float(frame[48:].mean()) for frame in frames]
    assert np.argmax(brightness) == np.argmax(means) and np.argmin(brightness) == np.argmin(means)
    assert "5 frames at 10 fps" in result.summary


def test_file_name_with_html_is_escaped(predictors, tmp_path):
    path = tmp_path / '"><img src=x onerror=alert(1)>.png'
    Image.new("RGB", (40, 40)).save(path)
    result = predict_upload(predictors["stereo"], read_upload(path, 1, 1), tmp_path, 80)
    assert "<img" not in result.depth + result.cloud
