"""Find static stretches of a drive: by image motion, and by the recorded speed of the car."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from tools.dataset_check.findings import Finding
from tools.dataset_check.image_checks import ImageState
from tools.dataset_check.list_checks import CameraImages

STATIC_FRAMES = 3  # shortest stretch that is reported
SLOW_MOTION = 0.006  # ``measure_motion`` on KITTI (10 Hz) at 0.9 m/s, by speeds from tracked lidar points
STATIC_SPEED = 1.0  # m/s; the lists of the built-in world have the same threshold


def find_static_stretches(
    cameras: Mapping[str, CameraImages], states: Mapping[str, list[ImageState]]
) -> Iterator[Finding]:
    """Report the static stretches of every drive, once for both cameras.

    Args:
        cameras: Folder -> camera.
        states: Folder -> measurements of its images.
    """
    drives: dict[str, dict[int, list[ImageState]]] = {}
    for folder, camera in cameras.items():
        frames = drives.setdefault(camera.drive, {})
        for state in states[folder]:
            frames.setdefault(state.image.frame, []).append(state)
    for frames in drives.values():
        yield from _stretches(frames, "static_images", _is_static)
        yield from _stretches(frames, "static_speed", _is_slow)


def _stretches(
    frames: Mapping[int, list[ImageState]], kind: str, is_static: Callable[[list[ImageState]], bool]
) -> Iterator[Finding]:
    """Report runs of at least ``STATIC_FRAMES`` consecutive static frames."""
    static = sorted(frame for frame, states in frames.items() if is_static(states))
    # Within a run of consecutive frames, frame number minus list index is constant.
    for _, run in groupby(enumerate(static), key=lambda pair: pair[1] - pair[0]):
        run = [frame for _, frame in run]
        if len(run) >= STATIC_FRAMES:
            finding = frames[run[0]][0].image.finding(kind, f"frames {run[0]} to {run[-1]}")
            yield replace(finding, frames=len(run))


def _is_static(states: list[ImageState]) -> bool:
    """Whether motion from the previous frame is below ``SLOW_MOTION`` in every camera."""
    motions = [state.motion for state in states if state.motion is not None]
    return bool(motions) and max(motions) < SLOW_MOTION


def _is_slow(states: list[ImageState]) -> bool:
    speed = states[0].speed
    return speed is not None and abs(speed) < STATIC_SPEED
