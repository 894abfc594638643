"""Format metrics as text tables, JSON, and Markdown or LaTeX rows."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.atomic_files import write_json
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.depth_protocol import DepthProtocol

METRICS_FILE = "metrics.json"  # of the latest evaluation, of any split
METRIC_GROUPS = ("benchmark", "further", "lstsq_scale", "aligned", "edges", "cloud")  # of --metrics
UNCERTAINTY_GROUP = "uncertainty"  # of --uncertainty
_COLUMN_WIDTH = 9


def format_metrics_table(means: Mapping[str, float], protocol: DepthProtocol) -> str:
    """Format three lines: crop and cap of the protocol, then names above aligned values with three decimals.

    With ``protocol.log10``, also the RMSE of the decadic logarithm, which is ``rmse_log`` / ln 10.
    """
    columns = {name: means[name] for name in METRIC_NAMES}
    if protocol.log10:
        columns["log10"] = means["rmse_log"] / math.log(10)
    header = "".join(f"{name:>{_COLUMN_WIDTH}}" for name in columns)
    values = "".join(f"{value:>{_COLUMN_WIDTH}.3f}" for value in columns.values())
    return f"{protocol.describe()}\n{header}\n{values}"


def format_metric_sets(details: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the means of ``--metrics`` and ``--uncertainty`` with their intervals, one line each.

    Args:
        details: "group/metric" -> "mean", "low" and "high"; other groups, and metrics without values, are left out.
    """
    return "\n".join(
        f"{name:<24}{entry['mean']:>10.4f}   {entry['low']:.4f} to {entry['high']:.4f}"
        for name, entry in details.items()
        if name.split("/")[0] in (*METRIC_GROUPS, UNCERTAINTY_GROUP) and entry["mean"] is not None
    )


def metrics_file(split: str) -> str:
    """Return the name of the metrics file of one split."""
    return f"metrics_{split}.json"


def save_metrics(folder: Path, split: str, means: Mapping[str, float], protocol: DepthProtocol) -> Path:
    """Write ``metrics_SPLIT.json``, and the same content as ``metrics.json``, the latest of any split.

    Both contain the seven metrics by name, unrounded, then "split", "crop" and "cap". Existing files are replaced.

    Returns:
        The path of ``metrics_SPLIT.json``.

    Raises:
        UserError: A file cannot be written.
    """
    content: dict[str, Any] = {name: float(means[name]) for name in METRIC_NAMES}
    content.update(split=split, crop=protocol.crop, cap=protocol.cap)
    path = folder / metrics_file(split)
    for target in (path, folder / METRICS_FILE):
        write_json(target, content)
    return path


def markdown_table(name: str, metrics: Mapping[str, Mapping[str, Any]], caption: str) -> str:
    """Format a Markdown table: header, means, and their intervals.

    Args:
        name: Label of the row.
        metrics: Metric name -> "mean", "low", "high".
        caption: Ground truth and protocol, for the first cell of the header.
    """
    rows = [[caption, *METRIC_NAMES], ["---"] * (1 + len(METRIC_NAMES))]
    rows += [[name.replace("|", "\\|"), *_means(metrics)], ["95 % interval", *_intervals(metrics)]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def latex_table(name: str, metrics: Mapping[str, Mapping[str, Any]], caption: str) -> str:
    """Format the same rows for a LaTeX ``tabular`` of eight columns; caption and header are comments."""
    rows = [[latex_escaped(name), *_means(metrics)], [r"95\,\% interval", *_intervals(metrics, "--")]]
    return "\n".join(
        [f"% {caption}", f"% name & {' & '.join(METRIC_NAMES)}", *(" & ".join(row) + r" \\" for row in rows)]
    )


def latex_escaped(text: str) -> str:
    """Escape the special characters of LaTeX; a backslash becomes a slash."""
    return "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in text.replace("\\", "/"))


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
    if "rpe_translation" in metrics:  # not in files of earlier versions, which the report shows
        rows += [
            ("scale of Sim(3)", f"{metrics['sim3_scale']:.4g}"),
            ("error per frame, m", f"{metrics['rpe_translation']:.4f}"),
            ("error per frame, deg", f"{metrics['rpe_rotation']:.4f}"),
        ]
    if metrics["t_rel"] is None:
        rows.append(("KITTI's errors", "not available: the path is shorter than 100 m"))
    else:
        rows += [
            ("translation, %", f"{metrics['t_rel']:.2f}"),
            ("rotation, deg/100 m", f"{metrics['r_rel']:.2f}"),
        ]
    for length, errors in metrics["by_length"].items():
        values = f"{errors['t_rel']:.2f} %, {errors['r_rel']:.2f} deg/100 m, {errors['segments']} segments"
        rows.append((f"  over {length} m", values))
    return "\n".join(f"{name:<20}  {value}" for name, value in rows)
