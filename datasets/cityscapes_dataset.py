"""Cityscapes (Cordts et al., CVPR 2016): stereo video of German cities, with disparity by semi-global matching.

leftImg8bit_sequence/PART/CITY/CITY_SEQ_FRAME_leftImg8bit.png     video; rightImg8bit_sequence for stereo pairs
leftImg8bit/PART/CITY/CITY_SEQ_FRAME_leftImg8bit.png              annotated frames alone, read without the sequences
disparity/PART/CITY/CITY_SEQ_FRAME_disparity.png                  or disparity_sequence; 16 bits: (p - 1) / 256 pixels
camera/PART/CITY/CITY_SEQ_FRAME_camera.json                       intrinsics and baseline, of annotated frames

PART is train, val or test; SEQ and FRAME have six digits. The folder of a split line is PART/CITY/CITY_SEQ.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import DataError
from common.images import open_image
from common.text_files import list_folder
from datasets.cameras import checked_intrinsics
from datasets.public_dataset import PublicDataset, numbers_of, read_record
from datasets.splits import SplitLine
from datasets.transforms import Window

SIZE = (1024, 2048)  # height, width that camera files and disparity refer to
SIDES = {"l": "leftImg8bit", "r": "rightImg8bit"}
ENTRIES = {**{f"intrinsic/{name}": 1 for name in ("fx", "fy", "u0", "v0")}, "extrinsic/baseline": 1}
_NAME = re.compile(r"(?P<sequence>.+_\d{6})_(?P<frame>\d{6})_[a-zA-Z0-9]+\.(png|json)")


class StereoCamera(NamedTuple):
    """K (3, 3) in pixels for images of ``SIZE``, and the baseline in metres."""

    K: np.ndarray
    baseline: float


class CityscapesDataset(PublicDataset):
    """Cityscapes without the car's own bonnet, which fills the lowest quarter of every image.

    The ground truth covers the same part: depth = baseline * fx / disparity, as in ManyDepth (Watson et al., CVPR
    2021).
    """

    EXTENSION = ".png"
    GROUND_TRUTH = "stereo"
    PROTOCOL = "cityscapes"
    REGION = Window(0.0, 0.0, 1.0, 0.75)
    DOWNLOAD = (
        "Unpack leftImg8bit_sequence_trainvaltest.zip, camera_trainvaltest.zip and disparity_trainvaltest.zip there."
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._cameras: dict[str, StereoCamera] = {}
        self._camera_files: dict[str, dict[str, dict[int, str]]] = {}
        self._has_video: dict[str, bool] = {}

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Return the path of an image: of the video, or of the annotated frames if the city's video is missing."""
        kind, (city, sequence) = SIDES[side], os.path.split(line.folder)
        video = os.path.join(self.data_path, f"{kind}_sequence", city)
        if video not in self._has_video:
            self._has_video[video] = os.path.isdir(video)
        folder = video if self._has_video[video] else os.path.join(self.data_path, kind, city)
        return os.path.join(folder, f"{sequence}_{line.frame + frame_offset:06d}_{kind}{self.extension}")

    def camera_path(self, line: SplitLine) -> str:
        """Return the path of the camera file of the sequence whose frame is nearest; it may not exist."""
        city, sequence = os.path.split(line.folder)
        folder = os.path.join(self.data_path, "camera", city)
        if folder not in self._camera_files:
            self._camera_files[folder] = _by_sequence(folder)
        frames = self._camera_files[folder].get(sequence, {})
        nearest = min(frames, key=lambda frame: (abs(frame - line.frame), frame), default=line.frame)
        return os.path.join(folder, frames.get(nearest, f"{sequence}_{nearest:06d}_camera.json"))

    def camera(self, line: SplitLine) -> StereoCamera:
        """Return the camera of the line's frame; each process reads a file once.

        Raises:
            DataError: The file is missing or damaged.
        """
        path = self.camera_path(line)
        if path not in self._cameras:
            values = {name: float(value[0]) for name, value in self.read_calibration(path).items()}
            fx, fy, u0, v0, baseline = (values[name] for name in ENTRIES)
            if baseline <= 0:
                raise DataError(
                    f"{path}: extrinsic/baseline: got {baseline:g} m, expected more than 0. {self.DOWNLOAD}"
                )
            K = np.array([[fx, 0, u0], [0, fy, v0], [0, 0, 1]])
            self._cameras[path] = StereoCamera(checked_intrinsics(K, path), baseline)
        return self._cameras[path]

    def intrinsics(self, line: SplitLine, side: str) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the intrinsics of the camera file, which both rectified cameras share."""
        return self.camera(line).K, SIZE

    def baseline(self, line: SplitLine) -> float:
        """Return the baseline in scene units."""
        return self.camera(line).baseline / self.STEREO_SCALE_FACTOR

    def needed_calibration(self, line: SplitLine, with_depth: bool) -> dict[str, dict[str, int]]:
        """List the entries of the camera file."""
        return {self.camera_path(line): dict(ENTRIES)}

    def read_calibration(self, path: str) -> dict[str, np.ndarray]:
        """Read the entries of a camera file."""
        return numbers_of(read_record(path, self.DOWNLOAD), ENTRIES, path, self.DOWNLOAD)

    def ground_truth_path(self, line: SplitLine) -> str:
        """Return the path of the disparity map, of ``disparity`` or else ``disparity_sequence``."""
        city, sequence = os.path.split(line.folder)
        name = os.path.join(city, f"{sequence}_{line.frame:06d}_disparity.png")
        paths = [os.path.join(self.data_path, kind, name) for kind in ("disparity", "disparity_sequence")]
        return next((path for path in paths if os.path.isfile(path)), paths[0])

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """Convert the left camera's disparity to depth, above the bonnet: float32 (768, 2048).

        Raises:
            DataError: The map is damaged, has another size, or its camera file is missing.
        """
        path = self.ground_truth_path(line)
        if line.side != "l" or not os.path.isfile(path):
            return None
        with open_image(path, what="Disparity map") as image:
            if not image.mode.startswith("I") or (image.height, image.width) != SIZE:
                raise DataError(
                    f"Disparity map {path}: got {image.width}x{image.height} of mode {image.mode}, expected "
                    f"{SIZE[1]}x{SIZE[0]}, 16-bit grey. Copy the original again: resized disparity has other units."
                )
            steps = self.REGION.cut(np.asarray(image)).astype(np.uint16).astype(np.float32)
        camera = self.camera(line)
        known = steps > 1  # 0: unknown; 1: infinitely far
        disparity = np.where(known, (steps - 1) / 256, 1)
        return np.where(known, np.float32(camera.baseline * camera.K[0, 0]) / disparity, 0).astype(np.float32)

    @classmethod
    def split_lists(cls, data_path: Path) -> dict[str, list[SplitLine]]:
        """List all frames of the training videos whose second neighbours exist, and the frames with disparity.

        Training samples every second frame, 8.5 per second, as SfMLearner and ManyDepth do: ``--frame_ids 0 -2 2``.
        Validation and test frames are those of the val and test part with a disparity map.

        Raises:
            DataError: There are none of these files.
        """
        lists: dict[str, list[SplitLine]] = {"train": [], "val": [], "test": []}
        for city in sorted((data_path / "leftImg8bit_sequence" / "train").glob("*")):
            for sequence, frames in sorted(_by_sequence(str(city)).items()):
                whole = (frame for frame in sorted(frames) if {frame - 2, frame + 2} <= frames.keys())
                lists["train"] += [SplitLine(f"train/{city.name}/{sequence}", frame, "l") for frame in whole]
        for part in ("val", "test"):
            for city in sorted((data_path / "disparity" / part).glob("*")):
                for sequence, frames in sorted(_by_sequence(str(city)).items()):
                    lists[part] += [SplitLine(f"{part}/{city.name}/{sequence}", frame, "l") for frame in sorted(frames)]
        if not any(lists.values()):
            raise DataError(
                f"{data_path} has neither leftImg8bit_sequence/train/CITY/*_leftImg8bit.png nor "
                f"disparity/test/CITY/*_disparity.png. {cls.DOWNLOAD}"
            )
        return lists


def _by_sequence(folder: str) -> dict[str, dict[int, str]]:
    """List the files of a city: CITY_SEQ -> frame -> name. A missing folder is empty."""
    found: dict[str, dict[int, str]] = {}
    for name in list_folder(folder):
        match = _NAME.fullmatch(name)
        if match:
            found.setdefault(match["sequence"], {})[int(match["frame"])] = name
    return found
