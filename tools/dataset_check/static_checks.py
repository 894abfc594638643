"""Stretches of a drive in which hardly anything moves: by the images, and by the car's own speed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from tools.dataset_check.findings import Finding
from tools.dataset_check.image_checks import ImageState
from tools.dataset_check.list_checks import CameraImages

STILL_FRAMES = 3  # make a stretch
# On KITTI's images the shift falls below this where the car is slower than about 0.9 m/s (its speed found from lidar
# and tracked points); at 2 m/s it is 0.32, at 6 m/s 0.9.
STILL_SHIFT = 0.25
STILL_SPEED = 1.0  # m/s: as slow as what the built-in world leaves out


def find_stills(cameras: Mapping[str, CameraImages], states: Mapping[str, list[ImageState]]) -> Iterator[Finding]:
    """The stretches of every drive, each once though two cameras see it.

    Args:
        cameras: folder -> camera.
        states: folder -> what was found of its images.
    """
    drives: dict[str, dict[int, list[ImageState]]] = {}
    for folder, camera in cameras.items():
        frames = drives.setdefault(camera.drive, {})
        for state in states[folder]:
            frames.setdefault(state.image.frame, []).append(state)
    for frames in drives.values():
        yield from _stretches(frames, "static_images", _hardly_moves)
        yield from _stretches(frames, "static_speed", _is_slow)


def _stretches(
    frames: Mapping[int, list[ImageState]], kind: str, is_still: Callable[[list[ImageState]], bool]
) -> Iterator[Finding]:
    """Runs of consecutive frames that are still, long enough to count."""
    still = sorted(frame for frame, states in frames.items() if is_still(states))
    # Of consecutive frames, frame number and place in the list differ by the same.
    for _, run in groupby(enumerate(still), key=lambda pair: pair[1] - pair[0]):
        run = [frame for _, frame in run]
        if len(run) >= STILL_FRAMES:
            finding = frames[run[0]][0].image.finding(kind, f"frames {run[0]} to {run[-1]}")
            yield replace(finding, frames=len(run))


def _hardly_moves(states: list[ImageState]) -> bool:
    """Whether no camera sees more than a little motion since the frame before."""
    shifts = [state.shift for state in states if state.shift is not None]
    return bool(shifts) and max(shifts) < STILL_SHIFT


def _is_slow(states: list[ImageState]) -> bool:
    speed = states[0].speed
    return speed is not None and abs(speed) < STILL_SPEED
