"""Decode the images of a camera in stretches, and measure the motion between successive images."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from common.errors import DataError
from common.image_motion import MEASURED_WIDTH, measure_motion
from common.images import load_small_grey
from datasets.kitti_poses import read_speed
from tools.dataset_check.findings import Finding
from tools.dataset_check.list_checks import CameraImages, NeededImage

STRETCH = 64  # images per task of a process
MIN_HEIGHT = 16  # pixels of the downscaled image; motion cannot be measured in fewer


@dataclass(frozen=True)
class ImageState:
    """Measurements of one image.

    Attributes:
        image: The image.
        fault: Why it cannot be decoded; None if it can.
        size: (height, width) in pixels.
        is_copy: Whether it is identical to the previous frame.
        motion: ``measure_motion`` from the previous frame; None if that frame is unavailable.
        speed: Speed of the car in m/s from its own sensors; None without sensor data.
    """

    image: NeededImage
    fault: str | None = None
    size: tuple[int, int] | None = None
    is_copy: bool = False
    motion: float | None = None
    speed: float | None = None


def stretches(camera: CameraImages) -> Iterator[list[NeededImage]]:
    """Split the images of a camera into stretches; each starts with the last image of the previous stretch."""
    images = [camera.images[frame] for frame in sorted(camera.images)]
    for start in range(0, len(images), STRETCH):
        yield images[max(0, start - 1) : start + STRETCH]


def examine_stretch(images: list[NeededImage]) -> list[ImageState]:
    """Decode images in chronological order, and compare each with the previous one."""
    states = []
    before_frame, before = None, None
    for image in images:
        speed = read_speed(image.speed_path) if image.speed_path else None
        try:
            size, small = load_small_grey(image.path, MEASURED_WIDTH, MIN_HEIGHT)
        except DataError as error:
            states.append(ImageState(image, fault=str(error.__cause__ or error), speed=speed))
            before = None
            continue
        follows = before is not None and image.frame == before_frame + 1 and before.shape == small.shape
        is_copy = follows and np.array_equal(before, small)
        motion = measure_motion(before, small) if follows else None
        states.append(ImageState(image, None, size, is_copy, motion, speed))
        before_frame, before = image.frame, small
    return states


def drive_sizes(
    cameras: Mapping[str, CameraImages], states: Mapping[str, list[ImageState]]
) -> dict[str, tuple[int, int]]:
    """Find the most frequent image size (height, width) of each drive."""
    counts: dict[str, Counter] = {}
    for folder, camera in cameras.items():
        counts.setdefault(camera.drive, Counter()).update(state.size for state in states[folder] if state.size)
    return {drive: sizes.most_common(1)[0][0] for drive, sizes in counts.items() if sizes}


def check_images(
    cameras: Mapping[str, CameraImages],
    states: Mapping[str, list[ImageState]],
    sizes: Mapping[str, tuple[int, int]],
) -> Iterator[Finding]:
    """Report damaged images, images that differ in size from the rest of their drive, and duplicates.

    Args:
        cameras: Folder -> camera.
        states: Folder -> measurements of its images.
        sizes: Drive -> (height, width), from ``drive_sizes``.
    """
    for folder, camera in cameras.items():
        for state in states[folder]:
            if state.fault is not None:
                yield state.image.finding("image_damaged", state.fault)
            elif state.size != sizes[camera.drive]:
                (height, width), (usual_height, usual_width) = state.size, sizes[camera.drive]
                detail = f"got {width}x{height}, the drive's other images are {usual_width}x{usual_height}"
                yield state.image.finding("image_size", detail)
            if state.is_copy:
                yield state.image.finding("duplicate_frames", "identical to the previous frame")
