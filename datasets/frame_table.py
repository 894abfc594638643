"""The table of an imported sequence's frames: ``SEQUENCE/frames.csv``, CSV with a header.

| column | meaning |
| --- | --- |
| number | of the frame in the sequence |
| source_frame | its number in the source |
| seconds | its time in the source |
| motion | since the number before, a share of the width; empty where that has no frame |
| kept | 1, or 0 where the images were removed since nothing moves |
| speed | metres a second, empty where unknown; the column is absent unless the user adds it |
"""

import csv
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from common.atomic_files import atomic_file
from common.errors import DataError

FRAMES = "frames.csv"
Speeds = dict[int, tuple[float, float | None]]  # number of a frame -> seconds, and metres a second


class FrameRow(NamedTuple):
    """A frame that was imported; the motion since the number before, None where that has no frame."""

    number: int
    source_frame: int
    seconds: float
    motion: float | None


def write_frame_table(path: Path, rows: Iterable[FrameRow], kept: Collection[int]) -> None:
    """Write the table of a sequence.

    Args:
        kept: numbers of the frames whose images were kept.

    Raises:
        UserError: the file cannot be written.
    """
    lines = [",".join((*FrameRow._fields, "kept"))]
    for row in rows:
        motion = "" if row.motion is None else f"{row.motion:.5f}"
        lines.append(f"{row.number},{row.source_frame},{row.seconds:.6f},{motion},{int(row.number in kept)}")
    with atomic_file(path) as stream:
        stream.write(("\n".join(lines) + "\n").encode())


def kept_numbers(path: str | Path) -> list[int]:
    """Read the numbers of the frames that were kept, ascending."""
    return [int(row["number"]) for row in _read(path) if row["kept"] == "1"]


def read_speeds(path: str | Path) -> Speeds:
    """Read when each frame was taken and at which speed; empty where the table or its column ``speed`` is absent.

    Raises:
        DataError: a row is not as it should be.
    """
    try:
        rows = _read(path)
    except FileNotFoundError:
        return {}
    if not rows or "speed" not in rows[0]:
        return {}
    speeds: Speeds = {}
    for i, row in enumerate(rows, start=2):
        try:
            speeds[int(row["number"])] = float(row["seconds"]), float(row["speed"]) if row["speed"] else None
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{path}, line {i}: expected number, seconds and speed; got {row}.") from None
    return speeds


def displacement(speeds: Speeds, first: int, second: int) -> float | None:
    """Metres between two frames, by the mean of their speeds; None where one of them is not known."""
    if first not in speeds or second not in speeds:
        return None
    (begin, before), (end, after) = speeds[first], speeds[second]
    return None if before is None or after is None else abs((before + after) / 2 * (end - begin))


def _read(path: str | Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
