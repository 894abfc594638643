"""Frame table of an imported sequence: ``SEQUENCE/frames.csv``, CSV with a header.

Spreadsheets may have saved it with semicolons or tabs, decimal commas, and other capitals or spaces in the header.

| column | meaning |
| --- | --- |
| number | frame number in the sequence |
| source_frame | frame number in the source |
| seconds | time in the source, s, increasing; empty if unknown |
| motion | motion since frame number - 1, a fraction of the image width; empty if that frame is missing |
| kept | 1, or 0 if the image was removed because the frame is static |
| speed | m/s, empty if unknown; the user adds this optional column |
"""

import csv
import json
import math
import os
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from common.atomic_files import atomic_file
from common.errors import DataError
from common.text_files import abbreviate, read_data_text, read_text

FRAMES = "frames.csv"
RECORD = "sequence.json"  # written next to the table by the import
DELIMITERS = (",", ";", "\t")
REMEDY = "Save the table as CSV with its original columns, or import the sequence again."
Speeds = dict[int, tuple[float, float | None]]  # frame number -> time in s, speed in m/s


class FrameRow(NamedTuple):
    """An imported frame; ``seconds`` is None without time stamps, ``motion`` if frame ``number - 1`` is missing."""

    number: int
    source_frame: int
    seconds: float | None
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
        seconds = "" if row.seconds is None else f"{row.seconds:.6f}"
        lines.append(f"{row.number},{row.source_frame},{seconds},{motion},{int(row.number in kept)}")
    with atomic_file(path) as stream:
        stream.write(("\n".join(lines) + "\n").encode())


def kept_numbers(path: str | Path) -> list[int]:
    """Read the numbers of the kept frames, in the order of the table.

    Raises:
        DataError: The table is missing or malformed.
    """
    rows = _read(path, ("number", "kept"))
    if rows is None:
        raise DataError(f"Frame table {path} not found. {REMEDY}")
    return [_value(row, "number", path, int) for row in rows if _value(row, "kept", path, int) == 1]


def read_speeds(path: str | Path) -> Speeds:
    """Read the time (s) and speed (m/s) of each frame. Empty if the table or its column ``speed`` does not exist.

    Raises:
        DataError: A row is malformed, or has a speed but no time.
    """
    speeds: Speeds = {}
    rows = _read(path, ("number", "seconds")) or []
    are_invented = _has_invented_times(rows, path)
    for row in rows:
        if "speed" not in row.cells:
            return {}
        if not row.cells["speed"]:
            speed = None
        elif are_invented:
            raise DataError(
                f"{path}: the column 'seconds' contains the numbers of the images, which an earlier version stored. "
                "Import the images again with their --fps, or correct the column."
            )
        elif not row.cells["seconds"]:
            raise DataError(
                f"{path}, line {row.line}: has a speed, but no time, which the displacement between frames requires. "
                "Import images with their --fps, or fill in the column 'seconds'."
            )
        else:
            speed = _value(row, "speed", path, float)
        seconds = _value(row, "seconds", path, float) if row.cells["seconds"] else math.nan
        speeds[_value(row, "number", path, int)] = seconds, speed
    return speeds


def read_times(path: str | Path) -> dict[int, float]:
    """Read the time (s) of each frame whose time is known, by ascending frame number.

    Raises:
        DataError: A row is malformed, or the times do not increase with the frame numbers.
    """
    rows = _read(path, ("number", "seconds")) or []
    if _has_invented_times(rows, path):
        return {}
    timed = [row for row in rows if row.cells["seconds"]]
    times = {_value(row, "number", path, int): _value(row, "seconds", path, float) for row in timed}
    times = dict(sorted(times.items()))
    wrong = next((number for (_, before), (number, after) in pairwise(times.items()) if after <= before), None)
    if wrong is not None:
        raise DataError(f"{path}: the time of frame {wrong} is not after that of the frame before it. {REMEDY}")
    return times


def displacement(speeds: Speeds, first: int, second: int) -> float | None:
    """Compute the distance in metres between two frames from their mean speed; None if a speed is unknown."""
    if first not in speeds or second not in speeds:
        return None
    (begin, before), (end, after) = speeds[first], speeds[second]
    return None if before is None or after is None else abs((before + after) / 2 * (end - begin))


def _has_invented_times(rows: Sequence["_Row"], path: str | Path) -> bool:
    """Return whether a table of images has their numbers as times; its record then has no frame rate."""
    timed = [row.cells for row in rows if row.cells["seconds"]]
    if not timed or any(row.get("source_frame") != row["seconds"].partition(".")[0] for row in timed):
        return False
    if any(row["seconds"].partition(".")[2].strip("0") for row in timed):
        return False
    try:
        record = json.loads(read_text(Path(path).with_name(RECORD)))
        return record["frames_per_second"] is None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):  # missing or damaged
        return False


class _Row(NamedTuple):
    """A row of a table: its line, for messages, and column -> text."""

    line: int
    cells: dict[str, str]


def _read(path: str | Path, required: Sequence[str]) -> list[_Row] | None:
    """Read the rows of a table; None if there is no file.

    Raises:
        DataError: The file cannot be read, or lacks a required column.
    """
    if not os.path.exists(path):
        return None
    lines = read_data_text(path, "Frame table", REMEDY).splitlines()
    header = lines[0] if lines else ""
    delimiter = max(DELIMITERS, key=header.count)
    if delimiter == ";":  # where the comma is the decimal point
        lines = [line.replace(",", ".") for line in lines]
    columns = [name.strip().lower() for name in _split(header, delimiter)]
    missing = [name for name in required if name not in columns]
    if missing and lines:
        raise DataError(f"{path}: got columns {abbreviate(columns)}, expected also {', '.join(missing)}. {REMEDY}")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = [cell.strip() for cell in _split(line, delimiter)]
        if any(cells):
            # Spreadsheets drop or add empty cells at the end of a row.
            cells += [""] * (len(columns) - len(cells))
            rows.append(_Row(number, dict(zip(columns, cells, strict=False))))
    return rows


def _split(line: str, delimiter: str) -> list[str]:
    """Split a line into cells. Before Python 3.11, ``csv`` raises an error for NUL."""
    return next(csv.reader([line.replace("\0", "\ufffd")], delimiter=delimiter), [])


def _value(row: _Row, column: str, path: str | Path, kind: type) -> Any:
    """Convert a cell to a finite float, or to an int.

    Raises:
        DataError: The cell is no such number.
    """
    text = row.cells[column]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value != kind(value):
        expected = "an integer" if kind is int else "a number"
        raise DataError(f"{path}, line {row.line}: {column}: got {abbreviate(text)}, expected {expected}. {REMEDY}")
    return kind(value)
