"""Decodes images, a stretch of a camera at a time, and measures how much moves from each to the next."""

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

STRETCH = 64  # images that a process takes at once
LEAST_HEIGHT = 16  # pixels of the small image, in which motion can be measured


@dataclass(frozen=True)
class ImageState:
    """What was found of one image.

    Attributes:
        image: which one.
        fault: why it cannot be decoded; None where it can.
        size: (height, width).
        is_copy: whether it is the same picture as the frame before.
        motion: as `measure_motion` from the frame before; None where that is not there.
        speed: metres a second that the car drives, by its own sensors; None without.
    """

    image: NeededImage
    fault: str | None = None
    size: tuple[int, int] | None = None
    is_copy: bool = False
    motion: float | None = None
    speed: float | None = None


def stretches(camera: CameraImages) -> Iterator[list[NeededImage]]:
    """The camera's images in pieces; each but the first begins with the last image of the one before."""
    images = [camera.images[frame] for frame in sorted(camera.images)]
    for start in range(0, len(images), STRETCH):
        yield images[max(0, start - 1) : start + STRETCH]


def examine_stretch(images: list[NeededImage]) -> list[ImageState]:
    """Decodes images that are in the order of time."""
    states = []
    before_frame, before = None, None
    for image in images:
        speed = read_speed(image.speed_path) if image.speed_path else None
        try:
            size, small = load_small_grey(image.path, MEASURED_WIDTH, LEAST_HEIGHT)
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
    """Drive -> (height, width) of most of its images."""
    counts: dict[str, Counter] = {}
    for folder, camera in cameras.items():
        counts.setdefault(camera.drive, Counter()).update(state.size for state in states[folder] if state.size)
    return {drive: sizes.most_common(1)[0][0] for drive, sizes in counts.items() if sizes}


def judge_images(
    cameras: Mapping[str, CameraImages],
    states: Mapping[str, list[ImageState]],
    sizes: Mapping[str, tuple[int, int]],
) -> Iterator[Finding]:
    """Damaged images, those of another size than the rest of their drive, and the same picture twice.

    Args:
        cameras: folder -> camera.
        states: folder -> what was found of its images.
        sizes: of `drive_sizes`.
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
                yield state.image.finding("duplicate_frames", "the same picture as the frame before")
