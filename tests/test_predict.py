"""predict.py: inputs, outputs, resuming and errors."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
from PIL import Image
from plyfile import PlyData

from common.colormap import colourise_disparity
from common.errors import DataError, OptionsError, Stopped, UserError, WeightsError
from common.images import read_image
from common.input_files import find_files
from datasets.kitti_dataset import KITTIOdomDataset
from inference.depth_predictor import DepthPredictor
from inference.jobs import Job, VideoJob
from inference.predict_options import parse_predict_options
from inference.writers import WRITERS
from networks.monodepth import Monodepth
from predict import _noun, predict
from serialization.weights_folder import save_weights

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"2.png": (50, 70), "10.jpg": (33, 101), "1.bmp": (97, 45)}  # (height, width), sorted otherwise by letters
KINDS = ("picture", "disp_npy", "depth_npy", "depth_png")


def picture(height, width, channels=3, seed=0):
    """Noise image, which reveals shifted rows or columns: uint8 (height, width, channels)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights folders: "mono" and "stereo" have the same random weights, without and with a scale; "other" differs."""
    root = tmp_path_factory.mktemp("weights")
    for seed, name, use_stereo in ((1, "mono", False), (1, "stereo", True), (2, "other", False)):
        paddle.seed(seed)
        info = {"height": 64, "width": 96, "use_stereo": use_stereo}
        save_weights(root / name, Monodepth.for_depth().networks(), info)
    return root


@pytest.fixture
def images(tmp_path):
    """Folder with images of odd sizes and a file that is not an image."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, (name, size) in enumerate(SIZES.items()):
        Image.fromarray(picture(*size, seed=seed)).save(folder / name)
    (folder / "notes.txt").write_text("none")
    return folder


@pytest.fixture
def run(weights, tmp_path):
    """Predict inputs to tmp_path/out, with extra command-line arguments; return the failures."""

    def run(*words, use="mono", out="out"):
        folders = ["--load_weights_folder", str(weights / use), "--output_dir", str(tmp_path / out)]
        # The operators would stay on for all later tests of this process.
        return predict(parse_predict_options([*folders, "--device", "cpu", "--kernels", "off", *map(str, words)]))

    return run


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# What is found


def test_folders_are_sorted_naturally_without_duplicates(images):
    (images / "._2.png").write_bytes(b"what some systems leave")
    found = find_files([str(images / "10.jpg"), str(images), str(images / "*.png")])
    assert [path.name for path in found] == ["10.jpg", "1.bmp", "2.png"]
    assert [path.name for path in find_files([str(images)])] == ["1.bmp", "2.png", "10.jpg"]
    assert find_files([str(images.parent / "im*")]) == find_files([str(images)])


def test_an_existing_file_name_is_not_treated_as_a_pattern(images):
    (images / "2.png").rename(images / "a[2].png")
    assert [path.name for path in find_files([str(images / "a[2].png")])] == ["a[2].png"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}/missing.png", ["not found", "missing.png"]),
        ("{}/*.webp", ["not found", "*.webp"]),
        ("{}/*.txt", ["matches no image", ".jpeg"]),
        ("{}/empty", ["no image", ".jpeg"]),
    ],
)
def test_inputs_without_images(images, text, words):
    (images / "empty").mkdir()
    with pytest.raises(DataError) as error:
        find_files([str(images / "2.png"), text.format(images)])
    for word in words:
        assert word in str(error.value)


# What is read


def test_exif_orientation_is_applied(tmp_path):
    upright = picture(6, 4)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show the stored image a quarter turn clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png"), upright)


def test_image_modes_grey_16_bit_alpha_and_palette(tmp_path):
    grey = picture(5, 7, 1)[:, :, 0]
    threefold = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "8.png")
    Image.fromarray(grey.astype(np.uint16) * 256 + 255).save(tmp_path / "16.png")
    Image.fromarray(grey.astype(np.uint16) * 256 + 255).save(tmp_path / "16.tif")
    for name in ("8.png", "16.png", "16.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), threefold)
    colours = picture(5, 7, 4)
    Image.fromarray(colours).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), colours[:, :, :3])
    Image.fromarray(threefold).quantize(256).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), threefold)


def test_unreadable_images_are_refused(tmp_path, monkeypatch):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match=r"float\.tif.*floating-point"):
        read_image(tmp_path / "float.tif")
    Image.fromarray(picture(4, 4)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    with pytest.raises(DataError, match=r"large\.png is too large"):
        read_image(tmp_path / "large.png")


# What is written


def test_all_outputs_match_the_python_api(run, images, weights, tmp_path):
    assert run(images, "--save", *KINDS, use="stereo") == []
    out = tmp_path / "out"
    endings = ("_depth.npy", "_depth.png", "_disp.npy", "_picture.png")
    assert names(out) == sorted([f"{Path(name).stem}{end}" for name in SIZES for end in endings] + ["predict.json"])
    predictor = DepthPredictor.from_folder(weights / "stereo")
    for name, size in SIZES.items():
        image, stem = read_image(images / name), Path(name).stem
        expected = predictor(image)
        disp, depth = np.load(out / f"{stem}_disp.npy"), np.load(out / f"{stem}_depth.npy")
        assert disp.dtype == depth.dtype == np.float32 and disp.shape == depth.shape == size
        np.testing.assert_allclose(disp, expected.scaled_disp, rtol=1e-5)
        np.testing.assert_allclose(depth, 5.4 / disp, rtol=1e-6)
        with Image.open(out / f"{stem}_depth.png") as png:
            assert png.mode.startswith("I")
            np.testing.assert_array_equal(np.asarray(png), (depth * 256).round().clip(1, 65535))
        with Image.open(out / f"{stem}_picture.png") as png:
            np.testing.assert_array_equal(np.asarray(png), np.hstack([image, colourise_disparity(disp)]))


def test_16_bit_depth_saturates_and_is_never_unknown(run, images, tmp_path):
    run(images / "2.png", "--save", "depth_png", "--scale", "1e6", out="far")
    run(images / "2.png", "--save", "depth_png", "--scale", "1e-6", out="near")
    for out, value in (("far", 65535), ("near", 1)):
        with Image.open(tmp_path / out / "2_depth.png") as png:
            assert (np.asarray(png) == value).all()


def test_only_the_picture_is_written_by_default(run, images, tmp_path):
    run(images / "2.png")
    assert names(tmp_path / "out") == ["2_picture.png", "predict.json"]


def test_a_photo_alone_takes_published_weights(images, weights, tmp_path, monkeypatch, capsys):
    """A local folder of the published name has precedence, so that nothing is downloaded."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(weights / "mono", "mono_640x192")
    predict(parse_predict_options([str(images / "2.png")]))
    assert names(tmp_path / "predictions") == ["2_picture.png", "predict.json"]
    assert "Weights: mono_640x192, published; --load_weights_folder selects others" in capsys.readouterr().out


def test_batch_size_does_not_change_results(run, images, tmp_path):
    run(images, "--save", "disp_npy", "--batch_size", 1, out="one")
    run(images, "--save", "disp_npy", "--batch_size", 3, out="three")
    for stem in ("1", "2", "10"):
        one, three = (np.load(tmp_path / out / f"{stem}_disp.npy") for out in ("one", "three"))
        np.testing.assert_allclose(one, three, rtol=1e-5)


def test_depth_without_a_scale_is_reported_in_scene_units(run, images, tmp_path, capsys):
    run(images / "2.png", "--save", "disp_npy", "depth_npy")
    assert "scene units" in capsys.readouterr().out
    disp, depth = (np.load(tmp_path / f"out/2_{kind}.npy") for kind in ("disp", "depth"))
    np.testing.assert_allclose(depth, 1 / disp, rtol=1e-6)
    run(images / "2.png", "--save", "depth_npy", "--scale", "3", out="scaled", use="stereo")
    np.testing.assert_allclose(np.load(tmp_path / "scaled/2_depth.npy"), 3 / disp, rtol=1e-5)
    assert "scene units" not in capsys.readouterr().out


def test_scale_comes_from_the_dataset_of_the_weights(run, images, tmp_path, monkeypatch):
    monkeypatch.setattr(KITTIOdomDataset, "STEREO_SCALE_FACTOR", 7.0)
    run(images / "2.png", "--save", "disp_npy", "depth_npy", "--dataset", "kitti_odom", use="stereo")
    disp, depth = (np.load(tmp_path / f"out/2_{kind}.npy") for kind in ("disp", "depth"))
    np.testing.assert_allclose(depth, 7 / disp, rtol=1e-6)


def test_16_bit_depth_without_a_scale_is_refused(run, images, tmp_path):
    with pytest.raises(OptionsError, match=r"depth_png needs depth in metres.*--scale"):
        run(images, "--save", "picture", "depth_png")
    assert not (tmp_path / "out").exists()


def test_network_options_are_applied(run, images, weights, tmp_path):
    run(images / "2.png", "--save", "disp_npy", "--min_depth", 1, "--max_depth", 10, "--post_process")
    disp = np.load(tmp_path / "out/2_disp.npy")
    predictor = DepthPredictor.from_folder(weights / "mono", min_depth=1, max_depth=10)
    expected = predictor(read_image(images / "2.png"), post_process=True)
    np.testing.assert_allclose(disp, expected.scaled_disp, rtol=1e-5)
    run(images / "2.png", "--save", "disp_npy", "--height", 96, "--width", 128, out="larger")
    predictor = DepthPredictor.from_folder(weights / "mono", height=96, width=128)
    expected = predictor(read_image(images / "2.png"))
    np.testing.assert_allclose(np.load(tmp_path / "larger/2_disp.npy"), expected.scaled_disp, rtol=1e-5)
    with pytest.raises(WeightsError):
        run(images / "2.png", "--num_layers", 50)


def test_point_cloud_follows_the_intrinsics(run, images, tmp_path, capsys):
    run(images / "2.png", "--save", "ply", "glb", "depth_npy", "--fov", 90, use="stereo")
    printed = capsys.readouterr().out
    assert "1 *_cloud.ply, 1 *_cloud.glb, 1 *_depth.npy" in printed and "metres: stereo scale 5.4" in printed
    # 28 bytes of headers, 20 bytes per point, and the description.
    assert 28 + 20 * 3500 < (tmp_path / "out/2_cloud.glb").stat().st_size < 1500 + 20 * 3500
    vertex = PlyData.read(tmp_path / "out/2_cloud.ply")["vertex"]
    depth = np.load(tmp_path / "out/2_depth.npy")
    np.testing.assert_allclose(vertex["z"], depth.ravel(), rtol=1e-6)
    # 70 pixels across 90 degrees: the focal length is 35, the middle at 34.5.
    np.testing.assert_allclose(vertex["x"].reshape(50, 70)[:, 69], 34.5 / 35 * depth[:, 69], rtol=1e-5)


def test_camera_height_without_a_road_is_an_error(run, images, tmp_path):
    """Random networks predict no road."""
    failures = run(images, "--save", "depth_mm", "--camera_height", 1.65, "--fov", 80)
    assert len(failures) == 3 and "no road found" in str(failures[0])
    assert names(tmp_path / "out") == ["predict.json"]


# Videos


@pytest.fixture
def video(images):
    """Video of seven frames without sound, next to the images."""
    writer = cv2.VideoWriter(str(images / "drive.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (96, 64))
    for i in range(7):
        writer.write(cv2.resize(picture(4, 6, seed=i), (96, 64)))
    writer.release()
    return images / "drive.avi"


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1][:, :, ::-1])
    return frames


def test_a_video_gives_a_video_and_files_per_frame(run, video, weights, tmp_path):
    assert run(video.parent, "--save", "picture", "disp_npy", "--batch_size", 3) == []
    out, frames = tmp_path / "out", frames_of(video)
    assert {f"drive_frames/{i:06d}_disp.npy" for i in range(7)} | {"drive_picture.mp4", "2_picture.png"} < set(
        names(out)
    )
    predictor = DepthPredictor.from_folder(weights / "mono")
    for i in (0, 6):
        expected = predictor(np.ascontiguousarray(frames[i])).scaled_disp
        # Two decoders, which round differently.
        np.testing.assert_allclose(np.load(out / f"drive_frames/{i:06d}_disp.npy"), expected, rtol=0.02)
    written = frames_of(out / "drive_picture.mp4")
    assert len(written) == 7 and written[0].shape == (64, 192, 3)
    assert abs(written[3][:, :96].astype(int) - frames[3]).mean() < 10


def test_a_video_resumes_per_frame_and_stops_at_max_frames(run, video, tmp_path, capsys):
    words = (video, "--save", "picture", "disp_npy", "--max_frames", 4)
    run(*words)
    out = tmp_path / "out"
    kept, lost = out / "drive_frames/000000_disp.npy", out / "drive_frames/000002_disp.npy"
    assert len(names(out)) == 6
    np.save(kept, np.zeros(1))
    lost.unlink()
    before = (out / "drive_picture.mp4").stat().st_mtime_ns
    run(*words)
    assert np.load(kept).shape == (1,) and np.load(lost).shape == (64, 96)
    assert (out / "drive_picture.mp4").stat().st_mtime_ns == before
    with pytest.raises(DataError, match=r"drive_picture\.mp4 was .*--max_frames 4, not with None"):
        run(video, "--save", "picture", "disp_npy")
    run(video, "--save", "disp_npy")  # files of frames do not depend on it
    other = shutil.copy(video, video.with_name("other.avi"))
    run(other)
    assert len(frames_of(out / "other_picture.mp4")) == 7
    run(video, "--max_frames", 2, out="short")
    run(video, "--max_frames", 2, out="short")
    assert "Skipping 1 of 1 images" in capsys.readouterr().out


def test_a_damaged_video_is_reported_and_skipped(run, video, tmp_path):
    (video.parent / "broken.mp4").write_bytes(b"no video")
    (error,) = run(video.parent)
    assert "broken.mp4 cannot be read as a video" in str(error)
    assert {"drive_picture.mp4", "2_picture.png"} < set(names(tmp_path / "out"))


def test_a_camera_is_predicted_for_max_frames(run, video, tmp_path, monkeypatch):
    opened, open_capture = [], cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: opened.append(number) or open_capture(str(video)))
    run("camera:3", "--save", "picture", "depth_npy", "--max_frames", 3)
    assert opened == [3]
    expected = [f"camera3_frames/{i:06d}_depth.npy" for i in range(3)]
    assert names(tmp_path / "out") == [*expected, "camera3_picture.mp4", "predict.json"]
    monkeypatch.undo()
    assert len(frames_of(tmp_path / "out/camera3_picture.mp4")) >= 3
    with pytest.raises(DataError, match=r"camera3_picture\.mp4 already exists.*--overwrite"):
        run("camera:3", "--save", "picture", "depth_npy", "--max_frames", 3)
    with pytest.raises(UserError, match="camera:77 cannot be opened"):
        run("camera:77", out="other")


def test_ctrl_c_ends_a_camera_with_a_complete_video(run, video, tmp_path, monkeypatch):
    class Capture:
        def __init__(self, number):
            self.frames = frames_of(video)[:2]

        def isOpened(self):
            return True

        def read(self):
            if not self.frames:
                raise KeyboardInterrupt
            return True, np.ascontiguousarray(self.frames.pop())

        def release(self):
            pass

    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda source: Capture(source) if source == 0 else real(source))
    assert run("camera") == []
    assert len(frames_of(tmp_path / "out/camera0_picture.mp4")) >= 2


# Names of what is written


@pytest.mark.parametrize(
    ("name", "words", "mode"),
    [
        ("2.png", (), "off"),
        ("2.png", ("--kernels", "on"), "on"),
        ("drive.avi", (), "auto"),
        ("drive.avi", ("--kernels", "off"), "off"),
    ],
)
def test_operators_are_compiled_for_long_runs(run, images, video, monkeypatch, name, words, mode):
    asked = []
    monkeypatch.setattr("layers.kernels.ops.use_kernels", asked.append)
    path = video if name == video.name else images / name
    assert run(path, "--max_frames", 1, "--kernels", "auto", "--engine", "paddle", *words) == []
    assert asked == [mode]


def test_outputs_keep_the_folder_structure(run, images, tmp_path):
    shutil.copytree(images, tmp_path / "more/images")
    run(images / "2.png", tmp_path / "more/images/2.png")
    assert names(tmp_path / "out") == ["images/2_picture.png", "more/images/2_picture.png", "predict.json"]


def test_inputs_with_the_same_output_are_an_error(run, images):
    shutil.copy(images / "2.png", images / "2.TIFF")
    with pytest.raises(DataError, match=r"2\.png and .*2\.TIFF would both write .*2_"):
        run(images)


def test_output_dir_must_not_contain_inputs(run, images):
    with pytest.raises(DataError, match=r"--output_dir .*images contains input images"):
        run(images, out="images")


# Resuming


def test_a_run_resumes_where_it_stopped(run, images, tmp_path, capsys):
    run(images, "--save", "picture", "disp_npy")
    out = tmp_path / "out"
    for name in ("1_disp.npy", "2_disp.npy", "10_disp.npy"):
        np.save(out / name, np.zeros(1))  # what is not predicted again stays like this
    (out / "2_picture.png").unlink()
    capsys.readouterr()
    run(images, "--save", "picture", "disp_npy")
    assert "Skipping 2 of 3 images" in capsys.readouterr().out
    shapes = {stem: np.load(out / f"{stem}_disp.npy").shape for stem in ("1", "2", "10")}
    assert shapes == {"1": (1,), "2": SIZES["2.png"], "10": (1,)}
    assert run(images, "--save", "picture", "disp_npy") == []
    printed = capsys.readouterr().out
    assert "Skipping 3 of 3 images" in printed and "Saved predictions of 3 images to" in printed
    run(images, "--save", "depth_npy")  # another kind is not there yet
    assert (out / "1_depth.npy").is_file()
    run(images, "--save", "disp_npy", "--overwrite")
    assert np.load(out / "1_disp.npy").shape == SIZES["1.bmp"]


def test_predictions_with_other_weights_are_not_resumed(run, images, tmp_path):
    run(images, "--save", "disp_npy")
    first = np.load(tmp_path / "out/2_disp.npy")
    with pytest.raises(DataError, match=r"different settings.*checksum of the weights: was .*--overwrite"):
        run(images, "--save", "disp_npy", use="other")
    run(images / "1.bmp", "--save", "disp_npy", "--overwrite", use="other")
    run(images, "--save", "disp_npy", use="other")  # as after an overwriting run that was broken off
    assert not np.allclose(np.load(tmp_path / "out/2_disp.npy"), first)


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", "[" * 100_000, '{"settings": 1, "inputs": {}}', '{"settings": {"picture": 1}, "inputs": {}}'),
        '{"settings": {}, "inputs": {}, "max_frames": 5}',
    ],
)
def test_a_damaged_settings_file_is_an_error(run, images, tmp_path, content):
    run(images / "2.png")
    (tmp_path / "out/predict.json").write_text(content)
    with pytest.raises(DataError, match="--overwrite"):
        run(images / "2.png")
    run(images / "2.png", "--overwrite")
    assert "post_process" in json.loads((tmp_path / "out/predict.json").read_text())["settings"]["picture"]


def test_inputs_and_kinds_are_added_to_a_folder(run, images, video, tmp_path):
    """The commands of docs/prediction.md, one after the other, into one folder."""
    run(images / "2.png")
    run(images / "2.png", "--save", "ply", "--fov", 70)
    run(images / "10.jpg", images / "1.bmp")
    run(images / "2.png", "--save", "depth_npy", "--scale", 2)
    run(video, "--max_frames", 2)
    run(images / "1.bmp", "--save", "disp_npy", "--scale", 3)  # which does not affect disparity
    expected = ["10_picture.png", "1_disp.npy", "1_picture.png", "2_cloud.ply", "2_depth.npy", "2_picture.png"]
    assert names(tmp_path / "out") == sorted([*expected, "drive_picture.mp4", "predict.json"])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    run(images / "2.png", images / "10.jpg", images / "1.bmp")
    run(images / "2.png", "--save", "ply", "--fov", 70)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    ("first", "then", "changed"),
    [
        ("ply --fov 70", "ply --fov 60", "field of view: was 70.0, now 60.0"),
        ("depth_npy --scale 2", "picture depth_npy --scale 3", "scene unit: was 2.0, now 3.0"),
        ("picture", "picture --post_process", "post_process: was False, now True"),
    ],
)
def test_settings_of_a_kind_do_not_change(run, images, first, then, changed):
    run(images / "2.png", "--save", *first.split())
    with pytest.raises(DataError, match=f"different settings .*{changed}"):
        run(images / "2.png", "--save", *then.split())


def test_another_image_of_the_same_name_is_refused(run, images, tmp_path):
    shutil.copytree(images, tmp_path / "more")
    run(images / "2.png")
    with pytest.raises(DataError, match=r"2_\* was produced from .*images/2\.png, not from .*more/2\.png"):
        run(tmp_path / "more/2.png")


def test_ctrl_c_says_where_it_stopped_and_how_to_resume(run, images, video, tmp_path, monkeypatch):
    predicted, predict_batch = [], DepthPredictor.__call__

    def interrupt(self, batch, **settings):
        predicted.append(len(batch))
        if len(predicted) in (2, 5):
            raise KeyboardInterrupt
        return predict_batch(self, batch, **settings)

    monkeypatch.setattr(DepthPredictor, "__call__", interrupt)
    words = (images, "--batch_size", 2, "--save", "disp_npy")
    with pytest.raises(Stopped, match=r"^Stopped at image 3 of 3\. Run the same command to resume\.$") as stop:
        run(*words)
    assert stop.value.signum == 2 and names(tmp_path / "out") == ["1_disp.npy", "2_disp.npy", "predict.json"]
    with pytest.raises(Stopped, match=r"^Stopped at frame 2 of drive\.avi\."):
        run(*words)
    assert run(*words) == []
    assert sum(predicted) == 2 + 1 + 1 + 2 + 2 + 2 + 2 + 1  # of which two batches were interrupted


def test_an_unwritable_folder_is_told_before_the_weights_are_loaded(run, images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/out"):
        run(images, use="nowhere", out="file/out")


# Errors


@pytest.mark.parametrize(
    ("kinds", "count", "noun"),
    [((Job,), 1, "image"), ((Job, Job), 2, "images"), ((VideoJob,), 1, "video"), ((Job, VideoJob), 2, "inputs")],
)
def test_the_summary_names_what_was_predicted(kinds, count, noun):
    assert _noun([object.__new__(kind) for kind in kinds], count) == noun


def test_nothing_is_said_about_predictions_if_there_are_none(run, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no image")
    run(tmp_path / "text.jpg")
    printed = capsys.readouterr().out
    assert "1 of 1 image could not be predicted" in printed and "Saved" not in printed and "Depth" not in printed


def test_damaged_images_are_reported_and_skipped(run, images, tmp_path, capsys):
    (images / "0.png").write_bytes(b"")
    (images / "3.jpg").write_bytes((images / "10.jpg").read_bytes()[:200])
    failures = run(images, "--batch_size", 2)
    assert [Path(str(error).split()[1]).name for error in failures] == ["0.png", "3.jpg"]
    printed = capsys.readouterr().out
    assert "2 of 5 images could not be predicted" in printed and "Saved predictions of 3 images to" in printed
    assert names(tmp_path / "out") == ["10_picture.png", "1_picture.png", "2_picture.png", "predict.json"]


def test_a_batch_with_only_damaged_images(run, images):
    (images / "0.png").write_bytes(b"")
    assert len(run(images, "--batch_size", 1)) == 1


def test_missing_weights(run, images):
    with pytest.raises(WeightsError, match="not found"):
        run(images, use="nowhere")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a.png --sav picture", "--sav; the nearest is --save"),
        ("a.png --uncertainty", "the nearest is --save uncertainty"),
        ("a.png --save pictures", "invalid choice: 'pictures'"),
        ("a.png --batch_size 0", "batch_size: got 0, allowed: an integer of at least 1"),
        ("a.png --scale -1", "scale: got -1.0, allowed: a number above 0"),
        ("a.png --height 100", "multiples of 32"),
        ("a.png --min_depth 200 --max_depth 100", "--min_depth .* below --max_depth"),
        ("a.png --save ply", "--save ply needs .*--intrinsics FILE"),
        ("a.png --camera_height 1.65", "--camera_height needs .*--intrinsics FILE"),
        ("a.png --camera_height 1.65 --scale 2 --fov 90", "--scale and --camera_height both"),
        ("a.png --fov 90 --intrinsics kitti", "--intrinsics and --fov both"),
        ("a.png --fov 180", "fov: got 180.0, allowed: below 180"),
        ("a.png --engine onnx --kernels on", "--kernels on .*--engine onnx"),
        ("a.png --engine tensorrt", "invalid choice: 'tensorrt'"),
        ("", "No input"),
        ("a.png --engine onnx", "--engine onnx runs an exported model.*--load_weights_folder EXPORTED"),
    ],
)
def test_invalid_options(words, message):
    with pytest.raises(OptionsError, match=message):
        parse_predict_options(words.split())


def test_inputs_may_precede_and_follow_options():
    words = "a.png --load_weights_folder w b.png --output_dir o --scale 2 c.png"
    opt = parse_predict_options(words.split())
    assert opt.inputs == ("a.png", "b.png", "c.png") and opt.scale == 2.0
    assert (opt.save, opt.batch_size, opt.overwrite) == (("picture",), 8, False)


def test_the_script_on_real_images(kitti_sample, weights, tmp_path):
    images = sorted(kitti_sample.glob("*/*/image_02/data/*.jpg"))[:2]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    folders = ["--load_weights_folder", str(weights / "mono"), "--output_dir", str(tmp_path / "out")]
    command = [sys.executable, "predict.py", *map(str, images), *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [Path(name).stem for name in names(tmp_path / "out")] == [
        *(f"{path.stem}_picture" for path in images),
        "predict",
    ]
    done = subprocess.run([*command[:2], str(broken), *folders[:3], str(tmp_path / "x")], cwd=ROOT, capture_output=True)
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    done = subprocess.run([*command[:2], str(tmp_path / "none"), *folders], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "not found" in done.stderr


# Overlap of reading, predicting and writing


def test_unreadable_images_are_reported_in_order_and_the_others_written(run, tmp_path, capsys):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(7):
        Image.fromarray(picture(40, 60, seed=number)).save(folder / f"{number}.png")
    for number in (1, 5):
        (folder / f"{number}.png").write_bytes(b"no image")
    failures = run(folder, "--batch_size", 2, "--save", "disp_npy")
    assert [Path(str(error).split("png")[0]).name for error in failures] == ["1.", "5."]
    assert "Saved predictions of 5 images" in capsys.readouterr().out
    one = tmp_path / "one"
    one.mkdir()
    shutil.copy(folder / "4.png", one)
    run(one, "--save", "disp_npy", out="alone")
    np.testing.assert_allclose(np.load(tmp_path / "out/4_disp.npy"), np.load(tmp_path / "alone/4_disp.npy"), rtol=1e-5)


def test_an_unwritable_output_ends_the_run(run, images, tmp_path, monkeypatch):
    def fail(stream, result):
        raise OSError(28, "No space left on device")

    writer = WRITERS["disp_npy"]
    monkeypatch.setitem(WRITERS, "disp_npy", replace(writer, write=fail))
    with pytest.raises(UserError, match="No space left"):
        run(images, "--batch_size", 1, "--save", "disp_npy")
    assert names(tmp_path / "out") == ["predict.json"]


def test_an_earlier_folder_resumes_with_the_default_engine(run, images, capsys):
    run(images, "--engine", "paddle", "--save", "disp_npy")
    run(images, "--save", "disp_npy")
    assert "Skipping 3 of 3 images" in capsys.readouterr().out


def test_png_files_are_compressed_fast(run, images, tmp_path):
    run(images / "2.png", use="stereo", out="fast")
    fast = (tmp_path / "fast/2_picture.png").read_bytes()
    assert fast.index(b"IDATx\x01")  # the header of zlib's fastest levels
