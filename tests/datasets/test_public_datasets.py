"""Datasets in the layout of their own release: paths, camera, ground truth, lists, protocol and damage."""

import json
from pathlib import Path

import numpy as np
import public_trees as trees
import pytest
from PIL import Image

from common.errors import DataError
from datasets.build import build_dataset
from datasets.cityscapes_dataset import CityscapesDataset
from datasets.ddad_dataset import DDADDataset
from datasets.lidar_projection import project_points, rigid_transform
from datasets.make3d_dataset import Make3DDataset
from datasets.nuscenes_dataset import _VALIDATION, NuScenesDataset, _scene_names
from datasets.nyuv2_dataset import NYUv2Dataset, read_labelled_frames, read_test_numbers
from datasets.public_dataset import is_validated
from datasets.splits import SplitLine


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> Path:
    return trees.cityscapes_tree(tmp_path_factory.mktemp("cityscapes"))


@pytest.fixture(scope="module")
def make3d(tmp_path_factory) -> Path:
    return trees.make3d_tree(tmp_path_factory.mktemp("make3d"))


def build(name: str, root: Path, line: SplitLine, **changes):
    settings = {"height": 32, "width": 64, "frame_ids": (0,), "scales": (0,), "train": False, **changes}
    return build_dataset(name, str(root), [line], **settings)


CITY_LINE = SplitLine("train/aachen/aachen_000003", 2, "l")


def test_cityscapes_lists(city):
    lists = CityscapesDataset.split_lists(city)
    assert lists["train"] == [CITY_LINE, CITY_LINE._replace(frame=3)]  # with both second neighbours
    assert lists["val"] == [SplitLine("val/munster/munster_000003", 19, "l")]
    assert lists["test"] == [SplitLine("test/bonn/bonn_000003", 19, "l")]
    with pytest.raises(DataError, match=r"neither leftImg8bit_sequence/train.*Unpack leftImg8bit_sequence"):
        CityscapesDataset.split_lists(city / "nowhere")


def test_cityscapes_samples_show_no_bonnet(city):
    dataset = build("cityscapes", city, CITY_LINE, frame_ids=(0, -2, 2, "s"))
    assert [Path(path).name for path in dataset.frame_paths(CITY_LINE)] == [
        "aachen_000003_000002_leftImg8bit.png",
        "aachen_000003_000000_leftImg8bit.png",
        "aachen_000003_000004_leftImg8bit.png",
        "aachen_000003_000002_rightImg8bit.png",
    ]
    sample = dataset[0]
    assert sample["color/0/0"].min() > 0  # the bonnet is black
    # Of 2048x1024, 2048x768 remain, reduced by 32 across and 24 down; pixel centres are at whole numbers.
    K = [[2000 / 32, 0, 1000.5 / 32 - 0.5], [0, 2100 / 24, 500.5 / 24 - 0.5], [0, 0, 1]]
    np.testing.assert_allclose(sample["K/0"][:3, :3], K, rtol=1e-6)
    np.testing.assert_allclose(np.abs(sample["stereo_T"][0, 3]), 0.2 / 5.4, rtol=1e-6)


def test_cityscapes_crops_stay_above_the_bonnet(city):
    dataset = build("cityscapes", city, CITY_LINE, train=True, crop_scale=0.3, crop_aspect=1.2)
    samples = [dataset[0, epoch] for epoch in range(8)]
    assert min(sample["color/0/0"].min() for sample in samples) > 0
    assert len({sample["K/0"][1, 2] for sample in samples}) > 1


def test_cityscapes_ground_truth(city):
    dataset = build("cityscapes", city, line := CITY_LINE._replace(frame=3))
    depth = dataset.ground_truth(line)
    assert depth.shape == (768, 2048) and depth.dtype == np.float32
    assert not depth[:2].any() and (depth[2:] == 0.2 * 2000 / 40).all()
    assert dataset.ground_truth(CITY_LINE) is None  # only frame 3 is annotated
    assert dataset.ground_truth(line._replace(side="r")) is None


def test_cityscapes_depth_maps_are_fitted_to_the_same_part(city):
    line = CITY_LINE._replace(frame=3)
    depth = build("cityscapes", city, line, supervise_depth=True)[0]["map/depth"]
    assert depth.shape == (1, 32, 64) and (depth[:, 1:] == 10).all()


def test_cityscapes_reads_annotated_frames_without_the_video(city):
    line = SplitLine("test/bonn/bonn_000003", 19, "l")
    dataset = build("cityscapes", city, line)
    assert dataset.frame_paths(line) == [str(city / "leftImg8bit/test/bonn/bonn_000003_000019_leftImg8bit.png")]
    assert dataset[0]["color/0/0"].shape == (3, 32, 64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "intrinsic/fx: expected 1 finite numbers, got None"),
        ('{"intrinsic": {"fx": 1', "is damaged"),
        (
            json.dumps({**trees.CITY_CAMERA, "extrinsic": {"baseline": -0.2}}),
            "extrinsic/baseline: got -0.2 m, expected more than 0",
        ),
    ],
)
def test_cityscapes_damaged_camera(tmp_path, content, message):
    path = tmp_path / "camera/train/aachen/aachen_000003_000003_camera.json"
    dataset = build("cityscapes", tmp_path, CITY_LINE)
    with pytest.raises(DataError, match=r"_camera\.json not found\. Unpack .*camera_trainvaltest"):
        dataset.intrinsics(CITY_LINE, "l")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(DataError) as error:
        build("cityscapes", tmp_path, CITY_LINE).intrinsics(CITY_LINE, "l")
    assert message in str(error.value) and str(path) in str(error.value)


def test_cityscapes_damaged_disparity(tmp_path):
    path = tmp_path / "disparity/train/aachen/aachen_000003_000002_disparity.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.ones((4, 8), np.uint16)).save(path)
    dataset = build("cityscapes", tmp_path, CITY_LINE)
    with pytest.raises(DataError, match=r"got 8x4 of mode I.*expected 2048x1024, 16-bit grey"):
        dataset.ground_truth(CITY_LINE)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="Disparity map"):
        dataset.ground_truth(CITY_LINE)


def test_make3d(make3d):
    lines = Make3DDataset.split_lists(make3d)["test"]
    assert lines == [SplitLine(name, 0, "l") for name in trees.MAKE3D_NAMES]
    dataset = build("make3d", make3d, lines[0], scales=())
    depth = dataset.ground_truth(lines[0])
    assert depth.shape == (21, 305) and not depth[:, 0].any()
    assert (depth[:, 1] == np.arange(18, 39)).all()  # rows 17 to 37 of 55, counted from 0
    # The central 3/8 of the height, 40 to 88 of 128 rows: 2:1 for the 3:4 photos.
    assert 48 * 2 == 96 and [round(border) for border in dataset.REGION.box(128, 96)] == [0, 40, 96, 88]
    assert dataset[0]["color/0/0"].min() > 0
    with pytest.raises(DataError, match="evaluation only"):
        dataset.intrinsics(lines[0], "l")
    with pytest.raises(DataError, match=r"has no photos img-NAME\.jpg"):
        Make3DDataset.split_lists(make3d / "nowhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "cannot be read"),
        (lambda path: trees.savemat(path, {"Position3DGrid": np.ones((55, 305))}), r"of shape \(55, 305\), expected"),
        (lambda path: trees.savemat(path, {"depth": np.ones(3)}), "got no Position3DGrid"),
    ],
)
def test_make3d_damaged_laser_grid(tmp_path, damage, message):
    trees.make3d_tree(tmp_path / "tree")
    line = SplitLine(trees.MAKE3D_NAMES[0], 0, "l")
    dataset = build("make3d", tmp_path / "tree", line, scales=())
    damage(Path(dataset.ground_truth_path(line)))
    with pytest.raises(DataError, match=message):
        dataset.ground_truth(line)


def test_nyuv2(tmp_path):
    mat, splits = trees.nyuv2_files(tmp_path)
    numbers = read_test_numbers(splits)
    frames = list(read_labelled_frames(mat, numbers))
    assert numbers == [frame.number for frame in frames] == [1, 3]
    for frame in frames:
        assert frame.image.shape == (480, 640, 3) and frame.depth.shape == (480, 640)
        assert (frame.image[:, 0] == 200).all() and (frame.image[:, 1:] == 10 * frame.number).all()
        assert not frame.depth[0].any() and (frame.depth[1:] == 2).all()
    root = trees.nyuv2_tree(tmp_path / "tree")
    (line, _) = lines = NYUv2Dataset.split_lists(root)["test"]
    assert lines == [SplitLine("rgb", 1, "l"), SplitLine("rgb", 3, "l")]
    depth = build("nyuv2", root, line).ground_truth(line)
    assert depth.shape == (480, 640) and not depth[0].any() and (depth[1:] == 2).all()
    with pytest.raises(DataError, match=r"has no images NNNN\.png\. Run: python tools/prepare_nyuv2\.py"):
        NYUv2Dataset.split_lists(tmp_path)


def test_nyuv2_wrong_files(tmp_path):
    mat, splits = trees.nyuv2_files(tmp_path)
    with pytest.raises(DataError, match=r"splits\.mat cannot be read .* expected testNdxs"):
        read_test_numbers(tmp_path / "nowhere/splits.mat")
    with pytest.raises(DataError, match="expected testNdxs"):
        read_test_numbers(mat)
    with pytest.raises(DataError, match="expected the HDF5 file"):
        list(read_labelled_frames(splits, [1]))
    with pytest.raises(DataError, match=r"with N at least 4\. Download it again"):
        list(read_labelled_frames(mat, [1, 4]))
    mat.write_bytes(mat.read_bytes()[:5000])
    with pytest.raises(DataError, match="expected the HDF5 file"):
        list(read_labelled_frames(mat, [1]))


def test_points_are_projected_to_the_nearest_pixel_and_nearest_depth():
    K = np.array([[10, 0, 4], [0, 10, 2], [0, 0, 1.0]])
    points = np.array([[0, 0, 5], [0, 0, 3], [1, -0.5, 5], [9, 0, 1], [0, 0, -1], [0, 0, 0.05]])
    depth = project_points(points, K, (5, 9))
    assert {(int(y), int(x)): depth[y, x] for y, x in zip(*depth.nonzero(), strict=True)} == {(2, 4): 3, (1, 6): 5}


def test_poses_are_checked():
    T = rigid_transform([0.5**0.5, 0, 0, 0.5**0.5], [1, 2, 3], "f")  # 90 degrees about z
    np.testing.assert_allclose(T @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-12)
    for rotation in ([0, 0, 0, 0], [1, 0, 0], None):
        with pytest.raises(DataError, match=r"ego_pose\.json: got rotation"):
            rigid_transform(rotation, [0, 0, 0], "ego_pose.json")


def sparse(depth: np.ndarray) -> dict[tuple[int, int], float]:
    return {(int(y), int(x)): float(depth[y, x]) for y, x in zip(*depth.nonzero(), strict=True)}


def test_nuscenes(tmp_path):
    root = trees.nuscenes_tree(tmp_path)
    lists = NuScenesDataset.split_lists(root)
    assert lists["train"] == [SplitLine("scene-0061", frame, "l") for frame in (1, 2, 3)]
    assert lists["test"] == [SplitLine("scene-0103", frame, "l") for frame in (0, 2, 4)]
    line = SplitLine("scene-0061", 2, "l")
    dataset = build("nuscenes", root, line, frame_ids=(0, -1, 1))
    names = [Path(path).relative_to(root).as_posix() for path in dataset.frame_paths(line)]
    stem = "CAM_FRONT/scene-0061__CAM_FRONT__0"
    assert names == [f"samples/{stem}2.jpg", f"sweeps/{stem}1.jpg", f"sweeps/{stem}3.jpg"]
    np.testing.assert_allclose(dataset[0]["K/0"][0, 0], 40 * 64 / 96)
    # The car drove 1 m from the scan to the image: points are at 9 m, 1 m higher by the lidar's place.
    assert sparse(dataset.ground_truth(line)) == pytest.approx({(27, 47): 9, (22, 38): 9})
    assert dataset.ground_truth(line._replace(frame=1)) is None
    assert not Path(dataset.image_path(line, 3, "l")).exists() and not Path(dataset.image_path(line, 0, "r")).exists()
    assert len(_scene_names(_VALIDATION)) == 150


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ego_pose", None, r"ego_pose\.json not found\. Unpack the metadata"),
        ("sample_data", "[{", r"sample_data\.json cannot be read"),
        ("scene", "{}", r"scene\.json: got dict, expected a list"),
        ("ego_pose", "[]", r"Tables in .* are incomplete: 'pose/scene-0061"),
        ("sensor", '[{"token": "CAM_FRONT"}]', r"are incomplete: 'channel' not found"),
    ],
)
def test_nuscenes_damaged_tables(tmp_path, name, content, message):
    path = trees.nuscenes_tree(tmp_path) / f"v1.0-mini/{name}.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        NuScenesDataset.split_lists(tmp_path)


@pytest.mark.parametrize(("count", "expected"), [(1, []), (2, [1]), (8, [7]), (10, [9]), (25, [9, 19])])
def test_validation_scenes(count, expected):
    assert [number for number in range(count) if is_validated(number, count)] == expected


def test_ddad(tmp_path):
    root = trees.ddad_tree(tmp_path)
    lists = DDADDataset.split_lists(root)
    assert lists["train"] == [SplitLine("000000", frame, "l") for frame in (1, 2)]
    assert lists["test"] == [SplitLine("000150", frame, "l") for frame in range(4)]
    line = lists["train"][0]
    dataset = build("ddad", root, line, frame_ids=(0, -1, 1))
    names = [Path(path).relative_to(root).as_posix() for path in dataset.frame_paths(line)]
    assert names == [f"000000/rgb/CAMERA_01/{frame}.png" for frame in (1, 0, 2)]
    np.testing.assert_allclose(dataset[0]["K/0"][0, 0], 40 * 64 / 96)
    assert sparse(dataset.ground_truth(line)) == pytest.approx({(27, 47): 10, (23, 39): 10})
    assert not Path(dataset.image_path(line, 9, "l")).exists()
    with pytest.raises(DataError, match=r"ddad\.json not found\. Unpack DDAD\.tar"):
        DDADDataset.split_lists(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("ddad.json", b"{}", 'expected scene_splits/"0"/filenames'),
        ("000000/scene_abc.json", b"{", "is damaged"),
        ("000000/scene_abc.json", b'{"data": [], "samples": [{"datum_keys": ["x"]}]}', "sample 0 lacks 'x'"),
        ("000000/calibration/key.json", b'{"names": []}', "expected names and intrinsics"),
        ("000000/point_cloud/LIDAR/1.npz", b"PK", "cannot be read"),
    ],
)
def test_ddad_damaged_files(tmp_path, file, content, message):
    root = trees.ddad_tree(tmp_path)
    (root / file).write_bytes(content)
    line = SplitLine("000000", 1, "l")
    with pytest.raises(DataError, match=message):
        DDADDataset.split_lists(root)
        build("ddad", root, line).ground_truth(line)


@pytest.mark.parametrize(("name", "root"), [("cityscapes", "city"), ("make3d", "make3d")])
def test_kitti_options_are_refused(name, root, request):
    with pytest.raises(DataError, match="--kitti_mean_intrinsics is for KITTI only"):
        build(name, request.getfixturevalue(root), CITY_LINE, mean_intrinsics=True)
