"""Assembly of the training report: one self-contained HTML page."""

import dataclasses
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import cv2
import paddle

from common.environment import set_device
from common.errors import DataError
from datasets.build import dataset_class
from datasets.transforms import scale_intrinsics
from evaluation.metrics.depth_metrics import METRIC_NAMES
from tools.reporting.baseline_scores import EvalSplit, open_test_split
from tools.reporting.curves import draw_curves
from tools.reporting.frame_panels import FrameOutputs, MetricDepth, find_scale, run_frames
from tools.reporting.page_template import render_page
from tools.reporting.point_cloud_viewer import encode_cloud, encode_dense_cloud, viewer_html
from tools.reporting.report_pictures import (
    Picture,
    disparity_bar,
    error_bar,
    even_columns,
    frame_pictures,
    readable_frame,
    typical_pictures,
)
from tools.reporting.report_tables import (
    LOWER_IS_BETTER,
    Scores,
    option_rows,
    score_run,
    timing_rows,
    training_sources,
    version_rows,
    watchdog_notes,
)
from tools.reporting.robustness import robustness_section
from tools.reporting.run_folder import RunFolder, read_trajectories


def build_report(run: RunFolder, num_frames: int) -> str:
    """Build the report of a run as HTML. Missing optional parts are replaced by a note.

    Args:
        run: The run.
        num_frames: Number of frames to show.

    Raises:
        WeightsError: The weights are missing or damaged, or do not fit the network.
        UserError: The requested device is unavailable.
    """
    set_device(run.options.device)
    device = paddle.get_device().partition(":")[0]
    run = dataclasses.replace(run, options=run.options.replace(device=device))
    opt = run.options
    test, problem = _open_test(run)
    if test is None:
        print(
            f"No test frames for metrics and pictures; pass --data_path if the data has moved. {problem}",
            file=sys.stderr,
        )
    scores = score_run(run, test) if test else Scores("Not scored: no test split", (), (problem,))
    frames, part = run_frames(opt, test, num_frames)
    stereo_factor = dataset_class(opt.dataset).STEREO_SCALE_FACTOR if opt.use_stereo else None
    scales = [find_scale(frame, stereo_factor) for frame in frames]
    shown = [(frame, frame_pictures(frame, scale)) for frame, scale in zip(frames, scales, strict=True)]
    values = {
        "run": run,
        "started": _readable_time(run.record.get("started", "")),
        "scores": scores,
        "metric_names": METRIC_NAMES,
        "sources": training_sources(run.trained),
        "trajectories": read_trajectories(run.weights),
        "robustness": robustness_section(run, test),
        "curves": draw_curves(run.scalars),
        "watchdog": watchdog_notes(run.scalars),
        "shown": shown,
        "part": part,
        "typical": typical_pictures(shown[0][1]) if shown else [],
        "bars": [disparity_bar(), error_bar()] if scores.extremes else [],
        "cloud": _cloud(frames, scales),
        "options": option_rows(run.trained),
        "versions": version_rows(run.record),
        "timings": timing_rows(run.record, scores.timing),
    }
    filters = {"readable": readable_frame, "columns": even_columns, "arrow": _arrow, "shape": _shape}
    return render_page("report.html", values, filters)


def _arrow(metric: str) -> str:
    """Return a metric's name with an arrow in the direction of better values."""
    return f"{metric} {'↓' if metric in LOWER_IS_BETTER else '↑'}"


def _shape(pictures: Sequence[Picture]) -> str:
    """Return the aspect ratio, as CSS, at which all pictures of a frame are shown: that of its ground truth.

    The input size of the network usually has a slightly different one, which would misalign the rows.
    """
    return f"{pictures[-1].width} / {pictures[-1].height}"


def _readable_time(text: str) -> str:
    """Return a recorded time (ISO 8601) to the minute; other texts unchanged."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %Z}"
    except (ValueError, TypeError):
        return str(text)


def _open_test(run: RunFolder) -> tuple[EvalSplit | None, str]:
    """Return the test split, or None and the reason."""
    try:
        return open_test_split(run.options), ""
    except DataError as error:
        return None, str(error)


def _cloud(frames: list[FrameOutputs], scales: list[MetricDepth]) -> dict[str, Any] | None:
    """Return the viewer of the first frame with ground truth: "predicted" and, if available, "ground truth"."""
    if not frames:
        return None
    pairs = list(zip(frames, scales, strict=True))
    frame, scale = next((pair for pair in pairs if _has_truth(pair[0])), pairs[0])
    clouds = {"predicted": encode_dense_cloud(scale.of(frame.scaled_disp), frame.image, frame.K, scale.far)}
    if _has_truth(frame):
        depth = frame.truth.depth
        image = cv2.resize(frame.image, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)
        K = scale_intrinsics(frame.K, frame.image.shape[:2], depth.shape)
        clouds["ground truth"] = encode_cloud(depth, image, K, scale.far)
    viewer = viewer_html(clouds)
    return {
        "name": frame.name,
        "unit": scale.unit,
        "far": scale.far,
        "has_truth": "ground truth" in clouds,
        "viewer": viewer,
    }


def _has_truth(frame: FrameOutputs) -> bool:
    return frame.truth is not None and bool((frame.truth.depth > 0).any())
