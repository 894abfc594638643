"""Tiny trees in the exact layout of other datasets' releases."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

CITY_CAMERA = {
    "extrinsic": {"baseline": 0.2, "pitch": 0.03, "roll": 0.0, "yaw": 0.0, "x": 1.7, "y": 0.1, "z": 1.2},
    "intrinsic": {"fx": 2000.0, "fy": 2100.0, "u0": 1000.0, "v0": 500.0},
}
MAKE3D_NAMES = ("10.21op2-p-015t000", "combined1-p-139t0", "math7-p-282t0")


def write_image(path: Path, seed: int, size: tuple[int, int]) -> None:
    """Write an image (height, width) of smooth noise, whose lowest quarter is black like a bonnet."""
    small = np.random.default_rng(seed).integers(40, 256, (8, 16, 3), dtype=np.uint8)
    pixels = np.array(Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC))
    pixels[size[0] * 3 // 4 :] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def cityscapes_tree(root: Path, frames: int = 6, size: tuple[int, int] = (64, 128)) -> Path:
    """One training sequence with stereo, and one annotated frame each for validation and test.

    Disparity is 40 pixels (10 m) everywhere, unknown in the first row and infinitely far in the second.
    """
    steps = np.full((1024, 2048), 40 * 256 + 1, np.uint16)
    steps[0], steps[1] = 0, 1
    for part, city, numbers in (
        ("train", "aachen", range(frames)),
        ("val", "munster", range(17, 22)),
        ("test", "bonn", (19,)),
    ):
        for frame in numbers:
            for kind in ("leftImg8bit", "rightImg8bit"):
                folder = kind if part == "test" else f"{kind}_sequence"
                name = f"{folder}/{part}/{city}/{city}_000003_{frame:06d}_{kind}.png"
                write_image(root / name, frame, size)
        annotated = 3 if part == "train" else 19
        stem = f"{part}/{city}/{city}_000003_{annotated:06d}"
        for path in (root / f"camera/{stem}_camera.json", root / f"disparity/{stem}_disparity.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
        (root / f"camera/{stem}_camera.json").write_text(json.dumps(CITY_CAMERA))
        Image.fromarray(steps).save(root / f"disparity/{stem}_disparity.png", compress_level=1)
    return root


def make3d_tree(root: Path) -> Path:
    """Three portrait photos; the laser's distance is its row number plus one, and 0 in the first column."""
    grid = np.zeros((55, 305, 4))
    grid[:, 1:, 3] = np.arange(1, 56)[:, None]
    (root / "Gridlaserdata").mkdir(parents=True)
    for seed, name in enumerate(MAKE3D_NAMES):
        write_image(root / f"Test134/img-{name}.jpg", seed, (128, 96))
        savemat(root / f"Gridlaserdata/depth_sph_corr-{name}.mat", {"Position3DGrid": grid})
    return root


def nyuv2_files(root: Path) -> tuple[Path, Path]:
    """nyu_depth_v2_labeled.mat with three frames, and splits.mat whose test frames are 1 and 3.

    Depth is 2 m, but unknown in the first row of every image; frame n has grey level 10 n, and 200 in its first column.
    """
    root.mkdir(parents=True, exist_ok=True)
    images = np.broadcast_to(np.uint8([10, 20, 30])[:, None, None, None], (3, 3, 640, 480)).copy()
    images[:, :, 0] = 200
    depths = np.full((3, 640, 480), 2, np.float32)
    depths[:, :, 0] = 0
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file.create_dataset("images", data=images, compression="gzip", compression_opts=1)
        file.create_dataset("rawDepths", data=depths, compression="gzip", compression_opts=1)
    savemat(root / "splits.mat", {"testNdxs": np.uint16([[3], [1]]), "trainNdxs": np.uint16([[2]])})
    return root / "nyu_depth_v2_labeled.mat", root / "splits.mat"


def nyuv2_tree(root: Path) -> Path:
    """The extracted test frames of ``nyuv2_files``, with depth as of them."""
    depth = np.full((480, 640), 2000, np.uint16)
    depth[0] = 0
    (root / "depth").mkdir(parents=True)
    for number in (1, 3):
        write_image(root / f"rgb/{number:04d}.png", number, (480, 640))
        Image.fromarray(depth).save(root / f"depth/{number:04d}.png", compress_level=1)
    return root


# Points of a lidar that looks forward along its x axis, y left, z up: 10 m ahead; 10 m ahead, 2 left and 1 up; behind.
LIDAR_POINTS = np.array([[10, 0, 0], [10, 2, 1], [-5, 0, 0]], np.float32)
FORWARD_TO_CAMERA = (0.5, -0.5, 0.5, -0.5)  # w, x, y, z: the camera's orientation in a frame with x forward and z up
IDENTITY = (1.0, 0.0, 0.0, 0.0)
CAMERA_K = [[40.0, 0.0, 47.0], [0.0, 40.0, 31.0], [0.0, 0.0, 1.0]]


def nuscenes_tree(root: Path) -> Path:
    """v1.0-mini with a training and a validation scene of five front images, of which 0, 2 and 4 are key frames.

    The lidar is 1 m above the camera. The car drives 2 m per frame, and scans half a frame before each image.
    """
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in ("scene", "sample", "sample_data", "ego_pose")}
    tables["sensor"] = [{"token": name, "channel": name} for name in ("CAM_FRONT", "LIDAR_TOP", "CAM_BACK")]
    tables["calibrated_sensor"] = [
        _sensor("CAM_FRONT", FORWARD_TO_CAMERA, [1.0, 0.0, 1.0], CAMERA_K),
        _sensor("LIDAR_TOP", IDENTITY, [1.0, 0.0, 2.0], []),
        _sensor("CAM_BACK", IDENTITY, [0.0, 0.0, 1.0], CAMERA_K),
    ]
    for scene in ("scene-0061", "scene-0103"):
        tables["scene"].append({"token": f"{scene}/token", "name": scene})
        for frame in range(5):
            sample = f"{scene}/{frame + frame % 2}"  # sweeps belong to the next key frame
            if frame % 2 == 0:
                tables["sample"].append({"token": sample, "scene_token": f"{scene}/token"})
            for channel in ("LIDAR_TOP", "CAM_FRONT", "CAM_BACK"):
                _add_record(root, tables, scene, frame, channel, sample)
    (root / "v1.0-mini").mkdir()
    for name, rows in tables.items():
        (root / f"v1.0-mini/{name}.json").write_text(json.dumps(rows))
    return root


def _sensor(channel: str, rotation: tuple[float, ...], translation: list[float], K: list) -> dict[str, Any]:
    return {
        **{"token": f"calibrated/{channel}", "sensor_token": channel, "rotation": rotation},
        **{"translation": translation, "camera_intrinsic": K},
    }


def _add_record(root: Path, tables: dict, scene: str, frame: int, channel: str, sample: str) -> None:
    """Add a row of sample_data, its pose, and its file, except for the rear camera."""
    is_key, late = frame % 2 == 0, 0.0 if channel == "LIDAR_TOP" else 0.5
    kind, extension = "samples" if is_key else "sweeps", "pcd.bin" if channel == "LIDAR_TOP" else "jpg"
    token, name = f"{scene}/{channel}/{frame}", f"{kind}/{channel}/{scene}__{channel}__{frame:02d}.{extension}"
    # The car drives to the left of the map, turned by 90 degrees.
    pose = {"rotation": [0.5**0.5, 0.0, 0.0, 0.5**0.5], "translation": [0.0, 2 * (frame + late), 0.0]}
    tables["ego_pose"].append({"token": f"pose/{token}", **pose})
    tables["sample_data"].append(
        {
            **{"token": token, "sample_token": sample, "ego_pose_token": f"pose/{token}", "filename": name},
            **{"calibrated_sensor_token": f"calibrated/{channel}", "is_key_frame": is_key},
            **{"timestamp": int(1e6 * (frame + late)), "width": 96, "height": 64},
        }
    )
    if channel == "CAM_FRONT":
        write_image(root / name, frame, (64, 96))
    elif channel == "LIDAR_TOP" and is_key:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        np.c_[LIDAR_POINTS, np.zeros((3, 2), np.float32)].astype("<f4").tofile(root / name)


def ddad_tree(root: Path) -> Path:
    """A training and a validation scene of four samples; the lidar is 1 m above the camera, and zeros are left out."""
    root.mkdir(parents=True, exist_ok=True)
    splits: dict[str, dict[str, list[str]]] = {"0": {"filenames": []}, "1": {"filenames": []}}
    for split, scene in (("0", "000000"), ("1", "000150")):
        splits[split]["filenames"].append(f"{scene}/scene_abc.json")
        data, samples = [], []
        for frame in range(4):
            image, cloud = f"rgb/CAMERA_01/{frame}.png", f"point_cloud/LIDAR/{frame}.npz"
            write_image(root / scene / image, frame, (64, 96))
            (root / scene / cloud).parent.mkdir(parents=True, exist_ok=True)
            np.savez(root / scene / cloud, data=np.c_[LIDAR_POINTS, np.zeros((3, 1), np.float32)])
            orientation = dict(zip(("qw", "qx", "qy", "qz"), FORWARD_TO_CAMERA, strict=True))
            front = {"filename": image, "width": 96, "height": 64}
            front["pose"] = {"rotation": orientation, "translation": {"x": 5.0, "z": 1.0}}
            above = {"filename": cloud, "pose": {"rotation": {"qw": 1.0}, "translation": {"x": 5.0, "z": 2.0}}}
            data.append({"key": f"c{frame}", "id": {"name": "CAMERA_01"}, "datum": {"image": front}})
            data.append({"key": f"l{frame}", "id": {"name": "LIDAR"}, "datum": {"point_cloud": above}})
            samples.append({"datum_keys": [f"l{frame}", f"c{frame}"], "calibration_key": "key"})
        (root / scene / "scene_abc.json").write_text(json.dumps({"data": data, "samples": samples}))
        calibration = {
            "names": ["LIDAR", "CAMERA_01"],
            "intrinsics": [{}, {"fx": 40.0, "fy": 40.0, "cx": 47.0, "cy": 31.0}],
            "extrinsics": [{}, {}],
        }
        (root / scene / "calibration").mkdir()
        (root / scene / "calibration/key.json").write_text(json.dumps(calibration))
    (root / "ddad.json").write_text(json.dumps({"scene_splits": splits}))
    return root
