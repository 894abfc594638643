"""How far a camera moves between frames of a video whose speed is known: a table of a sequence's frames.

CSV with a header; of its columns ``number`` (the frame's), ``seconds`` and ``speed`` (metres a second, empty where it
is not known) are read.
"""

import csv
from pathlib import Path

from common.errors import DataError

Speeds = dict[int, tuple[float, float | None]]  # number of a frame -> seconds, and metres a second


def read_speeds(path: str | Path) -> Speeds:
    """The table; empty where it has no column ``speed``, or is not there.

    Raises:
        DataError: a row is not as it should be.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
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


def travel(speeds: Speeds, first: int, second: int) -> float | None:
    """Metres between two frames, by the mean of their speeds; None where one of them is not known."""
    if first not in speeds or second not in speeds:
        return None
    (begin, before), (end, after) = speeds[first], speeds[second]
    return None if before is None or after is None else abs((before + after) / 2 * (end - begin))
