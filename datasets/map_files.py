"""Maps in a folder of their own, one file per frame: depth hints (``--depth_hints``), masks of moving objects.

The folder has the tree of the dataset's images: the map of DATA_PATH/DRIVE/image_02/data/0000000012.jpg is
DIR/DRIVE/image_02/data/0000000012.png, or .npy where its kind allows it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.images import load_image
from datasets.depth_maps import read_depth_map
from datasets.transforms import ExtraMap

SAME_SHAPE = 0.1  # relative difference of aspect ratios; network input sizes differ from the images' by up to 4 %
NO_MAP = np.zeros((1, 1), np.float32)


@dataclass(frozen=True)
class MapKind:
    """What the files of a folder contain.

    Attributes:
        name: Name in messages, "depth hint".
        endings: Endings of the files; the first that exists is read.
        read: Reads a file, float32 (h, w).
        interpolation: As in ``ExtraMap``.
        tool: Command that makes them.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[[str], np.ndarray]
    interpolation: str
    tool: str


@dataclass(frozen=True)
class MapFolder:
    """A folder of maps of one kind. A frame without a file has a map of zeros.

    Attributes:
        folder: Root of the tree.
        kind: What its files contain.
    """

    folder: str
    kind: MapKind

    def paths(self, image_path: str, data_path: str) -> list[str]:
        """Return the paths where the map of an image may be, one for each of the kind's endings."""
        stem = map_path(self.folder, image_path, data_path)
        return [f"{stem}{ending}" for ending in self.kind.endings]

    def load(self, image_path: str, data_path: str, image_size: tuple[int, int]) -> ExtraMap:
        """Load the map of an image.

        Args:
            image_path: Path of the image.
            data_path: Root of the dataset.
            image_size: (height, width) of the image, whose shape the map must have; its size may differ.

        Raises:
            DataError: The file is damaged, or the shape differs.
        """
        path = next((path for path in self.paths(image_path, data_path) if os.path.isfile(path)), None)
        if path is None:
            return ExtraMap(NO_MAP)
        values = self.kind.read(path)
        height, width = values.shape
        ratio = (width / height) / (image_size[1] / image_size[0])
        if abs(ratio - 1) > SAME_SHAPE:
            raise DataError(
                f"The {self.kind.name} {path} has {width}x{height} pixels, but its image {image_path} has "
                f"{image_size[1]}x{image_size[0]}: expected a map of the whole image. Make it again from this image."
            )
        return ExtraMap(values, self.kind.interpolation)


def map_path(folder: str | Path, image_path: str, data_path: str) -> str:
    """Return the path of an image's map, without its ending; images outside ``data_path`` keep their folders."""
    relative = os.path.relpath(os.path.abspath(image_path), os.path.abspath(data_path))
    inside = [part for part in Path(relative).parts if part != os.pardir]
    return os.path.splitext(os.path.join(folder, *inside))[0]


def read_hint(path: str) -> np.ndarray:
    """Read a depth hint: 16-bit PNG, see ``datasets.depth_maps``; metres, 0 where unknown.

    Raises:
        DataError: The file is damaged or not a 16-bit image.
    """
    depth = read_depth_map(path)
    if depth is None:
        raise DataError(f"Depth hint {path} not found.")
    return depth


def read_objects(path: str) -> np.ndarray:
    """Read a mask of moving objects: 1 where the image is not black, so that objects may be numbered, else 0.

    Raises:
        DataError: The file is damaged, or no image.
    """
    objects = np.asarray(load_image(path)) > 0
    return (objects if objects.ndim == 2 else objects.any(axis=2)).astype(np.float32)


def read_relative_disparity(path: str) -> np.ndarray:
    """Read relative inverse depth, .npy or 16-bit PNG, and divide it by its largest magnitude: scale means nothing.

    Raises:
        DataError: The file is damaged, has another shape, or contains values that are not finite.
    """
    if path.endswith(".npy"):
        try:
            values = np.squeeze(np.load(path, allow_pickle=False)).astype(np.float32)
        except (OSError, ValueError, EOFError, TypeError) as error:
            raise DataError(f"Pseudo-label {path} cannot be read ({error}). Save it with numpy.save.") from error
        if values.ndim != 2:
            raise DataError(f"Pseudo-label {path}: got an array of shape {values.shape}, expected (height, width).")
        if not np.isfinite(values).all():
            share = 1 - np.isfinite(values).mean()
            raise DataError(f"Pseudo-label {path}: {share:.1%} of the values are not finite. Make it again.")
    else:
        values = read_hint(path)  # the same format; its unit means nothing here
    return values / max(float(abs(values).max()), np.finfo(np.float32).tiny)


PSEUDO_LABELS = MapKind(
    "pseudo-label", (".npy", ".png"), read_relative_disparity, "linear", "tools/make_pseudo_labels.py"
)
DEPTH_HINTS = MapKind("depth hint", (".png",), read_hint, "nearest", "tools/make_depth_hints.py")
MOVING_OBJECTS = MapKind("mask of moving objects", (".png",), read_objects, "nearest", "any segmentation")
