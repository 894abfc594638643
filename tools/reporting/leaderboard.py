"""Ranking of evaluations of the same frames, with the significance of differences and the networks' cost."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.registry import DEPTH_NETWORKS
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.statistics import LEVEL, intervals, sign_flip_test
from evaluation.result_files import SUMMARY_FILE
from evaluation.saved_results import SavedEvaluation, differing_settings, settings_of

HIGHER_IS_BETTER = METRIC_NAMES[4:]


@dataclass(frozen=True)
class Entry:
    """A row of the leaderboard.

    Attributes:
        name: Label.
        network: Depth network, or "".
        size: (height, width) of the prediction; None if unknown.
        params, macs: Parameters and multiply-accumulates of one image; None if the network is unknown.
        means: Metric -> mean over the frames.
        low, high: Ends of the bootstrap interval of the metric that sorts the table.
        marks: Metric -> "best", "tie" (no significant difference from the best) or "".
    """

    name: str
    network: str
    size: tuple[int, int] | None
    params: int | None
    macs: int | None
    means: Mapping[str, float]
    low: float
    high: float
    marks: Mapping[str, str]


def build_leaderboard(runs: Sequence[SavedEvaluation], names: Sequence[str], metric: str) -> list[Entry]:
    """Rank evaluations of the same frames, best first.

    Args:
        runs: The evaluations.
        names: Their labels.
        metric: One of ``METRIC_NAMES``, which sorts the entries.

    Raises:
        DataError: Two evaluations differ in a setting or in the scored frames, or one does not state its settings.
    """
    check_same_protocol(runs)
    values = np.stack([_by_frame(run) for run in runs])  # (runs, N, 7)
    marks = _marks(values)
    low, high = np.stack([intervals(of_run) for of_run in values], axis=1)  # (runs, 7) each
    column = METRIC_NAMES.index(metric)
    costs: dict[tuple[str, tuple[int, int]], tuple[int, int]] = {}
    entries = []
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        network, size = _prediction(run)
        known = network in DEPTH_NETWORKS and size is not None
        if known and (network, size) not in costs:
            costs[network, size] = _cost(network, size)
        params, macs = costs[network, size] if known else (None, None)
        means = dict(zip(METRIC_NAMES, values[i].mean(axis=0).tolist(), strict=True))
        interval = float(low[i, column]), float(high[i, column])
        entries.append(Entry(name, network, size, params, macs, means, *interval, marks[i]))
    return sorted(entries, key=lambda entry: entry.means[metric] * (-1 if metric in HIGHER_IS_BETTER else 1))


def check_same_protocol(runs: Sequence[SavedEvaluation]) -> None:
    """Check that all evaluations have the settings and the scored frames of the first.

    Raises:
        DataError: They have not; the message names the settings.
    """
    for run in runs:
        if not run.summary.get("protocol"):
            raise DataError(
                f"{run.path.with_name(SUMMARY_FILE)} is missing or does not state the protocol of the scores. Run "
                "evaluate_depth.py again."
            )
    first, *others = runs
    for other in others:
        where = f"{first.path.parent} and {other.path.parent} were scored by different protocols"
        differing = differing_settings(first, other)
        if differing:
            found = ", ".join(f"{name} {one} and {two}" for name, one, two in differing)
            raise DataError(f"{where}: {found}. Evaluate both with the same options, or leave one out.")
        scored = [set(_scored(run)) for run in (first, other)]
        if scored[0] != scored[1]:
            example = min(scored[0] ^ scored[1])
            raise DataError(
                f"{where}: {len(scored[0])} and {len(scored[1])} scored frames, '{example}' only in one of them. "
                "Evaluate both on the same split and ground truth, or leave one out."
            )


def _scored(run: SavedEvaluation) -> dict[str, int]:
    """Return the scored frames: name -> row."""
    known = np.isfinite(run.columns["abs_rel"])
    return {name: i for i, name in enumerate(run.frames) if known[i]}


def _by_frame(run: SavedEvaluation) -> np.ndarray:
    """Return the metrics (N, 7) of the scored frames, in the order of their names."""
    rows = [row for _, row in sorted(_scored(run).items())]
    return np.stack([run.columns[name][rows] for name in METRIC_NAMES], axis=1)


def _marks(values: np.ndarray) -> list[dict[str, str]]:
    """Mark the best of each metric, and what does not differ significantly from it, in (runs, N, 7)."""
    signs = np.array([-1 if name in HIGHER_IS_BETTER else 1 for name in METRIC_NAMES])
    best = (values.mean(axis=1) * signs).argmin(axis=0)  # (7,)
    marks = [dict.fromkeys(METRIC_NAMES, "") for _ in values]
    for winner in set(best.tolist()):
        columns = [k for k, of in enumerate(best) if of == winner]
        for i, of_run in enumerate(values):
            p = sign_flip_test((of_run - values[winner])[:, columns])
            for k, chance in zip(columns, p, strict=True):
                tie = "tie" if chance >= 1 - LEVEL else ""
                marks[i][METRIC_NAMES[k]] = "best" if i == winner else tie
    return marks


def _prediction(run: SavedEvaluation) -> tuple[str, tuple[int, int] | None]:
    about = run.summary.get("prediction")
    about = about if isinstance(about, Mapping) else {}
    size = about.get("height"), about.get("width")
    return about.get("depth_network") or "", size if all(isinstance(value, int) for value in size) else None


def _cost(network: str, size: tuple[int, int]) -> tuple[int, int]:
    """Count parameters and multiply-accumulates of a depth network."""
    import paddle

    from networks.cost import count_macs, count_parameters, depth_prediction

    paddle.set_device("cpu")
    layers, run = depth_prediction(network, size)
    with paddle.no_grad():
        return count_parameters(layers), count_macs(layers, run)


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Label runs by what distinguishes their paths: the components between the common start and the common end."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    if len(set(parts)) < len(parts):
        raise DataError("A run is listed twice. Pass each run once.")
    if len(parts) == 1:
        return [parts[0][-2]]  # the folder of frames.csv
    start = _common(parts)
    end = _common([of[:start:-1] for of in parts])
    return ["/".join(of[start : len(of) - end]) for of in parts]


def _common(lists: Sequence[Sequence[str]]) -> int:
    """Count the items that all lists begin with."""
    return next((i for i, items in enumerate(zip(*lists, strict=False)) if len(set(items)) > 1), min(map(len, lists)))


def caption(run: SavedEvaluation, entries: int) -> str:
    """Describe the protocol of a leaderboard in one line."""
    known = settings_of(run)
    scored = len(_scored(run))
    aligned = "median scaling" if known["median_scaling"] else f"depth scaled by {known['scale_factor']:g}"
    if known["disparity_fit"]:
        aligned = f"least-squares fit ({known['disparity_fit']})"
    scope = ", one for all frames" if known["per_dataset"] else ""
    return (
        f"{entries} evaluations of {known.get('split', 'a split')}, {scored} frames, {known.get('ground truth', '')} "
        f"ground truth, crop {known['crop']}, cap {known['cap']:g} m, {aligned}{scope}"
    )
