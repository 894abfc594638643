"""Frame table of an imported sequence: ``SEQUENCE/frames.csv``, CSV with a header.

| column | meaning |
| --- | --- |
| number | frame number in the sequence |
| source_frame | frame number in the source |
| seconds | time in the source, s |
| motion | motion since frame number - 1, a fraction of the image width; empty if that frame is missing |
| kept | 1, or 0 if the image was removed because the frame is static |
| speed | m/s, empty if unknown; the user adds this optional column |
"""

import csv
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from common.atomic_files import atomic_file
from common.errors import DataError

FRAMES = "frames.csv"
Speeds = dict[int, tuple[float, float | None]]  # frame number -> time in s, speed in m/s


class FrameRow(NamedTuple):
    """An imported frame; ``motion`` is None if frame ``number - 1`` is missing."""

    number: int
    source_frame: int
    seconds: float
    motion: float | None


def write_frame_table(path: Path, rows: Iterable[FrameRow], kept: Collection[int]) -> None:
    """Write the frame table of a sequence.

    Args:
        path: The file.
        rows: All imported frames.
        kept: Numbers of the frames whose images were kept.

    Raises:
        UserError: The file cannot be written.
    """
    lines = [",".join((*FrameRow._fields, "kept"))]
    for row in rows:
        motion = "" if row.motion is None else f"{row.motion:.5f}"
        lines.append(f"{row.number},{row.source_frame},{row.seconds:.6f},{motion},{int(row.number in kept)}")
    with atomic_file(path) as stream:
        stream.write(("\n".join(lines) + "\n").encode())


def kept_numbers(path: str | Path) -> list[int]:
    """Read the numbers of the kept frames, ascending."""
    return [int(row["number"]) for row in _read(path) if row["kept"] == "1"]


def read_speeds(path: str | Path) -> Speeds:
    """Read the time (s) and speed (m/s) of each frame. Empty if the table or its column ``speed`` does not exist.

    Raises:
        DataError: A row is malformed.
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
            raise DataError(f"{path}, line {i}: expected number, seconds and speed, got {row}.") from None
    return speeds


def displacement(speeds: Speeds, first: int, second: int) -> float | None:
    """Compute the distance in metres between two frames from their mean speed; None if a speed is unknown."""
    if first not in speeds or second not in speeds:
        return None
    (begin, before), (end, after) = speeds[first], speeds[second]
    return None if before is None or after is None else abs((before + after) / 2 * (end - begin))


def _read(path: str | Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
