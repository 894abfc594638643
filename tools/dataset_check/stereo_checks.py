"""Detect swapped left and right cameras by matching points between the two images."""

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np

from common.errors import DataError
from common.images import load_small_grey
from datasets.checks import FolderListing
from datasets.mono_dataset import MonoDataset
from tools.dataset_check.findings import Finding
from tools.dataset_check.list_checks import CameraImages, NeededImage

PAIRS = 5  # per drive, evenly spaced
WIDTH = 620  # pixels of the images in which points are matched: about half of KITTI's
POINTS = 150  # per image
PATCH = 7  # pixels on each side of a point: patches of 15x15
REACH = 62  # pixels of search range in both directions: the disparity of a point 3 m away on KITTI
MIN_SCORE = 0.9  # normalised correlation of two patches
MIN_SHIFT = 3  # pixels; smaller shifts, of distant points, do not reveal their direction reliably
MIN_POINTS = 30  # per drive; a correct drive yields about 60 per pair
MAJORITY = 0.75  # share of points that must agree; usually all but a few percent do


class StereoPair(NamedTuple):
    """The two images of a frame, and the one that the split needs."""

    left: str
    right: str
    image: NeededImage


def choose_pairs(
    cameras: Mapping[str, CameraImages], parts: Mapping[str, MonoDataset], listing: FolderListing
) -> Iterator[list[StereoPair]]:
    """Choose up to ``PAIRS`` stereo pairs per drive, even if training uses monocular video alone."""
    drives: dict[str, dict[int, NeededImage]] = {}
    for camera in cameras.values():
        drives[camera.drive] = {**camera.images, **drives.get(camera.drive, {})}
    for images in drives.values():
        pairs = []
        for frame in sorted(images):
            image = images[frame]
            left, right = (
                parts[image.part].image_path(image.line, frame - image.line.frame, side) for side in ("l", "r")
            )
            if listing.holds(left) and listing.holds(right):
                pairs.append(StereoPair(left, right, image))
        if pairs:
            yield [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, PAIRS).round().astype(int))]


def examine_pairs(pairs: list[StereoPair]) -> list[Finding]:
    """Report a drive with swapped left and right cameras.

    A point at x in the left image is at x - disparity in the right one, and disparity is positive.
    """
    points = right_way = 0
    for pair in pairs:
        try:
            left, right = (load_small_grey(path, WIDTH)[1] for path in (pair.left, pair.right))
        except DataError:  # reported by examine_stretch
            continue
        if left.shape != right.shape:  # reported by check_images
            continue
        shifts = _shifts(left, right)
        points += int((np.abs(shifts) >= MIN_SHIFT).sum())
        right_way += int((shifts <= -MIN_SHIFT).sum())
    wrong_way = points - right_way
    if points < MIN_POINTS or wrong_way < MAJORITY * points:
        return []
    detail = (
        f"{wrong_way} of {points} points in {len(pairs)} frames are further right in {os.path.dirname(pairs[0].right)}"
    )
    return [pairs[0].image._replace(path=os.path.dirname(pairs[0].left)).finding("stereo_swapped", detail)]


def _shifts(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Match points of the left image in the right one, and return x_right - x_left in pixels."""
    shifts = []
    height, width = left.shape
    corners = cv2.goodFeaturesToTrack(left, POINTS, qualityLevel=0.01, minDistance=8)
    for x, y in np.reshape([] if corners is None else corners, (-1, 2)).astype(int):
        top, bottom = y - PATCH - 1, y + PATCH + 2  # one row more than the patch above and below: rectification errors
        first, last = x - PATCH - REACH, x + PATCH + REACH + 1
        if top < 0 or first < 0 or bottom > height or last > width:
            continue
        patch = left[top + 1 : bottom - 1, x - PATCH : x + PATCH + 1]
        scores = cv2.matchTemplate(right[top:bottom, first:last], patch, cv2.TM_CCOEFF_NORMED)
        _, score, _, (column, _) = cv2.minMaxLoc(scores)
        if score > MIN_SCORE:
            shifts.append(column - REACH)
    return np.array(shifts)
