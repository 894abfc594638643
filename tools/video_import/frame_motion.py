"""Choose the strides between frames of a source by its parallax (``common.parallax``).

With less motion than on KITTI, there is little parallax to learn depth from; with much more, neighbouring frames no
longer overlap enough. Where the speed changes, so does the stride.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import DataError
from common.image_motion import STATIC_MOTION, TARGET_MOTION, measure_motion
from common.parallax import KITTI_FOCAL, PARALLAX_WIDTH, measure_parallax
from tools.video_import.sources import Source

STRIDES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60)
MAX_SAMPLES = 48  # positions per source at which motion is measured
SAMPLE_DISTANCE = 8  # frames between positions, at least
ENOUGH = 1.4  # times the target: larger strides are not measured, as they only increase the motion
LARGEST_FLOW = 0.1  # share of the width; turned this far, frames no longer overlap enough to be compared
CLOSE = 3.0  # times the target: image motion up to which nearly all corners can be tracked
WAITING = 0.1  # of the motion at twice the stride or more
MIN_PARALLAX = 0.25  # of the moving positions; with fewer, the source has none that could decide
# Percentile over positions. Where the road is smooth or hidden, the nearest surface is missed and parallax seems
# smaller; it seldom seems larger.
PERCENTILE = 75
WINDOW = 9  # positions that determine the stride in their middle
LEAST_CHANGE = 1.5  # ratio of the strides of two sections, at least
MIN_SELECTED = 10  # frames that the chosen stride leaves, at least, if the source has so many


@dataclass(frozen=True)
class Stride:
    """The strides chosen for a source.

    Attributes:
        frames: Stride: one of this many frames is selected; the median over the source where it varies.
        motion: Parallax at this stride, in units of image motion, see ``measure_parallax``.
        by_stride: Stride -> parallax, of the measured strides.
        samples: Number of measured positions, and how many of them are static.
        sections: (first frame, stride) of each section with one stride, in order.
        wanted: The stride that the parallax asks for, if the source is too short for it.
        is_given: Whether the user chose it.
        only_turns: Whether there is no parallax at all, only motion of the image.
    """

    frames: int
    motion: float
    by_stride: dict[int, float]
    samples: tuple[int, int]
    sections: tuple[tuple[int, float], ...]
    wanted: int | None = None
    is_given: bool = False
    only_turns: bool = False

    def at_frames(self, count: int) -> np.ndarray:
        """Return the stride at each of ``count`` frames."""
        strides = np.empty(count)
        for first, stride in self.sections:
            strides[first:] = stride
        return strides


@dataclass(frozen=True)
class _Position:
    """Parallax and image motion from one frame, by stride."""

    frame: int
    parallax: dict[int, float]
    flow: dict[int, float]

    @property
    def has_parallax(self) -> bool:
        """Whether frames that are close enough for reliable tracks have parallax, not only motion."""
        close = [stride for stride, flow in self.flow.items() if flow < CLOSE * TARGET_MOTION]
        return max((self.parallax[stride] for stride in close or self.parallax), default=0.0) > STATIC_MOTION

    @property
    def waits(self) -> bool:
        """Whether the camera starts to move only later: motion grows much faster than the stride."""
        moves = next((stride for stride, flow in self.flow.items() if flow > TARGET_MOTION / 2), None)
        before = [flow for stride, flow in self.flow.items() if moves and stride <= moves / 2]
        return bool(before) and before[-1] < WAITING * self.flow[moves]


def given_stride(frames: float) -> Stride:
    """Return the stride that the user chose; a frame rate may ask for a fraction of a frame."""
    return Stride(max(1, round(frames)), 0.0, {}, (0, 0), ((0, frames),), is_given=True)


def choose_stride(source: Source, focal: float = KITTI_FOCAL) -> Stride:
    """Choose the strides with the parallax nearest to the target by ratio, ignoring static positions.

    Args:
        source: The source.
        focal: Focal length as a share of the image width.

    Raises:
        DataError: If the source is static throughout, or cannot be decoded.
    """
    samples = _sample_frames(len(source))
    positions = [place for sample in samples if (place := _measure_from(source, sample, focal)).flow]
    if not positions:
        raise DataError(f"{source.path} cannot be decoded at any of {len(samples)} positions.")
    moving = [place for place in positions if max(place.flow.values()) > STATIC_MOTION and not place.waits]
    if not moving:
        raise DataError(
            f"{source.path} is static throughout: motion is below {STATIC_MOTION:.2%} of the width even between "
            "distant frames. Record with a moving camera."
        )
    rows = [(place.frame, place.parallax) for place in moving if place.has_parallax]
    only_turns = len(rows) < MIN_PARALLAX * len(moving)
    if only_turns:
        rows = [(place.frame, place.flow) for place in moving]
    chosen, by_stride = _nearest_stride([row for _, row in rows])
    if chosen is None:
        raise DataError(f"{source.path} is damaged: most frames cannot be decoded. Copy it again.")
    sections, wanted = _fitted(_sections(rows), len(source))
    if len(sections) > 1 or wanted:
        chosen = int(np.median(Stride(1, 0.0, {}, (0, 0), sections).at_frames(len(source))))
    motion = by_stride.get(chosen, float(np.interp(chosen, list(by_stride), list(by_stride.values()))))
    counts = len(positions), len(positions) - len(rows)
    return Stride(chosen, motion, by_stride, counts, sections, wanted, only_turns=only_turns)


def _nearest_stride(rows: Sequence[dict[int, float]]) -> tuple[int | None, dict[int, float]]:
    """Find the stride with the motion nearest to the target by ratio, and the motion of the strides up to it.

    Strides that were measured at less than half of the positions do not count: at the end, or where frames are damaged.
    """
    by_stride: dict[int, float] = {}
    for stride in STRIDES:
        motions = [row[stride] for row in rows if stride in row]
        if len(motions) < (len(rows) + 1) // 2:
            continue
        by_stride[stride] = float(np.percentile(motions, PERCENTILE))
        if by_stride[stride] >= TARGET_MOTION:
            break
    distances = {stride: abs(np.log(max(motion, 1e-9) / TARGET_MOTION)) for stride, motion in by_stride.items()}
    return min(distances, key=distances.get, default=None), by_stride


def _sections(rows: list[tuple[int, dict[int, float]]]) -> tuple[tuple[int, int], ...]:
    """Divide the source where the stride changes; each section has at least half a window of positions."""
    half = WINDOW // 2
    local = [_nearest_stride([row for _, row in rows[max(0, i - half) : i + half + 1]])[0] for i in range(len(rows))]
    starts = [0]
    for i in range(1, len(rows)):
        level = np.median([stride or 1 for stride in local[starts[-1] : i]])
        ahead = np.array([stride or 1 for stride in local[i : i + half]])
        ratios = np.maximum(ahead / level, level / ahead)
        if len(ahead) == half and i - starts[-1] >= half and (ratios >= LEAST_CHANGE).all():
            starts.append(i)
    sections = []
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        stride, _ = _nearest_stride([row for _, row in rows[start:end]])
        first = (rows[start - 1][0] + rows[start][0]) // 2 if start else 0
        sections.append((first, stride or 1))
    return tuple(sections)


def _fitted(sections: tuple[tuple[int, int], ...], count: int) -> tuple[tuple[tuple[int, int], ...], int | None]:
    """Reduce the strides of a source that is too short for them to the largest that leave enough frames.

    Returns:
        The sections, and the largest stride before, None if it was not reduced.
    """
    largest = max(stride for _, stride in sections)
    for limit in range(largest, 0, -1):
        limited = tuple((first, min(stride, limit)) for first, stride in sections)
        ends = [*(first for first, _ in limited[1:]), count]
        selected = sum((end - first) / stride for (first, stride), end in zip(limited, ends, strict=True))
        if selected >= MIN_SELECTED:
            break
    return limited, largest if limit < largest else None


def _sample_frames(frames: int) -> list[int]:
    """Choose the first frame of each measured stretch."""
    reach = min((frames - 1) // 2, STRIDES[-1])
    count = min(MAX_SAMPLES, max(1, (frames - reach) // SAMPLE_DISTANCE))
    return np.unique(np.linspace(0, frames - 1 - reach, count).round().astype(int)).tolist()


def _measure_from(source: Source, sample: int, focal: float) -> _Position:
    """Measure the motion from a position for each stride; beyond ``ENOUGH``, larger strides get a lower bound."""
    strides = [stride for stride in STRIDES if sample + stride < len(source)]
    place = _Position(sample, {}, {})
    first = None
    for frame in source.read([sample, *(sample + stride for stride in strides)], PARALLAX_WIDTH):
        if frame.index == sample:
            first = frame.pixels
        elif first is not None:
            stride = frame.index - sample
            place.flow[stride] = measure_motion(first, frame.pixels)
            place.parallax[stride] = measure_parallax(first, frame.pixels, focal)
            if place.flow[stride] >= LARGEST_FLOW:
                break
            if place.parallax[stride] >= ENOUGH * TARGET_MOTION:
                for motions in (place.flow, place.parallax):
                    motions.update({larger: motions[stride] for larger in strides if larger > stride})
                break
    return place


def select_frames(times: np.ndarray, interval: float | np.ndarray) -> dict[int, int]:
    """Select frames at an interval in seconds, even if the frame rate varies.

    Each selected frame is followed by the frame nearest to one interval later. If the gap exceeds 1.5 intervals,
    numbers are skipped, and the two frames do not count as neighbours.

    Args:
        times: (N,) in seconds, ascending.
        interval: Seconds from a selected frame to the next: one number, or (N,), one for each frame.

    Returns:
        Frame number -> index in the source.
    """
    selected = {0: 0}
    number = frame = 0
    intervals = np.broadcast_to(interval, len(times))
    while frame < len(times) - 1:
        wanted = times[frame] + intervals[frame]
        after = max(frame + 1, min(int(np.searchsorted(times, wanted)), len(times) - 1))
        if after - 1 > frame and wanted - times[after - 1] <= times[after] - wanted:
            after -= 1
        elapsed = (times[after] - times[frame]) / intervals[frame]
        is_last = after == len(times) - 1
        if elapsed < 0.5 and not is_last:  # so early a frame is the nearest one only at a gap
            after, elapsed = after + 1, (times[after + 1] - times[frame]) / intervals[frame]
        elif elapsed < 0.75 and is_last:  # the source ends here
            break
        number += 1 if elapsed <= 1.5 else max(2, round(elapsed))
        frame = after
        selected[number] = frame
    return selected
