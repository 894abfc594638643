"""Metrics as tables for reading and as JSON for programs."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from errors import UserError
from evaluation.depth_metrics import METRIC_NAMES

_COLUMN_WIDTH = 9


def format_metrics_table(means: Mapping[str, float]) -> str:
    """Two lines, names above values, aligned; three decimals, as published tables have."""
    header = "".join(f"{name:>{_COLUMN_WIDTH}}" for name in METRIC_NAMES)
    values = "".join(f"{means[name]:>{_COLUMN_WIDTH}.3f}" for name in METRIC_NAMES)
    return f"{header}\n{values}"


def save_metrics(path: str | Path, means: Mapping[str, float]) -> None:
    """Writes the seven metrics, unrounded, under their names; a file that is there is replaced as a whole.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    text = json.dumps({name: float(means[name]) for name in METRIC_NAMES}, indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as fault:
        raise UserError(f"{path} cannot be written: {fault.strerror or fault}.") from fault


def format_pose_tables(metrics: Mapping[str, Any]) -> str:
    """The numbers of `PoseEvaluation.as_dict` with their units: the trajectory's, then KITTI's errors by length."""
    rows = [
        ("5-frame ATE, m", f"{metrics['ate_5']:.4f} +- {metrics['ate_5_std']:.4f}"),
        ("ATE after Sim(3), m", f"{metrics['ate_sim3']:.3f}"),
        ("ATE after SE(3), m", f"{metrics['ate_se3']:.3f}"),
    ]
    if metrics["t_rel"] is None:
        rows.append(("KITTI's errors", "none: the path is shorter than 100 m"))
    else:
        rows += [
            ("translation, %", f"{metrics['t_rel']:.2f}"),
            ("rotation, deg/100 m", f"{metrics['r_rel']:.2f}"),
        ]
    for length, errors in metrics["by_length"].items():
        values = f"{errors['t_rel']:.2f} %, {errors['r_rel']:.2f} deg/100 m, {errors['segments']} segments"
        rows.append((f"  over {length} m", values))
    return "\n".join(f"{name:<20}  {value}" for name, value in rows)
