"""Depth hints of the frames of a dataset: made once, stored as 16-bit PNG, compared with ground truth."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.atomic_files import atomic_file
from common.errors import DataError
from common.images import load_image
from datasets.depth_maps import encode_depth_png
from datasets.map_files import DEPTH_HINTS, map_path, read_hint
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from evaluation.metrics.depth_metrics import compute_depth_metrics
from tools.depth_hints.matching import fused_disparity

FARTHEST = 255.0  # metres; the PNGs end at 256
CAP = 80.0  # metres, of the ground truth that is compared


class HintScore(NamedTuple):
    """A hint and its ground truth.

    Attributes:
        made: Whether it was made now, not found.
        valid_share: Share of the pixels with a hint.
        gt_share: Share of the ground truth's pixels with a hint; None without ground truth.
        metrics: ``compute_depth_metrics`` over these pixels; None if there are none.
    """

    made: bool
    valid_share: float
    gt_share: float | None = None
    metrics: dict[str, float] | None = None


@dataclass(frozen=True)
class HintMaker:
    """Makes and scores the hints of a dataset; picklable, for worker processes.

    Attributes:
        dataset: With the frames 0 and "s".
        folder: Root of the hints, see ``datasets.map_files``.
    """

    dataset: MonoDataset
    folder: Path

    def path(self, line: SplitLine) -> Path:
        """Return the path of a line's hint."""
        image_path = self.dataset.image_path(line, 0, line.side)
        return Path(f"{map_path(self.folder, image_path, self.dataset.data_path)}{DEPTH_HINTS.endings[0]}")

    def __call__(self, line: SplitLine) -> HintScore:
        """Make the hint of a line unless it exists, and score it.

        Raises:
            DataError: An image or the hint is damaged, or the pair cannot be matched.
        """
        path = self.path(line)
        found = path.is_file()
        if found:
            hint = read_hint(str(path))
        else:
            hint = self.make(line)
            with atomic_file(path) as stream:
                stream.write(encode_depth_png(hint))
        return _score(hint, self.dataset.ground_truth(line), made=not found)

    def make(self, line: SplitLine) -> np.ndarray:
        """Match the stereo pair of a line: depth in metres, float32 (H, W), 0 where unknown."""
        image_path, other_path = self.dataset.frame_paths(line)
        image, other = (np.asarray(load_image(path)) for path in (image_path, other_path))
        if image.shape != other.shape:
            raise DataError(
                f"The images of a stereo pair must have the same size, but {image_path} has shape {image.shape} and "
                f"{other_path} {other.shape}. Export both in the same way."
            )
        mirrored = line.side == "r"  # as seen in a mirror, the right camera is the left one
        if mirrored:
            image, other = (np.ascontiguousarray(picture[:, ::-1]) for picture in (image, other))
        disparity = fused_disparity(image, other)
        return self._depth(line, disparity[:, ::-1] if mirrored else disparity)

    def _depth(self, line: SplitLine, disparity: np.ndarray) -> np.ndarray:
        K, size = self.dataset.intrinsics(line, line.side)
        distortion = self.dataset.distortion(line)
        if distortion is not None and distortion[1:].any():
            raise DataError(f"{line.folder} was imported with its distortion: matching needs straightened images.")
        focal = K[0, 0] * (disparity.shape[1] / size[1] if size else 1)
        baseline = self.dataset.baseline(line) * self.dataset.STEREO_SCALE_FACTOR  # metres
        depth = focal * baseline / np.maximum(disparity, 1e-6)
        return np.where((disparity > 0) & (depth < FARTHEST), depth, 0).astype(np.float32)


def _score(hint: np.ndarray, gt: np.ndarray | None, *, made: bool) -> HintScore:
    valid = hint > 0
    if gt is None or gt.shape != hint.shape:
        return HintScore(made, float(valid.mean()))
    known = (gt > 0) & (gt < CAP)
    both = known & valid
    metrics = compute_depth_metrics(gt[both], hint[both]) if both.any() else None
    return HintScore(made, float(valid.mean()), float(both.sum() / max(1, known.sum())), metrics)


def unique_lines(lines: list[SplitLine], dataset: MonoDataset) -> tuple[list[SplitLine], int]:
    """Return the lines whose images exist, each frame once, and the number of frames that lack one of the pair."""
    different = list(dict.fromkeys(lines))
    kept = [line for line in different if all(map(os.path.isfile, dataset.frame_paths(line)))]
    return kept, len(different) - len(kept)
