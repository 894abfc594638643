"""Maps in folders of their own: missing ones, damaged ones, mirrored ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from datasets.checks import missing_maps
from datasets.depth_maps import encode_depth_png
from datasets.map_files import (
    DEPTH_HINTS,
    MOVING_OBJECTS,
    PSEUDO_LABELS,
    MapFolder,
    map_path,
    read_relative_disparity,
)


@pytest.fixture
def hints(tree, line, tmp_path_factory):
    """A folder with the hint of frame 2, left: metres that identify the pixel."""
    folder = tmp_path_factory.mktemp("hints")
    image_path = f"{line(2).folder}/image_02/data/0000000002.jpg"
    path = folder / Path(image_path).with_suffix(".png")
    path.parent.mkdir(parents=True)
    depth = 1 + np.arange(64 * 128).reshape(64, 128) / 64
    depth[0, 0] = 0
    path.write_bytes(encode_depth_png(depth))
    return folder


def with_hints(make_dataset, hints, **kwargs):
    return make_dataset(map_folders={"depth_hints": MapFolder(str(hints), DEPTH_HINTS)}, **kwargs)


def test_maps_follow_the_tree_of_the_images(tmp_path):
    assert map_path("hints", tmp_path / "a/b/7.jpg", tmp_path) == str(Path("hints/a/b/7"))
    assert map_path("hints", tmp_path / "elsewhere/7.jpg", tmp_path / "data") == str(Path("hints/elsewhere/7"))


def test_maps_are_resized_and_mirrored_with_the_image(make_dataset, hints, line):
    dataset = with_hints(make_dataset, hints, lines=[line(2)], train=True)
    depth = np.fromfunction(lambda y, x: 1 + (128 * y + x) / 64, (64, 128))[1::2, 1::2]
    plain = make_dataset([line(2)])[0]["color/0/0"]
    seen = set()
    for epoch in range(12):
        sample = dataset[0, epoch]
        flipped = not np.array_equal(sample["color/0/0"], plain)
        assert sample["map/depth_hints"].dtype == np.float32 and sample["map/depth_hints"].shape == (1, 32, 64)
        np.testing.assert_allclose(sample["map/depth_hints"][0], depth[:, ::-1] if flipped else depth, atol=1 / 256)
        seen.add(flipped)
    assert seen == {True, False}


@pytest.mark.parametrize("channels, value", [(1, 255), (1, 1), (3, 7)])
def test_masks_of_moving_objects(make_dataset, line, tmp_path, channels, value):
    """The lower left quarter moves: 255, or the number of an object, in grey or in one channel of colour."""
    mask = np.zeros((16, 32, channels), np.uint8)
    mask[8:, :16, -1] = value
    path = tmp_path / "masks" / line(2).folder / "image_02/data/0000000002.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(mask.squeeze()).save(path)
    folders = {"mask_dir": MapFolder(str(tmp_path / "masks"), MOVING_OBJECTS)}
    dataset = make_dataset([line(2), line(3)], train=True, map_folders=folders)
    moving = np.zeros((1, 32, 64), np.float32)
    moving[:, 16:, :32] = 1
    for epoch in range(8):
        sample = dataset[0, epoch]
        is_mirrored = sample["K/0"][0, 2] > 31.5  # as the image is
        np.testing.assert_array_equal(sample["map/mask_dir"][..., :: -1 if is_mirrored else 1], moving)
    assert not dataset[1]["map/mask_dir"].any() and missing_maps(dataset) == {"mask_dir": 1}


def test_a_frame_without_a_map_has_zeros_and_is_counted(make_dataset, hints, line):
    dataset = with_hints(make_dataset, hints, lines=[line(2), line(3), line(2, "r")])
    assert not dataset[1]["map/depth_hints"].any() and dataset[1]["map/depth_hints"].shape == (1, 32, 64)
    assert missing_maps(dataset) == {"depth_hints": 2}
    with pytest.raises(DataError, match=r"no depth hint for any of the 1 lines, for example \S+0000000003\.png"):
        missing_maps(dataset.replace(lines=[line(3)]))


def test_samples_without_maps_have_no_key_and_need_no_more_memory(make_dataset, hints):
    plain, dataset = make_dataset(), with_hints(make_dataset, hints)
    assert not any(key.startswith("map/") for key in plain[0])
    assert dataset.sample_bytes - plain.sample_bytes == 4 * 32 * 64
    assert missing_maps(plain) == {}


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(encode_depth_png(np.ones((64, 64)))), "64x64 pixels, but its image .* 128x64"),
        (lambda path: path.write_bytes(b"no image"), "0000000002.png"),
        (lambda path: Image.new("L", (128, 64)).save(path), "mode L, expected 16-bit grey"),
    ],
    ids=["wrong size", "damaged", "8 bits"],
)
def test_bad_maps_name_the_file_and_the_line(make_dataset, hints, line, write, message):
    write(next(hints.rglob("*.png")))
    with pytest.raises(DataError, match=rf"(?s){message}.*split line '{line(2)}'"):
        with_hints(make_dataset, hints, lines=[line(2)])[0]


def test_pseudo_labels_are_arrays_or_16_bit_pngs_of_any_scale(make_dataset, line, tmp_path):
    dataset = make_dataset([line(2)], map_folders={"pseudo_labels": MapFolder(str(tmp_path / "labels"), PSEUDO_LABELS)})
    stem = Path(map_path(tmp_path / "labels", dataset.image_path(line(2), 0, "l"), dataset.data_path))
    stem.parent.mkdir(parents=True)
    values = np.fromfunction(lambda y, x: 100.0 * (x + y), (32, 64))
    Image.fromarray(values.astype(np.uint16)).save(stem.with_suffix(".png"))
    np.testing.assert_allclose(dataset[0]["map/pseudo_labels"][0], values / values.max(), atol=1e-6)
    np.save(stem.with_suffix(".npy"), (5 * values)[None])  # found first
    np.testing.assert_allclose(dataset[0]["map/pseudo_labels"][0], values / values.max(), atol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 8), np.nan), "100.0% of the values are not finite"),
        (np.where(np.arange(8) < 2, np.inf, 1.0) * np.ones((4, 1)), "25.0% of the values are not finite"),
        (np.ones((2, 4, 8)), r"shape \(2, 4, 8\), expected \(height, width\)"),
        (np.array([["a"]]), "cannot be read"),
        (np.array([{}]), "cannot be read"),
    ],
    ids=["nan", "inf", "3-D", "text", "objects"],
)
def test_bad_pseudo_labels_are_rejected(tmp_path, values, message):
    np.save(tmp_path / "label.npy", values, allow_pickle=True)
    with pytest.raises(DataError, match=rf"label\.npy.*{message}"):
        read_relative_disparity(str(tmp_path / "label.npy"))


def test_a_truncated_array_is_rejected(tmp_path):
    np.save(tmp_path / "label.npy", np.ones((4, 8)))
    (tmp_path / "label.npy").write_bytes((tmp_path / "label.npy").read_bytes()[:-20])
    with pytest.raises(DataError, match=r"label\.npy cannot be read"):
        read_relative_disparity(str(tmp_path / "label.npy"))


def test_the_epoch_is_part_of_training_samples_only(make_dataset):
    assert make_dataset(train=True, load_epoch=True)[0, 3]["epoch"] == 3
    assert "epoch" not in make_dataset(load_epoch=True)[0, 3] and "epoch" not in make_dataset(train=True)[0, 3]
