"""Samples: keys, intrinsics, augmentation, immutability."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from datasets.build import build_dataset
from datasets.frame_cache import DiskCache
from datasets.splits import SplitLine

FRAMES = [0, -1, 1, "s"]


def _resized(dataset, line):
    images = {}
    for frame, path in zip(dataset.frame_ids, dataset.frame_paths(line), strict=True):
        with Image.open(path) as image:
            small = image.convert("RGB").resize((dataset.width, dataset.height), Image.LANCZOS)
        images[frame] = np.asarray(small).transpose(2, 0, 1)
    return images


def _augmented(dataset, index, want_flip):
    """Return the sample of the first epoch that is flipped (or not flipped)."""
    plain = _resized(dataset, dataset.lines[index])[0]
    for epoch in range(50):
        sample = dataset[index, epoch]
        if np.array_equal(sample["color/0/0"], plain[:, :, ::-1] if want_flip else plain):
            return sample
    raise AssertionError("no such sample in 50 epochs")


def test_sample_has_the_documented_keys(make_dataset, line):
    dataset = make_dataset([line(2)], load_depth=True)
    sample = dataset[0]
    colours = {f"{kind}/{frame}/0": frame for kind in ("color", "color_aug") for frame in FRAMES}
    intrinsics = {f"{kind}/{scale}" for kind in ("K", "inv_K") for scale in (0, 1)}
    assert set(sample) == set(colours) | intrinsics | {"stereo_T", "depth_gt", "name"}
    expected = _resized(dataset, line(2))
    for key, frame in colours.items():
        assert sample[key].dtype == np.uint8
        np.testing.assert_array_equal(sample[key], expected[frame])
    assert sample["name"] == str(line(2))
    assert sample["depth_gt"].shape == (64, 128) and sample["depth_gt"][25, 69] == 11


def test_stereo_frame_of_the_right_camera_is_the_left(make_dataset, line):
    left, right = make_dataset([line(2, "l"), line(2, "r")])
    np.testing.assert_array_equal(left["color/s/0"], right["color/0/0"])
    np.testing.assert_array_equal(right["color/s/0"], left["color/0/0"])


def test_depth_is_none_without_a_scan(make_dataset, line):
    dataset = make_dataset([line(3), line(2)], load_depth=True, gt_depth="camera")
    assert dataset[0]["depth_gt"] is None
    assert dataset.ground_truth(dataset.lines[0]) is None
    assert dataset.ground_truth(dataset.lines[1])[25, 69] == 10


def test_training_with_ground_truth_is_rejected(make_dataset):
    with pytest.raises(ValueError, match="load_depth"):
        make_dataset(train=True, load_depth=True)


# K of the tiny tree: fx 100, fy 90, cx 60, cy 30 at 128x64, scaled to 64x32 and 32x16.
# Scale 0: (60 + 0.5) / 2 - 0.5 = 29.75, mirrored 63 - 29.75.
# Scale 1: (60 + 0.5) / 4 - 0.5 = 14.625, mirrored 31 - 14.625.
@pytest.mark.parametrize(("flip", "cx"), [(False, (29.75, 14.625)), (True, (33.25, 16.375))])
def test_intrinsics_by_scale_and_flip(make_dataset, flip, cx):
    sample = _augmented(make_dataset(train=True), 0, flip)
    for scale, (fx, fy, cy) in enumerate(((50, 45, 14.75), (25, 22.5, 7.125))):
        K = [[fx, 0, cx[scale], 0], [0, fy, cy, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        assert sample[f"K/{scale}"].dtype == np.float32 and sample[f"inv_K/{scale}"].dtype == np.float32
        np.testing.assert_allclose(sample[f"K/{scale}"], K, rtol=1e-6)
        np.testing.assert_allclose(sample[f"inv_K/{scale}"] @ np.array(K), np.eye(4), atol=1e-5)


@pytest.mark.parametrize("flip", [False, True])
def test_mean_intrinsics_need_no_calibration_and_ignore_flips(make_dataset, tree, flip):
    (tree / "2011_01_01" / "calib_cam_to_cam.txt").unlink()
    sample = _augmented(make_dataset(train=True, mean_intrinsics=True), 0, flip)
    for scale, (width, height) in enumerate(((64, 32), (32, 16))):
        expected = [[0.58 * width, 0, width / 2, 0], [0, 1.92 * height, height / 2, 0]]
        np.testing.assert_allclose(sample[f"K/{scale}"][:2], expected, rtol=1e-6)


def test_smaller_images_keep_the_fov(make_dataset, tree):
    expected = make_dataset()[0]["K/0"]
    for path in tree.glob("*/*/image_0*/data/*.jpg"):
        with Image.open(path) as image:
            image.resize((96, 48)).save(path)
    np.testing.assert_array_equal(make_dataset()[0]["K/0"], expected)


@pytest.mark.parametrize(
    ("index", "flip", "shift"), [(0, False, -0.1), (0, True, 0.1), (1, False, 0.1), (1, True, -0.1)]
)
def test_stereo_transform_depends_on_side_and_flip(make_dataset, index, flip, shift):
    dataset = make_dataset(train=True)
    assert dataset.lines[index].side == "lr"[index]
    expected = np.eye(4)
    expected[0, 3] = shift
    np.testing.assert_allclose(_augmented(dataset, index, flip)["stereo_T"], expected, rtol=1e-6)


def test_all_frames_are_flipped_together(make_dataset):
    dataset = make_dataset(train=True)
    sample = _augmented(dataset, 0, True)
    for frame, image in _resized(dataset, dataset.lines[0]).items():
        np.testing.assert_array_equal(sample[f"color/{frame}/0"], image[:, :, ::-1])


def test_flipping_after_lanczos_equals_flipping_before(make_dataset):
    dataset = make_dataset(train=True, height=33, width=71)
    sample = _augmented(dataset, 0, True)
    with Image.open(dataset.frame_paths(dataset.lines[0])[0]) as image:
        flipped = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((71, 33), Image.LANCZOS)
    np.testing.assert_array_equal(sample["color/0/0"], np.asarray(flipped).transpose(2, 0, 1))


def test_all_frames_share_one_jitter(make_dataset, tree, line, write_image):
    for path in tree.glob("*/*/image_0*/data/*.jpg"):
        write_image(path, 0)  # the same image everywhere
    dataset = make_dataset([line(2)], train=True)
    jittered = 0
    for epoch in range(20):
        sample = dataset[0, epoch]
        jittered += not np.array_equal(sample["color_aug/0/0"], sample["color/0/0"])
        for frame in FRAMES[1:]:
            np.testing.assert_array_equal(sample[f"color/{frame}/0"], sample["color/0/0"])
            np.testing.assert_array_equal(sample[f"color_aug/{frame}/0"], sample["color_aug/0/0"])
    assert 4 <= jittered <= 16


def test_augmentation_depends_only_on_seed_epoch_and_index(make_dataset):
    def looks(seed, epoch):
        dataset = make_dataset(train=True, seed=seed)
        return [dataset[index, epoch]["color_aug/0/0"].tobytes() for index in range(len(dataset))]

    assert looks(1, 0) == looks(1, 0)
    assert looks(1, 0) != looks(1, 1)
    assert looks(1, 0) != looks(2, 0)


def test_no_augmentation_outside_training(make_dataset):
    dataset = make_dataset()
    for epoch in range(3):
        np.testing.assert_array_equal(dataset[0, epoch]["color_aug/0/0"], dataset[0]["color/0/0"])


def test_damaged_file_is_reported_with_its_split_line(make_dataset, line):
    dataset = make_dataset([line(2)])
    path = dataset.frame_paths(line(2))[1]
    with open(path, "r+b") as file:
        file.truncate(200)
    with pytest.raises(DataError) as error:
        dataset[0]
    assert path in str(error.value) and str(line(2)) in str(error.value)


def test_dataset_can_be_pickled(make_dataset):
    dataset = make_dataset(train=True)
    copy = pickle.loads(pickle.dumps(dataset))
    for key, value in dataset[3, 5].items():
        np.testing.assert_array_equal(copy[3, 5][key], value)


def test_dataset_is_immutable_and_replaceable(make_dataset, line, tmp_path):
    dataset = make_dataset()
    for name in ("lines", "height", "width", "frame_ids", "cache", "train", "seed"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(dataset, name, getattr(dataset, name))
    with pytest.raises(AttributeError):
        dataset.lines.append(line(1))
    smaller = dataset.replace(lines=[line(2)], height=64, width=96, frame_ids=[0])
    assert len(smaller) == 1 and smaller[0]["color/0/0"].shape == (3, 64, 96)
    assert len(dataset) == 8 and dataset[0]["color/s/0"].shape == (3, 32, 64)
    with pytest.raises(TypeError, match="train"):
        dataset.replace(train=True)
    cached = dataset.replace(cache=DiskCache(32, 64, tmp_path / "cache"))
    with pytest.raises(ValueError, match="64x32 for frames of 96x64"):
        cached.replace(height=64, width=96)


def test_network_input_matches_the_reference(kitti_sample, reference_dir, load_reference):
    reference = load_reference("networks_geometry.npz")
    meta_path = reference_dir / "meta.json"
    if "image_0" not in reference or not meta_path.is_file():
        pytest.skip("this reference has no images")
    first = json.loads(meta_path.read_text())["frame"]
    paths = sorted(kitti_sample.glob(f"*/*/image_02/data/{first:010d}.jpg"))
    if not paths:
        pytest.skip(f"the reference's frame {first} is not in this sample")
    folder = str(paths[0].parents[2].relative_to(kitti_sample))
    names = {0: "image_0", -1: "image_m1", 1: "image_p1", "s": "image_s"}
    expected = {frame: reference[name] for frame, name in names.items()}
    height, width = expected[0].shape[1:3]

    def inputs(number, frame_ids):
        lines = [SplitLine(folder, number, "l")]
        size = {"height": height, "width": width}
        (sample,) = build_dataset("kitti", kitti_sample, lines, frame_ids=frame_ids, train=False, **size)
        return {frame: sample[f"color/{frame}/0"].transpose(1, 2, 0) for frame in frame_ids}

    # meta.json contains only the first frame's number; find the second by its image.
    there = sorted((int(path.stem) for path in paths[0].parent.glob("*.jpg")), key=lambda n: abs(n - first - 40))
    second = next((number for number in there if np.array_equal(inputs(number, [0])[0], expected[0][1])), None)
    for index, number in enumerate((first, second)):
        if number is not None:
            for frame, image in inputs(number, FRAMES).items():
                np.testing.assert_array_equal(image, expected[frame][index])


def test_all_frames_have_the_crop_of_the_sample(make_dataset, tree, line, write_image):
    for path in tree.glob("*/*/image_0*/data/*.jpg"):
        write_image(path, 0)  # the same image everywhere
    dataset = make_dataset([line(2)], train=True, crop_scale=0.4, crop_aspect=1.4)
    plain, crops = make_dataset([line(2)], train=True), set()
    for epoch in range(6):
        sample, whole = dataset[0, epoch], plain[0, epoch]
        assert {key: value.shape for key, value in sample.items() if key != "name"} == {
            key: value.shape for key, value in whole.items() if key != "name"
        }
        for frame in FRAMES[1:]:
            np.testing.assert_array_equal(sample[f"color/{frame}/0"], sample["color/0/0"])
        np.testing.assert_array_equal(sample["stereo_T"], whole["stereo_T"])  # the same flip
        focal = sample["K/0"][0, 0] / whole["K/0"][0, 0], sample["K/0"][1, 1] / whole["K/0"][1, 1]
        assert 1 / (focal[0] * focal[1]) > 0.39 and 1 / 1.41 < focal[0] / focal[1] < 1.41
        # Every scale shows the same: borders are at the same angles.
        left = [-(sample[f"K/{scale}"][0, 2] + 0.5) / sample[f"K/{scale}"][0, 0] for scale in (0, 1)]
        assert left[0] == pytest.approx(left[1], rel=1e-5)
        crops.add(focal)
    assert len(crops) == 6


def test_crops_depend_only_on_seed_epoch_and_index(make_dataset):
    def looks(seed, epoch):
        dataset = make_dataset(train=True, crop_scale=0.5, seed=seed)
        return [dataset[index, epoch]["K/0"].tobytes() for index in range(len(dataset))]

    assert looks(1, 0) == looks(1, 0)
    assert looks(1, 0) != looks(1, 1)
    assert looks(1, 0) != looks(2, 0)
    assert len(set(looks(1, 0))) == 8


def test_validation_shows_whole_images(make_dataset):
    np.testing.assert_array_equal(make_dataset(crop_scale=0.5)[0]["color/0/0"], make_dataset()[0]["color/0/0"])


def test_crops_need_the_original_images(make_dataset, tmp_path):
    with pytest.raises(ValueError, match="crops are cut from the images at their own size"):
        make_dataset(train=True, crop_aspect=1.2, cache=DiskCache(32, 64, tmp_path / "cache", spare_bytes=0))


def test_corruptions_change_only_the_input_of_the_networks(make_dataset, monkeypatch):
    drawn = []

    def record(image, name, severity, seed):
        drawn.append((name, severity, seed))
        return 255 - image

    monkeypatch.setattr("datasets.corruptions.corrupt", record)
    plain, dataset = make_dataset(train=True), make_dataset(train=True, corrupt_training=0.5)
    changed = 0
    for epoch in range(20):
        sample, same = dataset[1, epoch], plain[1, epoch]
        assert sample.keys() == same.keys()
        corrupted = bool(drawn)
        for key, value in sample.items():
            if key.startswith("color_aug") and corrupted:
                value = 255 - value
            np.testing.assert_array_equal(value, same[key], err_msg=key)
        if drawn:  # all frames have the same corruption, each with its own noise
            assert len({draw[:2] for draw in drawn}) == 1 and len({draw[2] for draw in drawn}) == len(drawn) == 4
        changed += corrupted
        drawn.clear()
    assert 4 <= changed <= 16
    dataset[1, 3], dataset[2, 3]
    first = list(drawn)
    dataset[2, 3], dataset[1, 3]
    assert sorted(drawn[len(first) :]) == sorted(first)  # by seed, epoch and index alone
    drawn.clear()
    make_dataset(corrupt_training=0.9)[0]
    assert not drawn  # without train


def test_corrupted_grey_images(make_dataset, tree):
    for path in tree.rglob("*.jpg"):
        Image.open(path).convert("L").save(path)
    sample = make_dataset(train=True, corrupt_training=1.0)[0, 1]
    assert sample["color_aug/0/0"].shape == sample["color/0/0"].shape == (3, 32, 64)
