"""Format metrics as text tables, JSON, and Markdown or LaTeX rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.atomic_files import write_json
from evaluation.metrics.depth_metrics import METRIC_NAMES

_COLUMN_WIDTH = 9


def format_metrics_table(means: Mapping[str, float]) -> str:
    """Format two aligned lines: names above values, with three decimals as in published tables."""
    header = "".join(f"{name:>{_COLUMN_WIDTH}}" for name in METRIC_NAMES)
    values = "".join(f"{means[name]:>{_COLUMN_WIDTH}.3f}" for name in METRIC_NAMES)
    return f"{header}\n{values}"


def save_metrics(path: str | Path, means: Mapping[str, float]) -> None:
    """Write the seven metrics by name as JSON, unrounded; replace an existing file atomically.

    Raises:
        UserError: The file cannot be written.
    """
    write_json(Path(path), {name: float(means[name]) for name in METRIC_NAMES})


def markdown_table(name: str, metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Format a Markdown table: header, means, and their intervals.

    Args:
        name: Label of the row.
        metrics: Metric name -> "mean", "low", "high".
    """
    rows = [["", *METRIC_NAMES], ["---"] * (1 + len(METRIC_NAMES))]
    rows += [[name.replace("|", "\\|"), *_means(metrics)], ["95 % interval", *_intervals(metrics)]]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows)


def latex_table(name: str, metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the same rows for a LaTeX ``tabular`` of eight columns; the header is a comment."""
    escaped = "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in name.replace("\\", "/"))
    rows = [[escaped, *_means(metrics)], [r"95\,\% interval", *_intervals(metrics, "--")]]
    return "\n".join([f"% name & {' & '.join(METRIC_NAMES)}", *(" & ".join(row) + r" \\" for row in rows)])


def _means(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [f"{metrics[name]['mean']:.3f}" for name in METRIC_NAMES]


def _intervals(metrics: Mapping[str, Mapping[str, Any]], dash: str = "–") -> list[str]:
    return [f"{metrics[name]['low']:.3f}{dash}{metrics[name]['high']:.3f}" for name in METRIC_NAMES]


def format_pose_tables(metrics: Mapping[str, Any]) -> str:
    """Format ``PoseEvaluation.as_dict`` with units: trajectory errors, then KITTI's errors by segment length."""
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
