"""Read saved evaluations, and compare the settings that they were scored with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.depth_protocol import DepthProtocol
from evaluation.result_files import FRAMES_FILE, SUMMARY_FILE, read_frames

_FOLDER = "scores_"  # followed by the split
_DEFAULTS = DepthProtocol()


@dataclass(frozen=True)
class SavedEvaluation:
    """An output of evaluate_depth.py.

    Attributes:
        path: Its ``frames.csv``.
        frames: N frame names.
        columns: Name -> (N,) values, NaN where missing; contains ``METRIC_NAMES``.
        summary: Content of its ``summary.json``; empty if it is missing or damaged.
    """

    path: Path
    frames: list[str]
    columns: dict[str, np.ndarray]
    summary: dict[str, Any]

    @property
    def split(self) -> str | None:
        """Name of the split; None if neither the summary nor the folder has it."""
        folder = self.path.absolute().parent.name
        named = folder.removeprefix(_FOLDER) if folder.startswith(_FOLDER) else None
        return self.summary.get("split", named)


def read_evaluation(path: Path) -> SavedEvaluation:
    """Read an evaluation.

    Args:
        path: ``frames.csv``, its folder ``scores_SPLIT``, or the parent folder if it has one such folder.

    Raises:
        DataError: There is none, or more than one, or the file is damaged.
    """
    path = find_frames(path)
    frames, columns = read_frames(path)
    missing = [name for name in METRIC_NAMES if name not in columns]
    if missing:
        raise DataError(f"'{path}' lacks the columns {', '.join(missing)}. Run evaluate_depth.py again.")
    try:
        summary = json.loads(path.with_name(SUMMARY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        summary = {}
    return SavedEvaluation(path, frames, columns, summary if isinstance(summary, dict) else {})


def find_frames(path: Path) -> Path:
    """Locate the ``frames.csv`` that a path refers to.

    Raises:
        DataError: The path does not exist, or is a folder that contains none, or more than one.
    """
    if not path.exists():
        raise DataError(
            f"'{path}' does not exist. Pass {FRAMES_FILE} of evaluate_depth.py, its folder {_FOLDER}SPLIT, or the "
            "folder that contains it."
        )
    if not path.is_dir():
        return path
    if (path / FRAMES_FILE).is_file():
        return path / FRAMES_FILE
    found = sorted(path.glob(f"{_FOLDER}*/{FRAMES_FILE}"))
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"'{path}' has scores of several splits. Pass one of {', '.join(str(f.parent) for f in found)}."
        )
    raise DataError(f"'{path}' contains no {FRAMES_FILE}. evaluate_depth.py writes it to scores_SPLIT.")


def settings_of(evaluation: SavedEvaluation) -> dict[str, Any]:
    """Return the settings that scores depend on besides the prediction: name -> value, without unknown ones.

    Alignment settings that earlier versions did not have are at their defaults.
    """
    truth, protocol = (evaluation.summary.get(key) for key in ("ground_truth", "protocol"))
    truth = truth if isinstance(truth, Mapping) else {}
    protocol = protocol if isinstance(protocol, Mapping) else {}
    aligned = {name: getattr(_DEFAULTS, name) for name in ("disparity_fit", "per_dataset")} if protocol else {}
    known = {"split": evaluation.split, "ground truth": truth.get("kind"), "depth axis": truth.get("axis")}
    return {**{name: value for name, value in known.items() if value is not None}, **aligned, **protocol}


def differing_settings(a: SavedEvaluation, b: SavedEvaluation) -> list[tuple[str, Any, Any]]:
    """Return the settings of ``settings_of`` that differ: (name, value of a, value of b); unknown ones do not."""
    ours, theirs = settings_of(a), settings_of(b)
    return [(name, ours[name], theirs[name]) for name in ours if name in theirs and ours[name] != theirs[name]]
