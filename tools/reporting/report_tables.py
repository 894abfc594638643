"""Tables of the report: metrics and baselines, options, versions, timings, watchdog findings."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError, UserError
from datasets.build import dataset_class
from evaluation.leakage_check import training_overlap
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.depth_protocol import DepthEvaluation
from evaluation.metrics.regions import THIRDS
from evaluation.metrics.statistics import scale_consistency
from evaluation.result_files import FRAMES_FILE, LATEX_FILE, MARKDOWN_FILE, SUMMARY_FILE
from evaluation.result_tables import UNCERTAINTY_GROUP
from options import OPTION_FIELDS, Options
from tools.reporting.baseline_scores import (
    BEFORE,
    MEAN_MAP,
    MEDIAN_SCALED,
    STEREO_SCALED,
    EvalSplit,
    SplitScores,
    baseline_protocol,
    score_baselines,
    score_starting_weights,
    score_weights,
)
from tools.reporting.report_pictures import Picture, make_picture
from tools.reporting.run_folder import RunFolder
from training.diagnostics import PREFIX
from training.run_metadata import describe_machine

MAX_BASELINE_FRAMES = 1000  # takes about a minute; more frames hardly change the mean
LOWER_IS_BETTER = METRIC_NAMES[:4]
PART_TITLES = {"aligned": "scale and shift aligned", "above": "above the ground"}
SPARSIFIED = ("abs_rel", "rmse", "a1")
Summaries = Mapping[str, Mapping[str, Any]]  # from evaluation.result_files.summarise


@dataclass(frozen=True)
class MetricRow:
    """A row of the metrics table: name, values in the order of ``METRIC_NAMES``, and which of them are the best."""

    name: str
    values: tuple[float, ...]
    best: tuple[bool, ...]


@dataclass(frozen=True)
class Scores:
    """The metrics section of the report.

    Attributes:
        verdict: One-line summary.
        rows: Rows of the metrics table; empty if nothing could be scored.
        notes: Protocol and remarks, or why nothing was scored.
        timing: Time for prediction and scoring, or "".
        parts: Rows by distance and region, and after alignment: name, and the mean, or "–", of each metric.
        beyond: Sentences on confidence intervals, scale, edges and point clouds.
        extremes: Worst and best frames: rank ("worst 1"), split line and picture.
        rows_for_papers: Format ("Markdown", "LaTeX") -> table row.
        files: Name -> data URI of the result files of evaluate_depth.py.
    """

    verdict: str
    rows: tuple[MetricRow, ...]
    notes: tuple[str, ...]
    timing: str = ""
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    beyond: tuple[str, ...] = ()
    extremes: tuple[tuple[str, str, Picture], ...] = ()
    rows_for_papers: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OptionRow:
    """A training option: name, value and default as text, and whether they differ."""

    name: str
    value: str
    default: str
    changed: bool


def score_run(run: RunFolder, test: EvalSplit) -> Scores:
    """Score the run's weights and the baselines on a test split. Notes report what cannot be scored.

    Raises:
        WeightsError: The weights are missing or damaged, or do not fit the network.
    """
    opt, notes = run.options, []
    try:
        scores = score_weights(opt, test)
    except DataError as error:
        return Scores("Not scored: see Metrics", (), (str(error),))
    try:
        baselines = score_baselines(opt, test, MAX_BASELINE_FRAMES)
    except DataError as error:
        baselines = {}
        notes.append(f"Baselines unavailable: {error}")
    if run.trained.load_weights_folder:
        try:
            baselines[BEFORE] = score_starting_weights(opt, test, Path(run.trained.load_weights_folder))
        except UserError as error:
            notes.append(f"The weights before this training are not scored: {error}")
    means = {name: result.means for name, result in {**baselines, **scores.rows}.items()}
    counted = scores.num_frames - len(scores.rows[MEDIAN_SCALED].skipped)
    described = f"{counted} test frames of {test.name}, {test.truth.kind} ground truth, "
    described += f"{baseline_protocol(opt, test).describe()}. All rows are median-scaled"
    if opt.use_stereo:
        factor = dataset_class(opt.dataset).STEREO_SCALE_FACTOR
        described += f" except the last, which is stereo-scaled (depth times {factor:g})"
    saved = run.metrics_of(test.name)
    if saved is not None:
        notes.append(_compare_saved(saved, scores.rows))
    trained_on = len(training_overlap(run.weights, test.dataset.lines, opt).seen)
    if trained_on:
        notes.append(
            f"{trained_on} of the test frames were used for training. The scores do not measure generalisation."
        )
    rate = scores.num_frames / scores.seconds
    return Scores(
        _verdict(means, counted),
        _rows(means),
        (f"{described}.", *notes),
        f"{scores.seconds:.1f} s for {scores.num_frames} frames, {rate:.1f} frames/s",
        _parts(scores.summaries),
        _beyond(scores),
        tuple(
            (name.replace("_", " "), test.frame_names[i], make_picture("", "", panel))
            for name, i, panel in scores.extremes
        ),
        {title: scores.files[name] for title, name in (("Markdown", MARKDOWN_FILE), ("LaTeX", LATEX_FILE))},
        {name: _data_uri(scores.files[name]) for name in (FRAMES_FILE, SUMMARY_FILE)},
    )


def _data_uri(text: str) -> str:
    return f"data:text/plain;base64,{base64.b64encode(text.encode()).decode()}"


def _parts(summaries: Summaries) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return name and means of the seven metrics for each region that contains scored pixels."""
    names = [name.partition("/")[0] for name in summaries if name.endswith("/abs_rel")]
    rows = []
    for part in names:
        means = [summaries[f"{part}/{metric}"]["mean"] for metric in METRIC_NAMES]
        if any(mean is not None for mean in means):
            title = f"{part} third" if part in (*THIRDS[0], *THIRDS[1]) else PART_TITLES.get(part, part)
            title = re.sub(r"^(\d+)-(\d+)m$", "\\1–\\2 m", title)
            rows.append((title, tuple("–" if mean is None else f"{mean:.3f}" for mean in means)))
    return tuple(rows)


def _beyond(scores: SplitScores) -> tuple[str, ...]:
    """Describe the confidence interval, scale, depth edges and point clouds, as far as available."""
    values = scores.summaries
    interval, scale = values["abs_rel"], scale_consistency(scores.rows[MEDIAN_SCALED].ratios)
    texts = [
        f"95% bootstrap interval of abs_rel over the frames: {interval['low']:.3f} to {interval['high']:.3f}.",
        f"Median scaling ratio: {scale['median']:.3g}, relative standard deviation {scale['relative_std']:.1%}.",
    ]
    if values["edges/accuracy"]["mean"] is not None:
        near, found = (values[f"edges/{name}"]["mean"] for name in ("accuracy", "completeness"))
        texts.append(f"Depth edges: accuracy {near:.2f} px, completeness {found:.2f} px (lower is better).")
    if "cloud/f_score" in values:
        distance, score = (values[f"cloud/{name}"]["mean"] for name in ("chamfer", "f_score"))
        texts.append(f"Point clouds: Chamfer distance {distance:.2f} m, F-score at 0.1 m {score:.3f}.")
    if f"{UNCERTAINTY_GROUP}/ause_abs_rel" in values:
        ause, aurg = (
            ", ".join(f"{values[f'{UNCERTAINTY_GROUP}/{area}_{name}']['mean']:.3f} ({name})" for name in SPARSIFIED)
            for area in ("ause", "aurg")
        )
        texts.append(
            f"Uncertainty, the disagreement with the mirrored image: AUSE {ause}; 0 is perfect. AURG {aurg}; above 0 "
            "is better than random."
        )
    return tuple(texts)


def _verdict(means: Mapping[str, Mapping[str, float]], counted: int) -> str:
    own = means[MEDIAN_SCALED]["abs_rel"]
    comparisons = []
    for name, title in ((MEAN_MAP, f"the {MEAN_MAP}"), (BEFORE, "before this training")):
        if name in means:
            other = means[name]["abs_rel"]
            change = 1 - own / other
            comparisons.append(f"{abs(change):.0%} {'better' if change >= 0 else 'worse'} than {title} ({other:.3f})")
    text = f"abs_rel {own:.3f} on {counted} test frames"
    return f"{text}: {', '.join(comparisons)}" if comparisons else text


def _rows(means: Mapping[str, Mapping[str, float]]) -> tuple[MetricRow, ...]:
    """Build the rows and mark the best value per column among the median-scaled rows."""
    compared = [values for name, values in means.items() if name != STEREO_SCALED]
    best = {
        metric: (min if metric in LOWER_IS_BETTER else max)(values[metric] for values in compared)
        for metric in METRIC_NAMES
    }
    return tuple(
        MetricRow(
            name,
            tuple(values[metric] for metric in METRIC_NAMES),
            tuple(name != STEREO_SCALED and values[metric] == best[metric] for metric in METRIC_NAMES),
        )
        for name, values in means.items()
    )


def _compare_saved(saved: Mapping[str, float], rows: Mapping[str, DepthEvaluation]) -> str:
    """Report which row, if any, equals the saved metrics of evaluate_depth.py."""
    values = [saved[metric] for metric in METRIC_NAMES]
    for name, result in rows.items():
        if np.allclose(values, [result.means[metric] for metric in METRIC_NAMES], rtol=1e-3):
            return f"Row “{name}” matches the metrics that evaluate_depth.py saved."
    return (
        f"The metrics that evaluate_depth.py saved (abs_rel {saved['abs_rel']:.3f}) match no row. They were produced "
        "with other options."
    )


def option_rows(opt: Options) -> list[OptionRow]:
    """List all options of a training with their defaults."""
    values = opt.as_dict()
    rows = []
    for name, option in OPTION_FIELDS.items():
        default = list(option.default) if isinstance(option.default, tuple) else option.default
        rows.append(OptionRow(name, _text(values[name]), _text(default), values[name] != default))
    return rows


def training_sources(opt: Options) -> str:
    """Describe what a training sees: "stereo pairs", "video (frames 0 -1 1)", or both."""
    video = [f"video (frames {_text(list(opt.frame_ids))})"] if len(opt.frame_ids) > 1 else []
    return " and ".join([*video, *(["stereo pairs"] if opt.use_stereo else [])]) or "single frames"


def version_rows(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """List versions and machine of the training and of the report: (name, training, report)."""
    now = describe_machine()
    return [(name, _text(record.get(name, "not recorded")), _text(value)) for name, value in now.items()]


def timing_rows(record: Mapping[str, Any], evaluation: str) -> list[tuple[str, str]]:
    """List the recorded timings of a run: (name, duration).

    Args:
        record: Content of ``run.json``; empty if it is missing.
        evaluation: Duration of the evaluation, or "".
    """
    rows = []
    try:
        training, waiting = float(record["training_seconds"]), float(record["waiting_seconds"])
        steps, batch_size = int(record["steps"]), int(record["batch_size"])
        compiled = "static graph" if record["compiled"] else "eager mode"
        if record.get("kernels"):  # absent in records of earlier versions
            compiled += ", C++ operators"
        rows = [
            ("training", f"{_duration(training)} for {steps} steps of batch size {batch_size}, {compiled}"),
            ("median step", f"{float(record['median_step_seconds']):.3g} s"),
            (
                "waiting for data",
                f"{_duration(waiting)}, {waiting / max(training + waiting, 1e-9):.0%} of the training loop",
            ),
            ("samples per second", f"{steps * batch_size / max(training + waiting, 1e-9):.1f}"),
            ("validation", _duration(float(record["validation_seconds"]))),
        ]
    except (KeyError, TypeError, ValueError):
        rows = [("training", "not recorded: run.json is missing, or was written by another version of this project")]
    return [*rows, *([("evaluation", evaluation)] if evaluation else [])]


def watchdog_notes(scalars: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], str]:
    """Return the watchdog's findings in the order of steps, and the text to show if there are none.

    Args:
        scalars: Lines of ``scalars.jsonl``.
    """
    found = [line for line in scalars if line["part"] == "watchdog"]
    texts = [
        f"Step {line['step']}: {text}" for line in found for key, text in line.items() if key not in ("part", "step")
    ]
    watched = any(key.startswith(PREFIX) for line in scalars for key in line)
    return tuple(texts), "Watchdog: no problems found." if watched else "Watchdog: not active in this run."


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _text(value: Any) -> str:
    """Format a value as on the command line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
