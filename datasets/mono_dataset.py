"""The keys of a sample, and the base class of all datasets.

A sample is a dict with these keys, where F is a frame of ``frame_ids`` and S a scale of ``scales``. In a batch, arrays
are stacked to (B, ...); ``depth_gt`` and ``name`` are lists.

| key | value | meaning |
| --- | --- | --- |
| color/F/0 | uint8 (3, H, W) | RGB of frame F at the network's input size |
| color_aug/F/0 | uint8 (3, H, W) | the same after the sample's colour jitter and corruption: the networks' input |
| K/S | float32 (4, 4) | intrinsics of this sample in pixels of scale S |
| inv_K/S | float32 (4, 4) | inverse of K/S |
| stereo_T | float32 (4, 4) | T_target_to_source of frame "s", in scene units; only with "s" in frame_ids |
| distortion | float32 (9,) | as in ``layers.camera_models``; only if a camera of the dataset has distortion |
| displacement/F | float32 () | metres the camera moves to frame F, NaN if unknown; only with load_displacement |
| map/NAME | float32 (C, H, W) | map of the target frame, resized, cropped and mirrored with the image (``maps``) |
| map/depth | float32 (1, H, W) | the ground truth as such a map, metres, 0 where unknown; only with supervise_depth |
| epoch | float32 () | epoch of the sample, counted from 0; only with load_epoch in training |
| depth_gt | float32 (h, w), None | metres, 0 where unknown, at its original size; only with load_depth |
| name | str | split line, for messages |

Frame 0 is the target. Frames -1, 1, ... are its temporal neighbours. Frame "s" is the same frame in the other camera of
the stereo pair. Scale S has 1 / 2**S of the input size. ``datasets.batch.prepare_batch`` converts a batch to the inputs
of models and losses.
"""

import bisect
import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.errors import DataError, UserError
from datasets.corruptions import RandomCorruption
from datasets.dataset_layout import DatasetLayout
from datasets.frame_cache import FrameCache
from datasets.map_files import MapFolder
from datasets.splits import SplitLine
from datasets.transforms import (
    ColourJitter,
    ExtraMap,
    Window,
    crop_intrinsics,
    fit_map,
    load_frame,
    mirror,
    mirror_distortion,
    mirror_intrinsics,
    scale_intrinsics,
)

LISTS = ("depth_gt", "name")  # remain lists in a batch: the size of the ground truth differs between frames
OTHER_SIDE = {"l": "r", "r": "l"}
REPLACEABLE = {"lines", "height", "width", "frame_ids", "cache", "sequence"}


class MonoDataset(DatasetLayout):
    """Dataset of the frames of a split. Subclasses locate images, intrinsics and ground truth: ``DatasetLayout``.

    A dataset is immutable: each attribute is assigned once. ``replace`` returns a copy with other lines, size or cache.

    Args:
        data_path: Root folder of the dataset.
        lines: Split lines.
        height: Height of the network input.
        width: Width of the network input.
        frame_ids: 0 first, then temporal neighbours (-1, 1, ...) and "s".
        scales: Scales of the intrinsics; if empty, no calibration is read.
        train: Augment: flip and colour jitter, each with probability 1/2 and equal for all frames of a sample.
        extension: Extension of the image files, ".jpg" or ".png".
        load_depth: Load the ground truth. Not allowed with ``train``, because ground truth is not mirrored.
        load_displacement: Load the displacement of the camera to the neighbouring frames.
        supervise_depth: Load the ground truth as "map/depth", resized and mirrored with the image.
        gt_depth: "legacy" (the lidar's forward axis) or "camera", see ``kitti_calibration.lidar_to_depth``.
        mean_intrinsics: Use the method's fixed intrinsics instead of the calibration.
        seed: Not negative. Seed, epoch and index determine the augmentation of a sample, in any process.
        cache: Cache of frames with this height and width; None decodes and resizes them every time. It does not change
            the samples.
        map_folders: Name -> folder of maps, for "map/NAME" of every sample.
        crop_scale: With ``train``, smallest share of the image's area that a random crop shows, see ``Window.sample``;
            1 with a ``crop_aspect`` of 1 shows whole images. All frames and maps of a sample have the same crop.
        crop_aspect: With ``train``, largest factor between the aspect ratios of crop and image.
        load_epoch: With ``train``, add the epoch to the sample.
        corrupt_training: With ``train``, probability that "color_aug" is corrupted (``RandomCorruption``).

    Raises:
        ValueError: ``load_depth`` with ``train``, or crops with a cache, whose frames are whole and already reduced.
    """

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
        supervise_depth: bool = False,
        gt_depth: str = "legacy",
        mean_intrinsics: bool = False,
        seed: int = 0,
        cache: FrameCache | None = None,
        map_folders: Mapping[str, MapFolder] | None = None,
        crop_scale: float = 1.0,
        crop_aspect: float = 1.0,
        load_epoch: bool = False,
        corrupt_training: float = 0.0,
    ):
        if train and load_depth:
            raise ValueError("load_depth is for validation and evaluation: ground truth is not augmented")
        self.data_path = str(data_path)
        self.lines = tuple(lines)
        self.height, self.width = height, width
        self.frame_ids = tuple(frame_ids)
        self.scales = tuple(scales)
        self.train = train
        self.extension = self.EXTENSION or extension
        self.load_depth = load_depth
        self.load_displacement = load_displacement
        self.supervise_depth = supervise_depth
        self.gt_depth = gt_depth
        self.mean_intrinsics = mean_intrinsics
        self.seed = seed
        self.cache = cache
        self.map_folders = dict(map_folders or {})
        self.crop_scale, self.crop_aspect = crop_scale, crop_aspect
        self.load_epoch = load_epoch and train
        self.corrupt_training = corrupt_training
        self.sequence: tuple[int, ...] = ()
        self._check_cache()

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute for the first time.

        Raises:
            AttributeError: The attribute is already set.
        """
        if name in vars(self):
            raise AttributeError(f"{name}: a dataset is immutable; use dataset.replace({name}=...)")
        super().__setattr__(name, value)

    def replace(self, **changes: Any) -> "MonoDataset":
        """Copy the dataset with other ``lines``, ``height``, ``width``, ``frame_ids``, ``cache`` or ``sequence``.

        Raises:
            TypeError: Another attribute is given.
            ValueError: The size of the cache differs from the size of the frames.
        """
        if not changes.keys() <= REPLACEABLE:
            raise TypeError(f"got {', '.join(changes)}; replaceable: {', '.join(sorted(REPLACEABLE))}")
        other = copy.copy(self)
        for name, value in changes.items():
            vars(other)[name] = tuple(value) if name in ("lines", "frame_ids", "sequence") else value
        other._check_cache()
        return other

    def _check_cache(self) -> None:
        cache = self.cache
        if cache and (cache.height, cache.width) != (self.height, self.width):
            raise ValueError(f"cache of {cache.width}x{cache.height} for frames of {self.width}x{self.height}")
        if cache and cache.window != self.REGION:
            raise ValueError(f"cache of {cache.window or 'whole images'} for frames of {self.REGION or 'whole images'}")
        if cache and self.crops:
            raise ValueError("crops are cut from the images at their own size, which a cache does not have")

    @property
    def crops(self) -> bool:
        """Whether samples show random crops."""
        return self.train and (self.crop_scale, self.crop_aspect) != (1, 1)

    def maps(self, line: SplitLine, image_size: tuple[int, int]) -> dict[str, ExtraMap]:
        """Load all maps of the line's frame, by name: ``extra_maps``, those of ``map_folders``, and "depth".

        Args:
            line: The split line.
            image_size: (height, width) of the frame's image file.

        Raises:
            DataError: A map is damaged, or does not fit the image.
        """
        found = dict(self.extra_maps(line)) if self.EXTRA_MAPS else {}
        for name, folder in self.map_folders.items():
            found[name] = folder.load(self.image_path(line, 0, line.side), self.data_path, image_size)
        if self.supervise_depth:
            depth = self.ground_truth(line)
            found["depth"] = ExtraMap(np.zeros(image_size, np.float32) if depth is None else depth)
        return found

    def frame_paths(self, line: SplitLine) -> list[str]:
        """Return the paths of the line's images, in the order of ``frame_ids``.

        With ``sequence``, the ascending frame numbers of the only folder, neighbours are counted in it: a gap in the
        numbers is skipped.
        """
        paths = []
        for frame in self.frame_ids:
            if frame == "s":
                paths.append(self.image_path(line, 0, OTHER_SIDE[line.side]))
                continue
            if self.sequence:
                place = bisect.bisect_left(self.sequence, line.frame)
                frame = self.sequence[place + frame] - line.frame
            paths.append(self.image_path(line, frame, line.side))
        return paths

    @property
    def sample_bytes(self) -> int:
        """Size of a sample's arrays in bytes, without the ground truth."""
        images = 2 * len(self.frame_ids) * 3 * self.height * self.width
        channels = sum(self.EXTRA_MAPS.values()) + len(self.map_folders) + self.supervise_depth
        maps = 4 * channels * self.height * self.width
        return images + maps + 4 * 16 * (2 * len(self.scales) + 2) + 4 * len(self.frame_ids) + 4

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        """Load a sample by index, or by (index, epoch), which gives each epoch a different augmentation.

        Raises:
            DataError: A file of the sample is missing or damaged; the message names the split line.
            RuntimeError: Any other exception; the message names the split line.
        """
        index, epoch = key if isinstance(key, (tuple, list)) else (key, 0)
        index = range(len(self.lines))[index]
        line = self.lines[index]
        try:
            sample = self._load_sample(line, np.random.default_rng([self.seed, epoch, index]))
            return {**sample, "epoch": np.float32(epoch)} if self.load_epoch else sample
        except UserError as error:
            raise DataError(f"{error}\n(split line '{line}')") from error
        except Exception as error:
            raise RuntimeError(f"split line '{line}': {type(error).__name__}: {error}") from error

    def _load_sample(self, line: SplitLine, rng: np.random.Generator) -> dict:
        flip = self.train and rng.random() < 0.5
        jitter = ColourJitter.sample(rng) if self.train and rng.random() < 0.5 else None
        # Drawn last, so that the other draws do not depend on them.
        crop = Window.sample(rng, self.crop_scale, self.crop_aspect) if self.crops else None
        window = crop.inside(self.REGION) if crop else self.REGION
        corrupts = self.train and self.corrupt_training > 0
        corruption = RandomCorruption.sample(rng, self.corrupt_training) if corrupts else None
        sample: dict = {"name": str(line)}
        original_sizes = []
        for place, (frame, path) in enumerate(zip(self.frame_ids, self.frame_paths(line), strict=True)):
            if self.cache:
                pixels, original_size = self.cache.load(path)
            else:
                pixels, original_size = load_frame(path, self.height, self.width, window)
            original_sizes.append(original_size)
            # Pillow's Lanczos filter is symmetric: mirroring after resizing gives the same result, and is cheaper.
            pixels = mirror(pixels) if flip else pixels
            sample[f"color/{frame}/0"] = color = np.broadcast_to(pixels, (3, *pixels.shape[1:]))
            augmented = jitter(pixels) if jitter else pixels
            augmented = corruption(augmented, place) if corruption else augmented
            sample[f"color_aug/{frame}/0"] = np.broadcast_to(augmented, color.shape)
        for name, extra_map in self.maps(line, original_sizes[0]).items():
            # Ground truth covers the region alone.
            sample[f"map/{name}"] = fit_map(
                extra_map, self.height, self.width, flip, crop if name == "depth" else window
            )
        if self.scales:
            seen = window.mirrored() if window and flip else window
            self._add_intrinsics(sample, line, original_sizes[0], flip, seen)
        if "s" in self.frame_ids:
            sample["stereo_T"] = self._stereo_transform(line, flip)
        if self.load_displacement:
            for frame in self.frame_ids[1:]:
                displacement = None if frame == "s" else self.displacement(line, frame)
                sample[f"displacement/{frame}"] = np.float32(np.nan if displacement is None else displacement)
        if self.load_depth:
            sample["depth_gt"] = self.ground_truth(line)
        return sample

    def _add_intrinsics(
        self, sample: dict, line: SplitLine, original_size: tuple[int, int], flip: bool, window: Window | None
    ) -> None:
        """Add the intrinsics of every scale; ``window`` is a part of the image after mirroring."""
        if not self.mean_intrinsics:
            calibrated, size = self.intrinsics(line, line.side)
        for scale in self.scales:
            height, width = self.height >> scale, self.width >> scale
            K = np.eye(4)
            if self.mean_intrinsics:
                # Their principal point is half the size by definition, so mirroring does not change it.
                fx, fy, cx, cy = self.MEAN_INTRINSICS
                K[:2, :3] = [[fx * width, 0, cx * width], [0, fy * height, cy * height]]
            else:
                K[:3, :3] = scale_intrinsics(calibrated, size or original_size, (height, width))
                if flip:
                    K[:3, :3] = mirror_intrinsics(K[:3, :3], width)
            if window:
                K[:3, :3] = crop_intrinsics(K[:3, :3], window, (height, width))
            sample[f"K/{scale}"] = K.astype(np.float32)
            sample[f"inv_K/{scale}"] = np.linalg.inv(K).astype(np.float32)
        distortion = self.distortion(line)
        if distortion is not None:
            sample["distortion"] = (mirror_distortion(distortion) if flip else distortion).astype(np.float32)

    def _stereo_transform(self, line: SplitLine, flip: bool) -> np.ndarray:
        """Build T_target_to_source (4, 4). Points shift left in the right camera; mirroring swaps the cameras."""
        sign = -1 if (line.side == "l") != flip else 1
        transform = np.eye(4, dtype=np.float32)
        transform[0, 3] = sign * self.baseline(line)
        return transform
