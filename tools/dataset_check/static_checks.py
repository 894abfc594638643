"""Stretches of a drive in which hardly anything moves: by the images, and by the car's own speed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from common.image_motion import STATIC_MOTION
from tools.dataset_check.findings import Finding
from tools.dataset_check.image_checks import ImageState
from tools.dataset_check.list_checks import CameraImages

STATIC_FRAMES = 3  # make a stretch
STATIC_SPEED = 1.0  # m/s: as slow as what the built-in world leaves out


def find_static_stretches(
    cameras: Mapping[str, CameraImages], states: Mapping[str, list[ImageState]]
) -> Iterator[Finding]:
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
    frames: Mapping[int, list[ImageState]], kind: str, is_static: Callable[[list[ImageState]], bool]
) -> Iterator[Finding]:
    """Runs of consecutive frames that are static, long enough to count."""
    static = sorted(frame for frame, states in frames.items() if is_static(states))
    # Of consecutive frames, frame number and place in the list differ by the same.
    for _, run in groupby(enumerate(static), key=lambda pair: pair[1] - pair[0]):
        run = [frame for _, frame in run]
        if len(run) >= STATIC_FRAMES:
            finding = frames[run[0]][0].image.finding(kind, f"frames {run[0]} to {run[-1]}")
            yield replace(finding, frames=len(run))


def _hardly_moves(states: list[ImageState]) -> bool:
    """Whether no camera sees more than a little motion since the frame before."""
    motions = [state.motion for state in states if state.motion is not None]
    return bool(motions) and max(motions) < STATIC_MOTION


def _is_slow(states: list[ImageState]) -> bool:
    speed = states[0].speed
    return speed is not None and abs(speed) < STATIC_SPEED
