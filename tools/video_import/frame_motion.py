"""Choose the stride between frames of a source by its image motion (``common.image_motion``).

With less motion than on KITTI, there is little parallax to learn depth from; with much more, neighbouring frames no
longer overlap enough.
"""

from dataclasses import dataclass

import numpy as np

from common.errors import DataError
from common.image_motion import MEASURED_WIDTH, measure_motion
from tools.video_import.sources import Source

# Median motion on KITTI, the method's own dataset, as a share of the width: 297 pairs of successive frames of a drive
# through a residential street at 10 frames/s, left camera, by ``measure_motion`` at MEASURED_WIDTH. The quartiles are
# 0.0145 and 0.0207.
TARGET_MOTION = 0.0181
# Below this motion, frames are static. A share of the target, for any camera; ``common.image_motion.STATIC_MOTION`` was
# derived from the speed of KITTI's car.
STATIC_MOTION = 0.15 * TARGET_MOTION
STRIDES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60)
MAX_SAMPLES = 48  # positions per source at which motion is measured
SAMPLE_DISTANCE = 8  # frames between positions, at least
ENOUGH = 1.4  # times the target: larger strides are not measured, as they only increase the motion


@dataclass(frozen=True)
class Stride:
    """The stride chosen for a source.

    Attributes:
        frames: Stride: one of this many frames is selected.
        motion: Median motion at this stride, as a share of the width.
        by_stride: Stride -> median motion, of the measured strides.
        samples: Number of measured positions, and how many of them are static.
    """

    frames: int
    motion: float
    by_stride: dict[int, float]
    samples: tuple[int, int]


def choose_stride(source: Source) -> Stride:
    """Choose the stride with the motion nearest to the target by ratio, ignoring static positions.

    Raises:
        DataError: If the source is static throughout, or cannot be decoded.
    """
    samples = _sample_frames(len(source))
    rows = [row for sample in samples if (row := _motions_from(source, sample))]
    if not rows:
        raise DataError(f"{source.path} cannot be decoded at any of {len(samples)} positions.")
    moving = [row for row in rows if max(row.values()) > STATIC_MOTION]
    while moving:
        chosen, by_stride = _nearest_stride(moving)
        if chosen is None:
            raise DataError(f"{source.path} is damaged: most frames cannot be decoded. Copy it again.")
        # A position counts as static if the camera starts to move only after the chosen stride.
        moving_on = [row for row in moving if row.get(chosen, np.inf) > STATIC_MOTION]
        if len(moving_on) == len(moving):
            return Stride(chosen, by_stride[chosen], by_stride, (len(rows), len(rows) - len(moving)))
        moving = moving_on
    raise DataError(
        f"{source.path} is static throughout: motion is below {STATIC_MOTION:.2%} of the width even between distant "
        "frames. Record with a moving camera."
    )


def _nearest_stride(rows: list[dict[int, float]]) -> tuple[int | None, dict[int, float]]:
    """Find the stride with the median motion nearest to the target by ratio, and the medians up to it.

    Strides that were measured at less than half of the positions do not count: at the end, or where frames are damaged.
    """
    by_stride: dict[int, float] = {}
    for stride in STRIDES:
        motions = [row[stride] for row in rows if stride in row]
        if len(motions) < (len(rows) + 1) // 2:
            continue
        by_stride[stride] = float(np.median(motions))
        if by_stride[stride] >= TARGET_MOTION:
            break
    distances = {stride: abs(np.log(max(motion, 1e-9) / TARGET_MOTION)) for stride, motion in by_stride.items()}
    return min(distances, key=distances.get, default=None), by_stride


def _sample_frames(frames: int) -> list[int]:
    """Choose the first frame of each measured stretch."""
    reach = min((frames - 1) // 2, STRIDES[-1])
    count = min(MAX_SAMPLES, max(1, (frames - reach) // SAMPLE_DISTANCE))
    return np.unique(np.linspace(0, frames - 1 - reach, count).round().astype(int)).tolist()


def _motions_from(source: Source, sample: int) -> dict[int, float]:
    """Measure the motion from a position for each stride; beyond ``ENOUGH``, larger strides get a lower bound."""
    strides = [stride for stride in STRIDES if sample + stride < len(source)]
    motions: dict[int, float] = {}
    first = None
    for frame in source.read([sample, *(sample + stride for stride in strides)], MEASURED_WIDTH):
        if frame.index == sample:
            first = frame.pixels
        elif first is not None:
            stride = frame.index - sample
            motions[stride] = measure_motion(first, frame.pixels)
            if motions[stride] >= ENOUGH * TARGET_MOTION:
                return {**{larger: motions[stride] for larger in strides if larger > stride}, **motions}
    return motions


def select_frames(times: np.ndarray, interval: float) -> dict[int, int]:
    """Select frames at a constant interval, even if the frame rate varies.

    Each selected frame is followed by the frame nearest to one interval later. If the gap exceeds 1.5 intervals,
    numbers are skipped, and the two frames do not count as neighbours.

    Args:
        times: (N,) in seconds, ascending.
        interval: Seconds between selected frames.

    Returns:
        Frame number -> index in the source.
    """
    selected = {0: 0}
    number = frame = 0
    while frame < len(times) - 1:
        wanted = times[frame] + interval
        after = max(frame + 1, min(int(np.searchsorted(times, wanted)), len(times) - 1))
        if after - 1 > frame and wanted - times[after - 1] <= times[after] - wanted:
            after -= 1
        elapsed = (times[after] - times[frame]) / interval
        is_last = after == len(times) - 1
        if elapsed < 0.5 and not is_last:  # so early a frame is the nearest one only at a gap
            after, elapsed = after + 1, (times[after + 1] - times[frame]) / interval
        elif elapsed < 0.75 and is_last:  # the source ends here
            break
        number += 1 if elapsed <= 1.5 else max(2, round(elapsed))
        frame = after
        selected[number] = frame
    return selected
