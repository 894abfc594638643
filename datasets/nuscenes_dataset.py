"""nuScenes (Caesar et al., CVPR 2020): the front camera, with depth from the roof's lidar.

v1.0-trainval/*.json, or v1.0-mini                  tables; read are sensor, calibrated_sensor, ego_pose, sample_data,
                                                    sample and scene
samples/CAM_FRONT/*.jpg, sweeps/CAM_FRONT/*.jpg     frames at 12 Hz: key frames (2 Hz), and those between them
samples/LIDAR_TOP/*.pcd.bin                         scans of key frames: float32 x, y, z, intensity, ring

The folder of a split line is the name of a scene (scene-0061), its frame the number of the front camera's image in the
scene, from 0. Neighbours follow each other in time whether they are key frames or not.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.errors import DataError
from datasets.cameras import checked_intrinsics, checked_size
from datasets.lidar_projection import project_points, rigid_transform
from datasets.public_dataset import PublicDataset, is_validated
from datasets.splits import SplitLine

CAMERA, LIDAR = "CAM_FRONT", "LIDAR_TOP"
VERSIONS = ("v1.0-trainval", "v1.0-mini")
BYTES_PER_POINT = 20
# The official validation scenes (150 of trainval, two of them also of mini), first and last of runs of numbers.
_VALIDATION = (
    "3 12-18 35-36 38-39 92-110 221 268-278 329-332 344-346 519-524 552-565 625-627 629-630 632-638 770-771 775 "
    "777-778 780-784 794-800 802 904-917 919-931 962-963 966-969 971-972 1059-1073"
)
_MINI_VALIDATION = "103 916"


class FrontFrame(NamedTuple):
    """An image of the front camera.

    Attributes:
        image: Path in the tree.
        size: (height, width).
        K: (3, 3) as nested tuples, pixels.
        lidar: Path of the key frame's scan in the tree; None between key frames.
        lidar_to_camera: T_lidar_to_camera (4, 4) from the scan's time to the image's; None between key frames.
    """

    image: str
    size: tuple[int, int]
    K: np.ndarray
    lidar: str | None
    lidar_to_camera: np.ndarray | None


class NuScenesDataset(PublicDataset):
    """The front camera of nuScenes, 1600x900. Each process reads the tables once."""

    EXTENSION = ".jpg"
    GROUND_TRUTH = "lidar"
    PROTOCOL = "nuscenes"
    DOWNLOAD = "Unpack the metadata and the file blobs of nuScenes there (docs/datasets.md)."

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._scenes: dict[str, list[FrontFrame]] = {}

    def frames(self, scene: str) -> list[FrontFrame]:
        """Return the frames of a scene in the order of time; empty if there is no such scene.

        Raises:
            DataError: A table is missing or damaged.
        """
        if not self._scenes:
            self._scenes.update(read_scenes(Path(self.data_path)))
        return self._scenes.get(scene, [])

    def frame(self, line: SplitLine, frame_offset: int = 0) -> FrontFrame | None:
        """Return a frame; None outside the scene."""
        frames, number = self.frames(line.folder), line.frame + frame_offset
        return frames[number] if 0 <= number < len(frames) else None

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Return the path of an image; outside the scene, one that does not exist."""
        frame = self.frame(line, frame_offset)
        name = f"samples/{CAMERA}/{line.folder}_frame_{line.frame + frame_offset}_does_not_exist"
        return os.path.join(self.data_path, frame.image if frame and side == "l" else name)

    def intrinsics(self, line: SplitLine, side: str) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the intrinsics in the table ``calibrated_sensor``.

        Raises:
            DataError: The tables have no such frame.
        """
        frame = self.frame(line)
        if frame is None:
            raise DataError(f"{line}: {self.data_path} has {len(self.frames(line.folder))} frames of this scene.")
        return frame.K, frame.size

    def ground_truth_path(self, line: SplitLine) -> str | None:
        """Return the path of the scan; between key frames, one that does not exist."""
        frame = self.frame(line)
        name = frame.lidar if frame and frame.lidar else f"samples/{LIDAR}/no_scan_of_{line.folder}_frame_{line.frame}"
        return os.path.join(self.data_path, name)

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """Project the key frame's scan into the image, from the time of the scan to that of the image.

        Depth is along the camera's axis, regardless of ``gt_depth``.

        Raises:
            DataError: The scan is damaged.
        """
        frame, path = self.frame(line), self.ground_truth_path(line)
        if frame is None or frame.lidar_to_camera is None or not os.path.isfile(path):
            return None
        content = Path(path).read_bytes()
        if not content or len(content) % BYTES_PER_POINT:
            raise DataError(
                f"Lidar scan {path} is empty or truncated: got {len(content)} bytes, expected a multiple of "
                f"{BYTES_PER_POINT} (float32 x, y, z, intensity, ring). Copy it again."
            )
        points = np.frombuffer(content, "<f4").reshape(-1, 5)[:, :3].astype(np.float64)
        if not np.isfinite(points).all():
            raise DataError(f"Lidar scan {path} has coordinates that are not finite: it is damaged. Copy it again.")
        T = frame.lidar_to_camera
        return project_points(points @ T[:3, :3].T + T[:3, 3], frame.K, frame.size)

    @classmethod
    def split_lists(cls, data_path: Path) -> dict[str, list[SplitLine]]:
        """List the frames with neighbours of the training scenes, and the key frames of the official validation scenes.

        The latter are the test frames. One of ten training scenes validates, with its key frames.

        Raises:
            DataError: A table is missing or damaged.
        """
        scenes = read_scenes(data_path)
        held_out = _scene_names(_MINI_VALIDATION if _tables(data_path).name == VERSIONS[1] else _VALIDATION)
        lists: dict[str, list[SplitLine]] = {"train": [], "val": [], "test": []}
        trained = sorted(scenes.keys() - held_out)
        for number, scene in enumerate(trained):
            part = "val" if is_validated(number, len(trained)) else "train"
            whole = range(1, len(scenes[scene]) - 1)
            lists[part] += [SplitLine(scene, i, "l") for i in whole if part == "train" or scenes[scene][i].lidar]
        for scene in sorted(scenes.keys() & held_out):
            lists["test"] += [SplitLine(scene, i, "l") for i, frame in enumerate(scenes[scene]) if frame.lidar]
        return lists


def read_scenes(data_path: Path) -> dict[str, list[FrontFrame]]:
    """Read the tables: scene name -> frames of the front camera in the order of time.

    Raises:
        DataError: A table is missing, damaged, or lacks a row or field.
    """
    folder = _tables(data_path)
    try:
        return _join(folder)
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(f"Tables in {folder} are incomplete: {error} not found. {NuScenesDataset.DOWNLOAD}") from error


def _join(folder: Path) -> dict[str, list[FrontFrame]]:
    channels = {row["token"]: row["channel"] for row in _table(folder, "sensor")}
    calibrations = {row["token"]: row for row in _table(folder, "calibrated_sensor")}
    channel_of = {token: channels[row["sensor_token"]] for token, row in calibrations.items()}
    records = [
        row for row in _table(folder, "sample_data") if channel_of[row["calibrated_sensor_token"]] in (CAMERA, LIDAR)
    ]
    poses = {row["token"]: row for row in _table(folder, "ego_pose")}
    scenes = {row["token"]: row["name"] for row in _table(folder, "scene")}
    scene_of = {row["token"]: scenes[row["scene_token"]] for row in _table(folder, "sample")}
    scans = {
        row["sample_token"]: row
        for row in records
        if row["is_key_frame"] and channel_of[row["calibrated_sensor_token"]] == LIDAR
    }

    def to_world(row: dict[str, Any]) -> np.ndarray:
        """T_sensor_to_world at the time of the record."""
        sensor, ego = calibrations[row["calibrated_sensor_token"]], poses[row["ego_pose_token"]]
        sensor_to_ego = rigid_transform(sensor["rotation"], sensor["translation"], f"{folder}/calibrated_sensor.json")
        return rigid_transform(ego["rotation"], ego["translation"], f"{folder}/ego_pose.json") @ sensor_to_ego

    found: dict[str, list[FrontFrame]] = {}
    for row in sorted(records, key=lambda row: row["timestamp"]):
        calibration = calibrations[row["calibrated_sensor_token"]]
        if channels[calibration["sensor_token"]] != CAMERA:
            continue
        scan = scans.get(row["sample_token"]) if row["is_key_frame"] else None
        where = f"{folder}/calibrated_sensor.json"
        frame = FrontFrame(
            row["filename"],
            checked_size(row["width"], row["height"], f"{folder}/sample_data.json"),
            checked_intrinsics(np.array(calibration["camera_intrinsic"], np.float64).reshape(3, 3), where),
            scan and scan["filename"],
            np.linalg.inv(to_world(row)) @ to_world(scan) if scan else None,
        )
        found.setdefault(scene_of[row["sample_token"]], []).append(frame)
    return found


def _tables(data_path: Path) -> Path:
    """Return the folder of the tables.

    Raises:
        DataError: There is none.
    """
    for version in VERSIONS:
        if (data_path / version).is_dir():
            return data_path / version
    raise DataError(f"{data_path} has no folder {' or '.join(VERSIONS)}. {NuScenesDataset.DOWNLOAD}")


def _table(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.json"
    try:
        with open(path, "rb") as stream:
            rows = json.load(stream)
    except FileNotFoundError as error:
        raise DataError(f"{path} not found. {NuScenesDataset.DOWNLOAD}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}). Copy it again.") from error
    if not isinstance(rows, list):
        raise DataError(f"{path}: got {type(rows).__name__}, expected a list of rows. Copy it again.")
    return rows


def _scene_names(runs: str) -> frozenset[str]:
    """Expand "3 12-14" to scene-0003, scene-0012, scene-0013 and scene-0014."""
    pairs = ([*map(int, run.split("-"))] for run in runs.split())
    return frozenset(f"scene-{number:04d}" for pair in pairs for number in range(pair[0], pair[-1] + 1))
