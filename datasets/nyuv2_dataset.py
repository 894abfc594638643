"""NYU Depth v2 (Silberman et al., ECCV 2012): the 654 labelled test frames of indoor scenes; for evaluation only.

rgb/NNNN.png       640x480, as tools/prepare_nyuv2.py extracts it from nyu_depth_v2_labeled.mat
depth/NNNN.png     raw depth of the Kinect in the image: 16 bits, millimetres, 0 where unknown

The folder of a split line is rgb, its frame the number in the .mat file, from 1, its side l.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from scipy.io import loadmat

from common.errors import DataError
from common.images import open_image
from common.text_files import list_folder
from datasets.public_dataset import PublicDataset
from datasets.splits import SplitLine

SIZE = (480, 640)
# Of the colour camera, in the release's toolbox (camera_params.m), for 640x480.
K = np.array([[518.85790117, 0, 325.58244941], [0, 519.46961112, 253.73616633], [0, 0, 1]])
MILLIMETRES = 1000
IMAGES, DEPTHS = "rgb", "depth"


class NYUv2Dataset(PublicDataset):
    """The labelled test frames, scored inside the crop of Eigen et al. (NIPS 2014) up to 10 m."""

    EXTENSION = ".png"
    GROUND_TRUTH = "kinect"
    PROTOCOL = "nyuv2"
    DOWNLOAD = "Run: python tools/prepare_nyuv2.py --mat nyu_depth_v2_labeled.mat --splits splits.mat --out DIR"

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Return the path of an image; the labelled frames are no video, so that a neighbour does not exist."""
        suffix = f"{frame_offset:+d}" if frame_offset else ""
        return os.path.join(self.data_path, line.folder, f"{line.frame:04d}{suffix}{self.extension}")

    def intrinsics(self, line: SplitLine, side: str) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the intrinsics of the Kinect's colour camera."""
        return K, SIZE

    def ground_truth_path(self, line: SplitLine) -> str:
        """Return the path of the depth map."""
        return os.path.join(self.data_path, DEPTHS, f"{line.frame:04d}.png")

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """Read the depth map: float32 (480, 640).

        Raises:
            DataError: It is damaged, or has another size.
        """
        path = self.ground_truth_path(line)
        if not os.path.isfile(path):
            return None
        with open_image(path, what="Depth map") as image:
            if not image.mode.startswith("I") or (image.height, image.width) != SIZE:
                raise DataError(
                    f"Depth map {path}: got {image.width}x{image.height} of mode {image.mode}, expected "
                    f"{SIZE[1]}x{SIZE[0]}, 16-bit grey. {self.DOWNLOAD}"
                )
            return np.asarray(image).astype(np.uint16).astype(np.float32) / MILLIMETRES

    @classmethod
    def split_lists(cls, data_path: Path) -> dict[str, list[SplitLine]]:
        """List all extracted images.

        Raises:
            DataError: There are none.
        """
        names = [
            name[: -len(cls.EXTENSION)] for name in list_folder(data_path / IMAGES) if name.endswith(cls.EXTENSION)
        ]
        frames = sorted(int(name) for name in names if name.isdecimal())
        if not frames:
            raise DataError(f"{data_path / IMAGES} has no images NNNN.png. {cls.DOWNLOAD}")
        return {"test": [SplitLine(IMAGES, frame, "l") for frame in frames]}


class LabelledFrame(NamedTuple):
    """A frame of the .mat file: its number from 1, image uint8 (480, 640, 3), and raw depth (480, 640) in metres."""

    number: int
    image: np.ndarray
    depth: np.ndarray


def read_test_numbers(path: Path) -> list[int]:
    """Read the numbers (from 1) of the test frames, ``testNdxs`` of splits.mat.

    Raises:
        DataError: The file is missing, damaged or another one.
    """
    try:
        numbers = loadmat(path, variable_names=["testNdxs"])["testNdxs"].reshape(-1)
    except Exception as error:  # SciPy's reader raises many kinds for damaged content
        raise DataError(
            f"{path} cannot be read as the split of NYU Depth v2 ({error}): expected testNdxs. Download splits.mat "
            "again."
        ) from error
    return sorted(int(number) for number in numbers)


def read_labelled_frames(path: Path, numbers: list[int]) -> Iterator[LabelledFrame]:
    """Read frames of nyu_depth_v2_labeled.mat, which is an HDF5 file with transposed arrays.

    Raises:
        DataError: The file is missing, damaged or another one, or has fewer frames.
    """
    try:
        with h5py.File(path, "r") as file:
            images, depths = file["images"], file["rawDepths"]  # (N, 3, 640, 480), (N, 640, 480)
            count, width, height = depths.shape
            if images.shape != (count, 3, width, height) or (height, width) != SIZE or max(numbers) > count:
                raise DataError(
                    f"{path}: got images of shape {images.shape} and rawDepths of shape {depths.shape}, expected "
                    f"(N, 3, 640, 480) and (N, 640, 480) with N at least {max(numbers)}. Download it again."
                )
            for number in numbers:
                yield LabelledFrame(number, images[number - 1].transpose(2, 1, 0), depths[number - 1].T)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): expected the HDF5 file nyu_depth_v2_labeled.mat with images and "
            "rawDepths. Download it again."
        ) from error
