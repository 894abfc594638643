"""Build and write the result files of an evaluation: per-frame scores, summary, and table rows."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_files import atomic_file
from common.errors import DataError
from common.text_files import fault_of, read_text
from evaluation.ground_truth import GroundTruth
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.depth_protocol import DepthEvaluation, DepthProtocol
from evaluation.metrics.statistics import DRAWS, LEVEL, intervals, scale_consistency
from evaluation.result_tables import latex_table, markdown_table

FRAMES_FILE, SUMMARY_FILE, MARKDOWN_FILE, LATEX_FILE = "frames.csv", "summary.json", "table.md", "table.tex"
FRAME_COLUMN, RATIO_COLUMN, SHIFT_COLUMN = "frame", "ratio", "shift"


def write_results(folder: Path, files: Mapping[str, str]) -> None:
    """Write ``result_files``; replace existing files of the same names.

    Raises:
        UserError: A file cannot be written.
    """
    for name, text in files.items():
        with atomic_file(folder / name) as stream:
            stream.write(text.encode())


def result_files(
    name: str,
    frames: Sequence[str],
    result: DepthEvaluation,
    details: Mapping[str, np.ndarray],
    protocol: DepthProtocol,
    truth: GroundTruth,
    about: Mapping[str, Any] | None = None,
) -> tuple[dict[str, str], dict[str, Any]]:
    """Build the result files of an evaluation.

    Args:
        name: Name of the prediction, for the tables.
        frames: N frame names.
        result: Scores of the N frames.
        details: Name -> (N,), from ``evaluation.frame_details``; may be empty.
        protocol, truth: Protocol and ground truth of the scores.
        about: Further entries of the summary, JSON-compatible.

    Returns:
        The texts of ``frames.csv``, ``summary.json``, ``table.md`` and ``table.tex`` by file name, and the summary.
    """
    columns = dict(zip(METRIC_NAMES, result.metrics.T, strict=True))
    shared = result.alignment(int(np.argmax(np.isfinite(result.ratios)))) if protocol.per_dataset else None
    summary = {
        "name": name,
        **(about or {}),
        "frames": len(frames) - len(result.skipped),
        "skipped": list(result.skipped),
        "ground_truth": {"kind": truth.kind, "source": truth.source, "axis": truth.axis},
        "protocol": {key: _finite(value) for key, value in asdict(protocol).items()},
        "interval": f"{LEVEL:.0%} bootstrap over frames, {DRAWS} draws",
        "metrics": summarise(columns),
        "scale": scale_consistency(result.ratios) if protocol.median_scaling and not shared else None,
        "alignment": shared and {key: _finite(value) for key, value in shared._asdict().items()},
        "details": summarise(details),
    }
    caption = f"{truth.kind} ground truth, {protocol.describe()}"
    alignment = {RATIO_COLUMN: result.ratios} | ({} if result.shifts is None else {SHIFT_COLUMN: result.shifts})
    files = {
        FRAMES_FILE: _frames_table(frames, {**columns, **alignment, **details}),
        SUMMARY_FILE: json.dumps(summary, indent=2, allow_nan=False) + "\n",
        MARKDOWN_FILE: markdown_table(name, summary["metrics"], caption) + "\n",
        LATEX_FILE: latex_table(name, summary["metrics"], caption) + "\n",
    }
    return files, summary


def summarise(columns: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Summarise columns: name -> "mean", "low" and "high" (bootstrap interval; None without values), and "frames"."""
    if not columns:
        return {}
    values = np.stack(list(columns.values()), axis=1)  # (N, K)
    known = np.isfinite(values).sum(axis=0)
    means = np.where(known > 0, np.nansum(values, axis=0) / np.maximum(known, 1), np.nan)
    low, high = intervals(values)
    return {
        name: {
            **{key: _finite(float(part[k])) for key, part in (("mean", means), ("low", low), ("high", high))},
            "frames": int(known[k]),
        }
        for k, name in enumerate(columns)
    }


def _finite(value: Any) -> Any:
    """Replace NaN and infinity by None: JSON has neither."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _frames_table(frames: Sequence[str], columns: Mapping[str, np.ndarray]) -> str:
    """Format one CSV row per frame, unrounded; missing values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([FRAME_COLUMN, *columns])
    for name, row in zip(frames, np.stack(list(columns.values()), axis=1).tolist(), strict=True):
        writer.writerow([name, *(repr(value) if math.isfinite(value) else "" for value in row)])
    return text.getvalue()


def read_frames(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Read a ``frames.csv``: the frames, and name -> (N,) values, NaN where missing.

    Raises:
        DataError: The file is missing or is not such a table.
    """
    try:
        rows = list(csv.reader(read_text(path).splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} {fault_of(error)}; expected a frames.csv that evaluate_depth.py wrote.") from error
    header = rows[0] if rows else []
    if header[:1] != [FRAME_COLUMN] or "abs_rel" not in header or len(set(header)) < len(header):
        raise DataError(
            f"{path} is not a frames.csv of evaluate_depth.py: its first line is {','.join(header)[:80]!r}; "
            "expected frame,abs_rel,..."
        )
    frames, values = [], []
    for number, row in enumerate(rows[1:], start=2):
        try:
            values.append([float(value) if value else math.nan for value in row[1:]])
            complete = len(row) == len(header)
        except ValueError:
            complete = False
        if not complete:
            raise DataError(f"{path}, line {number}: found {row}; expected a frame and {len(header) - 1} numbers.")
        frames.append(row[0])
    if len(set(frames)) < len(frames) or not frames:
        raise DataError(f"{path} is empty or lists a frame twice; expected each frame once.")
    return frames, dict(zip(header[1:], np.array(values).T, strict=True))
