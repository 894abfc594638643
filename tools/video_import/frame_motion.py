"""How far apart the frames of a source are to be taken, by how much its images move (`common.image_motion`).

Where motion is less than on KITTI, there is little parallax to learn depth from; where it is much more, neighbours no
longer show the same.
"""

from dataclasses import dataclass

import numpy as np

from common.errors import DataError
from common.image_motion import MEASURED_WIDTH, measure_motion
from tools.video_import.sources import Source

# KITTI's, which the method was made for: the median over the 297 pairs of successive frames of a drive through a
# residential street at 10 frames a second, left camera, measured by `measure_motion` at MEASURED_WIDTH; half of the
# pairs lie between 0.0145 and 0.0207.
TARGET_MOTION = 0.0181
# Less motion is none: a share of the target, whatever camera it is; `common.image_motion.STATIC_MOTION` is by the speed
# of KITTI's car.
STATIC_MOTION = 0.15 * TARGET_MOTION
STRIDES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60)
MAX_SAMPLES = 48  # of a source at which strides are measured
SAMPLE_DISTANCE = 8  # frames, at least
ENOUGH = 1.4  # of the target: with a larger stride there is more motion still, which need not be measured


@dataclass(frozen=True)
class Stride:
    """The decision for one source.

    Attributes:
        frames: every so many frames one is taken.
        motion: what the median motion then is.
        by_stride: stride -> median motion, of those that were looked at.
        samples: at how many places motion was measured, and at how many of them nothing moved.
    """

    frames: int
    motion: float
    by_stride: dict[int, float]
    samples: tuple[int, int]


def choose_stride(source: Source) -> Stride:
    """The stride whose motion is nearest to the target's, by ratio; of places where something moves.

    Raises:
        DataError: nothing moves anywhere, or nothing could be decoded.
    """
    samples = _sample_frames(len(source))
    rows = [row for sample in samples if (row := _motions_from(source, sample))]
    if not rows:
        raise DataError(f"{source.path} cannot be decoded at any of {len(samples)} places.")
    moving = [row for row in rows if max(row.values()) > STATIC_MOTION]
    while moving:
        chosen, by_stride = _nearest_stride(moving)
        # A place from which the camera sets off only later counts as static.
        moving_on = [row for row in moving if row.get(chosen, np.inf) > STATIC_MOTION]
        if len(moving_on) == len(moving):
            return Stride(chosen, by_stride[chosen], by_stride, (len(rows), len(rows) - len(moving)))
        moving = moving_on
    raise DataError(
        f"{source.path}: the camera stands still all the time (motion below {STATIC_MOTION:.2%} of the width "
        "even between frames far apart), so that there is no depth to learn from."
    )


def _nearest_stride(rows: list[dict[int, float]]) -> tuple[int, dict[int, float]]:
    """The stride whose median motion is nearest to the target's by ratio; and the medians up to it."""
    by_stride: dict[int, float] = {}
    for stride in STRIDES:
        motions = [row[stride] for row in rows if stride in row]
        if len(motions) < (len(rows) + 1) // 2:
            break
        by_stride[stride] = float(np.median(motions))
        if by_stride[stride] >= TARGET_MOTION:
            break
    return min(by_stride, key=lambda stride: abs(np.log(max(by_stride[stride], 1e-9) / TARGET_MOTION))), by_stride


def _sample_frames(frames: int) -> list[int]:
    """First frames of the stretches that are measured."""
    reach = min((frames - 1) // 2, STRIDES[-1])
    count = min(MAX_SAMPLES, max(1, (frames - reach) // SAMPLE_DISTANCE))
    return np.unique(np.linspace(0, frames - 1 - reach, count).round().astype(int)).tolist()


def _motions_from(source: Source, sample: int) -> dict[int, float]:
    """Stride -> motion from the frame at a place to the one so much later; where it is enough, at least so much."""
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


def take_frames(times: np.ndarray, interval: float) -> dict[int, int]:
    """Number -> the frame that is taken for it; successive numbers are about an interval apart.

    Frame rates may vary: each frame is followed by the one that is nearest to an interval later. Where that is off by
    more than half an interval, numbers are left out, so that the two are no neighbours.

    Args:
        times: (N,) seconds, ascending.
        interval: seconds.
    """
    taken = {0: 0}
    number = frame = 0
    while frame < len(times) - 1:
        wanted = times[frame] + interval
        after = max(frame + 1, min(int(np.searchsorted(times, wanted)), len(times) - 1))
        if after - 1 > frame and wanted - times[after - 1] <= times[after] - wanted:
            after -= 1
        elapsed = (times[after] - times[frame]) / interval
        is_last = after == len(times) - 1
        if elapsed < 0.5 and not is_last:  # that much too early is nearest only where frames are missing
            after, elapsed = after + 1, (times[after + 1] - times[frame]) / interval
        elif elapsed < 0.75 and is_last:  # the source ends here
            break
        number += 1 if elapsed <= 1.5 else max(2, round(elapsed))
        frame = after
        taken[number] = frame
    return taken
