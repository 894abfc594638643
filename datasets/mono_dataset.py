"""The sample contract, and the dataset that fulfils it for any collection that can name its images.

A sample is a dict with these keys (a batch: arrays stacked to (B, ...), ``depth_gt`` and ``name`` as lists), where F is
a frame of ``frame_ids`` and S a scale of ``scales``:

| key | value | meaning |
| --- | --- | --- |
| color/F/0 | uint8 (3, H, W) | RGB of frame F at the network's input size |
| color_aug/F/0 | uint8 (3, H, W) | the same after the sample's colour jitter: what the networks see |
| K/S | float32 (4, 4) | intrinsics of this sample in pixels of scale S |
| inv_K/S | float32 (4, 4) | its inverse |
| stereo_T | float32 (4, 4) | T_target_to_source of frame "s", in scene units; only with "s" in frame_ids |
| distortion | float32 (9,) | the lens, as in `layers.camera_models`; only where a camera of the split has one |
| displacement/F | float32 () | metres that the camera moves to frame F, NaN if unknown; only with load_displacement |
| map/NAME | float32 (C, H, W) | an extra map of the target frame, resized and mirrored as the image (`extra_maps`) |
| depth_gt | float32 (h, w), None | metres, 0 where unknown, at its own size; only with load_depth |
| name | str | the split line, for messages |

Frame F is the target (0), its neighbour by F frames (-1, 1, ...), or the target's own frame in the other camera of the
pair ("s"). Scale S is 1 / 2**S of the input size. `datasets.batch.prepare_batch` turns a batch into what models and
losses take.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.errors import DataError, UserError
from datasets.frame_cache import FrameCache
from datasets.splits import SplitLine
from datasets.transforms import (
    ColourJitter,
    ExtraMap,
    fit_map,
    load_frame,
    mirror,
    mirror_distortion,
    mirror_intrinsics,
    scale_intrinsics,
)

LISTS = ("depth_gt", "name")  # stay lists in a batch: ground truths differ in size from frame to frame
OTHER_SIDE = {"l": "r", "r": "l"}
REPLACEABLE = {"lines", "height", "width", "frame_ids", "cache"}


class MonoDataset:
    """Samples of the lines of a split. Subclasses say where images, intrinsics and ground truth lie.

    A dataset is immutable: each attribute is assigned once. `replace` makes one with other lines, size or cache.

    Args:
        data_path: root folder of the collection.
        lines: the frames.
        height, width: the networks' input size.
        frame_ids: 0 first, then neighbours (-1, 1, ...) and "s".
        scales: those that K is wanted for; without any, no calibration is read.
        train: augment: one flip and one colour jitter for all frames of a sample, each with probability 1/2.
        extension: of the image files, ".jpg" or ".png".
        load_displacement: add how far the camera moves to the neighbours.
        load_depth: add the ground truth; not together with train, since a flip would have to mirror it.
        gt_depth: the lidar's "legacy" forward axis or "camera" depth, see `kitti_calibration.lidar_to_depth`.
        mean_intrinsics: the method's fixed intrinsics of this collection instead of the calibration's.
        seed: not negative; with the epoch and the index it decides a sample's augmentation, in any process.
        cache: keeps frames of height and width; None decodes and resizes them each time. The samples are the same.
    """

    BASELINE: float  # length that the pair's distance counts as, in the method's scene units
    STEREO_SCALE_FACTOR: float  # from these units to metres
    MEAN_INTRINSICS: tuple[float, float, float, float]  # fx, fy, cx, cy over width and height
    GROUND_TRUTH: str  # "lidar" or "improved"
    EXTRA_MAPS: Mapping[str, int] = {}  # name -> channels of the maps that `extra_maps` returns

    def __init__(
        self,
        data_path: str,
        lines: Sequence[SplitLine],
        *,
        height: int,
        width: int,
        frame_ids: Sequence[int | str],
        scales: Sequence[int] = (),
        train: bool,
        extension: str = ".jpg",
        load_depth: bool = False,
        load_displacement: bool = False,
        gt_depth: str = "legacy",
        mean_intrinsics: bool = False,
        seed: int = 0,
        cache: FrameCache | None = None,
    ):
        if train and load_depth:
            raise ValueError("load_depth is for validation and evaluation: ground truth is not augmented")
        self.data_path = str(data_path)
        self.lines = tuple(lines)
        self.height, self.width = height, width
        self.frame_ids = tuple(frame_ids)
        self.scales = tuple(scales)
        self.train = train
        self.extension = extension
        self.load_depth = load_depth
        self.load_displacement = load_displacement
        self.gt_depth = gt_depth
        self.mean_intrinsics = mean_intrinsics
        self.seed = seed
        self.cache = cache
        self._check_cache()

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute for the first time.

        Raises:
            AttributeError: it is set already.
        """
        if name in vars(self):
            raise AttributeError(f"{name}: a dataset is immutable; use dataset.replace({name}=...)")
        super().__setattr__(name, value)

    def replace(self, **changes: Any) -> "MonoDataset":
        """Copy the dataset with other ``lines``, ``height``, ``width``, ``frame_ids`` or ``cache``.

        Raises:
            ValueError: the cache is of another size.
        """
        if not changes.keys() <= REPLACEABLE:
            raise TypeError(f"got {', '.join(changes)}; replaceable: {', '.join(sorted(REPLACEABLE))}")
        other = copy.copy(self)
        for name, value in changes.items():
            vars(other)[name] = tuple(value) if name in ("lines", "frame_ids") else value
        other._check_cache()
        return other

    def _check_cache(self) -> None:
        cache = self.cache
        if cache and (cache.height, cache.width) != (self.height, self.width):
            raise ValueError(f"cache of {cache.width}x{cache.height} for frames of {self.width}x{self.height}")

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Path of the image `frame_offset` frames after the line's, of the camera on this side."""
        raise NotImplementedError

    def intrinsics(self, line: SplitLine, side: str) -> tuple[np.ndarray, tuple[int, int] | None]:
        """K (3, 3) in pixels, and the image size (height, width) it holds for; None: the image file's own."""
        raise NotImplementedError

    def distortion(self, line: SplitLine) -> np.ndarray | None:
        """What the line's lens does, (9,) as in `layers.camera_models`; None where no camera of the lines has one."""
        return None

    def baseline(self, line: SplitLine) -> float:
        """How far apart the cameras of the line's pair are, in scene units."""
        return self.BASELINE

    def ground_truth_path(self, line: SplitLine) -> str | None:
        """The file that the line's ground truth is made of, there or not; None where the collection has no depth."""
        raise NotImplementedError

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """Depth of the line's camera, float32 (h, w) in metres, 0 where unknown; None where there is none.

        Reads no image, so that evaluation may ask for `dataset.ground_truth(dataset.lines[index])` alone.
        """
        raise NotImplementedError

    def speed_path(self, line: SplitLine, frame_offset: int) -> str | None:
        """The file that says how fast the car drives then, there or not; None where the collection has none."""
        return None

    def displacement(self, line: SplitLine, frame_offset: int) -> float | None:
        """Metres between where the camera is in the line's frame and in that frame; None where it is not known."""
        return None

    def poses(self, folder: str) -> np.ndarray:
        """The true poses of the left camera in all frames from 0 on: T_world_from_camera, (N, 4, 4), metres.

        Args:
            folder: as in a split line.

        Raises DataError where they are missing or damaged.
        """
        raise NotImplementedError

    def needed_calibration(self, line: SplitLine, with_depth: bool) -> dict[str, dict[str, int]]:
        """What `intrinsics` needs, and `ground_truth` if asked for: path of a file -> entry -> how many numbers."""
        raise NotImplementedError

    def extra_maps(self, line: SplitLine) -> Mapping[str, ExtraMap]:
        """Return the maps named in ``EXTRA_MAPS`` for the line's frame, such as depth hints, masks or flow.

        They may have any size: each is resized to the input size and mirrored with the image. They are read anew for
        every sample, whatever the frame cache.
        """
        return {}

    def frame_paths(self, line: SplitLine) -> list[str]:
        """The paths of the line's images, in the order of frame_ids."""
        return [
            self.image_path(line, 0, OTHER_SIDE[line.side]) if frame == "s" else self.image_path(line, frame, line.side)
            for frame in self.frame_ids
        ]

    @property
    def sample_bytes(self) -> int:
        """What the arrays of a sample take, but for the ground truth."""
        images = 2 * len(self.frame_ids) * 3 * self.height * self.width
        maps = 4 * sum(self.EXTRA_MAPS.values()) * self.height * self.width
        return images + maps + 4 * 16 * (2 * len(self.scales) + 2) + 4 * len(self.frame_ids)

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        """The sample of an index, or of a pair (index, epoch): its augmentation differs from epoch to epoch.

        Raises DataError, naming the split line, where a file of the sample is missing or damaged.
        """
        index, epoch = key if isinstance(key, (tuple, list)) else (key, 0)
        index = range(len(self.lines))[index]
        line = self.lines[index]
        try:
            return self._load_sample(line, np.random.default_rng([self.seed, epoch, index]))
        except UserError as error:
            raise DataError(f"{error}\n(split line '{line}')") from error
        except Exception as error:
            raise RuntimeError(f"split line '{line}': {type(error).__name__}: {error}") from error

    def _load_sample(self, line: SplitLine, rng: np.random.Generator) -> dict:
        flip = self.train and rng.random() < 0.5
        jitter = ColourJitter.sample(rng) if self.train and rng.random() < 0.5 else None
        sample: dict = {"name": str(line)}
        original_sizes = []
        for frame, path in zip(self.frame_ids, self.frame_paths(line), strict=True):
            pixels, original_size = self.cache.load(path) if self.cache else load_frame(path, self.height, self.width)
            original_sizes.append(original_size)
            # Pillow's Lanczos is symmetric: this equals flipping the file's image, and moves fewer pixels.
            pixels = mirror(pixels) if flip else pixels
            sample[f"color/{frame}/0"] = color = np.broadcast_to(pixels, (3, *pixels.shape[1:]))
            sample[f"color_aug/{frame}/0"] = np.broadcast_to(jitter(pixels), color.shape) if jitter else color
        for name, extra_map in self.extra_maps(line).items() if self.EXTRA_MAPS else ():
            sample[f"map/{name}"] = fit_map(extra_map, self.height, self.width, flip)
        if self.scales:
            self._add_intrinsics(sample, line, original_sizes[0], flip)
        if "s" in self.frame_ids:
            sample["stereo_T"] = self._stereo_transform(line, flip)
        if self.load_displacement:
            for frame in self.frame_ids[1:]:
                displacement = None if frame == "s" else self.displacement(line, frame)
                sample[f"displacement/{frame}"] = np.float32(np.nan if displacement is None else displacement)
        if self.load_depth:
            sample["depth_gt"] = self.ground_truth(line)
        return sample

    def _add_intrinsics(self, sample: dict, line: SplitLine, original_size: tuple[int, int], flip: bool) -> None:
        if not self.mean_intrinsics:
            calibrated, size = self.intrinsics(line, line.side)
        for scale in self.scales:
            height, width = self.height >> scale, self.width >> scale
            K = np.eye(4)
            if self.mean_intrinsics:
                # Its centre is one half of the size by definition, so a flip leaves it as it is.
                fx, fy, cx, cy = self.MEAN_INTRINSICS
                K[:2, :3] = [[fx * width, 0, cx * width], [0, fy * height, cy * height]]
            else:
                K[:3, :3] = scale_intrinsics(calibrated, size or original_size, (height, width))
                if flip:
                    K[:3, :3] = mirror_intrinsics(K[:3, :3], width)
            sample[f"K/{scale}"] = K.astype(np.float32)
            sample[f"inv_K/{scale}"] = np.linalg.inv(K).astype(np.float32)
        distortion = self.distortion(line)
        if distortion is not None:
            sample["distortion"] = (mirror_distortion(distortion) if flip else distortion).astype(np.float32)

    def _stereo_transform(self, line: SplitLine, flip: bool) -> np.ndarray:
        """T_target_to_source (4, 4): points lie further left for the right camera; a mirror swaps the two."""
        sign = -1 if (line.side == "l") != flip else 1
        transform = np.eye(4, dtype=np.float32)
        transform[0, 3] = sign * self.baseline(line)
        return transform
