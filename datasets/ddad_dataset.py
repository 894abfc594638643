"""DDAD (Guizilini et al., CVPR 2020): the front camera CAMERA_01, with depth from the aggregated Luminar lidar.

ddad.json                                       scenes of "train" (split 0) and "val" (split 1)
SCENE/scene_HASH.json                           samples at 10 Hz, files and poses of their sensors
SCENE/calibration/KEY.json                      intrinsics of a sample
SCENE/rgb/CAMERA_01/TIME.png                    1936x1216
SCENE/point_cloud/LIDAR/TIME.npz                array "data" (N, 3 or more): x, y, z in the lidar's frame, metres

The folder of a split line is SCENE (000000), its frame the number of the sample in the scene, from 0. The layout is
that of TRI's DGP, whose JSON files are protocol buffers: fields that are zero may be left out.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.errors import DataError
from datasets.cameras import checked_intrinsics, checked_size
from datasets.lidar_projection import project_points, rigid_transform
from datasets.public_dataset import PublicDataset, is_validated, read_record
from datasets.splits import SplitLine

INDEX, CAMERA, LIDAR = "ddad.json", "camera_01", "lidar"
PARTS = {"train": "0", "test": "1"}  # of the index; the validation scenes are what papers test on


class FrontSample(NamedTuple):
    """One sample of a scene: paths in the tree, (height, width), and T_lidar_to_camera (4, 4)."""

    image: str
    size: tuple[int, int]
    calibration: str
    lidar: str
    lidar_to_camera: np.ndarray


class DDADDataset(PublicDataset):
    """The front camera of DDAD. Each process reads the file of a scene once."""

    EXTENSION = ".png"
    GROUND_TRUTH = "lidar"
    PROTOCOL = "ddad"
    DOWNLOAD = "Unpack DDAD.tar again, and pass the folder with ddad.json as --data_path."

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._scenes: dict[str, list[FrontSample]] = {}
        self._intrinsics: dict[str, np.ndarray] = {}

    def samples(self, scene: str) -> list[FrontSample]:
        """Return the samples of a scene; empty if there is no such scene.

        Raises:
            DataError: Its file is damaged.
        """
        if scene not in self._scenes:
            found = next(iter(sorted(Path(self.data_path, scene).glob("scene_*.json"))), None)
            self._scenes[scene] = read_scene(found, scene) if found else []
        return self._scenes[scene]

    def sample(self, line: SplitLine, frame_offset: int = 0) -> FrontSample | None:
        """Return a sample; None outside the scene."""
        samples, number = self.samples(line.folder), line.frame + frame_offset
        return samples[number] if 0 <= number < len(samples) else None

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Return the path of an image; outside the scene, one that does not exist."""
        sample = self.sample(line, frame_offset)
        name = f"{line.folder}/rgb/CAMERA_01/no_sample_{line.frame + frame_offset}{self.extension}"
        return os.path.join(self.data_path, sample.image if sample and side == "l" else name)

    def intrinsics(self, line: SplitLine, side: str) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the intrinsics of the sample's calibration file.

        Raises:
            DataError: There is no such sample, or the file is missing or damaged.
        """
        sample = self.sample(line)
        if sample is None:
            raise DataError(f"{line}: {self.data_path} has {len(self.samples(line.folder))} samples of this scene.")
        path = os.path.join(self.data_path, sample.calibration)
        if path not in self._intrinsics:
            fx, fy, cx, cy = self.read_calibration(path)["intrinsics"]
            self._intrinsics[path] = checked_intrinsics(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), path)
        return self._intrinsics[path], sample.size

    def needed_calibration(self, line: SplitLine, with_depth: bool) -> dict[str, dict[str, int]]:
        """List the front camera's intrinsics."""
        sample = self.sample(line)
        return {os.path.join(self.data_path, sample.calibration): {"intrinsics": 4}} if sample else {}

    def read_calibration(self, path: str) -> dict[str, np.ndarray]:
        """Read fx, fy, cx and cy of the front camera as "intrinsics"."""
        record = read_record(path, self.DOWNLOAD)
        try:
            place = [name.lower() for name in record["names"]].index(CAMERA)
            values = np.array([float(record["intrinsics"][place][key]) for key in ("fx", "fy", "cx", "cy")])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise DataError(
                f"{path}: expected names and intrinsics (fx, fy, cx, cy) of CAMERA_01. {self.DOWNLOAD}"
            ) from (error)
        return {"intrinsics": values}

    def ground_truth_path(self, line: SplitLine) -> str:
        """Return the path of the point cloud; outside the scene, one that does not exist."""
        sample = self.sample(line)
        name = sample.lidar if sample else f"{line.folder}/point_cloud/LIDAR/no_sample_{line.frame}.npz"
        return os.path.join(self.data_path, name)

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """Project the point cloud into the image; depth along the camera's axis, regardless of ``gt_depth``.

        Raises:
            DataError: The point cloud or the calibration is damaged.
        """
        path, sample = self.ground_truth_path(line), self.sample(line)
        if sample is None or not os.path.isfile(path):
            return None
        points, T = _read_points(path), sample.lidar_to_camera
        return project_points(points @ T[:3, :3].T + T[:3, 3], self.intrinsics(line, "l")[0], sample.size)

    @classmethod
    def split_lists(cls, data_path: Path) -> dict[str, list[SplitLine]]:
        """List the samples with neighbours of the training scenes, and all samples of the validation scenes as test.

        One of ten training scenes is for validation.

        Raises:
            DataError: The index or a scene is missing or damaged.
        """
        path = data_path / INDEX
        record = read_record(path, cls.DOWNLOAD)
        lists: dict[str, list[SplitLine]] = {"train": [], "val": [], "test": []}
        for part, key in PARTS.items():
            try:
                names = list(record["scene_splits"][key]["filenames"])
            except (KeyError, TypeError) as error:
                raise DataError(f'{path}: expected scene_splits/"{key}"/filenames. {cls.DOWNLOAD}') from error
            for number, name in enumerate(names):
                scene = os.path.dirname(name)
                count = len(read_scene(data_path / name, scene))
                is_val = part == "train" and is_validated(number, len(names))
                frames = range(count) if part == "test" else range(1, count - 1)
                lists["val" if is_val else part] += [SplitLine(scene, frame, "l") for frame in frames]
        return lists


def read_scene(path: Path, scene: str) -> list[FrontSample]:
    """Read the samples of a scene.

    Args:
        path: SCENE/scene_HASH.json.
        scene: Folder of the scene in the tree.

    Raises:
        DataError: The file is missing or damaged, or a sample lacks the front camera or the lidar.
    """
    record = read_record(path, DDADDataset.DOWNLOAD)
    samples = []
    try:
        data = {row["key"]: row for row in record["data"]}
        for sample in record["samples"]:
            sensors = {data[key]["id"]["name"].lower(): data[key]["datum"] for key in sample["datum_keys"]}
            image, cloud = sensors[CAMERA]["image"], sensors[LIDAR]["point_cloud"]
            samples.append(
                FrontSample(
                    f"{scene}/{image['filename']}",
                    checked_size(image["width"], image["height"], str(path)),
                    f"{scene}/calibration/{sample['calibration_key']}.json",
                    f"{scene}/{cloud['filename']}",
                    np.linalg.inv(_pose(image, path)) @ _pose(cloud, path),
                )
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: sample {len(samples)} lacks {error}, expected CAMERA_01 and LIDAR with file, size and pose. "
            f"{DDADDataset.DOWNLOAD}"
        ) from error
    return samples


def _pose(datum: dict[str, Any], path: Path) -> np.ndarray:
    """Return T_sensor_to_world (4, 4); a protocol buffer may omit zeros."""
    rotation, translation = datum["pose"].get("rotation", {}), datum["pose"].get("translation", {})
    quaternion = [rotation.get(key, 0) for key in ("qw", "qx", "qy", "qz")]
    return rigid_transform(quaternion, [translation.get(key, 0) for key in "xyz"], str(path))


def _read_points(path: str) -> np.ndarray:
    """Read x, y, z of a point cloud, float64 (N, 3)."""
    try:
        with np.load(path) as archive:
            points = archive["data"]
    except Exception as error:  # NumPy's reader raises many kinds for damaged content
        raise DataError(f"Point cloud {path} cannot be read ({error}). {DDADDataset.DOWNLOAD}") from error
    if points.ndim != 2 or points.shape[1] < 3 or not np.issubdtype(points.dtype, np.floating):
        raise DataError(f"Point cloud {path}: got {points.dtype} of shape {points.shape}, expected (N, 3 or more).")
    points = points[:, :3].astype(np.float64)
    return points[np.isfinite(points).all(axis=1)]
