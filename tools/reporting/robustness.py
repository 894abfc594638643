"""Robustness section of the report: a heat map of the errors on corrupted images, and pictures of the corruptions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np

from common.colormap import colourise_disparity
from common.errors import DataError
from common.images import read_image
from datasets.corruptions import SEVERITIES, corrupt, frame_seed
from evaluation.corruption_report import describe
from evaluation.corruption_scores import CorruptionScores, read_corruptions
from inference.corruption_prediction import predict_corrupted
from tools.reporting.baseline_scores import EvalSplit
from tools.reporting.report_pictures import Picture, make_picture
from tools.reporting.run_folder import RunFolder

SHOWN_SEVERITY = 3
PICTURE_WIDTH = 400  # pixels
DARKEST = 2.0  # ratio of an error to the clean one that has the strongest colour


@dataclass(frozen=True)
class HeatRow:
    """A row of the heat map: name, cells as (text, background, text colour), and columns without colour as texts."""

    name: str
    cells: tuple[tuple[str, str, str], ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Robustness:
    """The robustness section.

    Attributes:
        summary: One sentence.
        severities: Titles of the coloured columns.
        titles: Titles of the other columns.
        rows: Rows of the heat map, the clean images first.
        pictures: The first test frame with each corruption, above its predicted disparity.
        frame: Split line of that frame.
        severity: Severity of the pictures.
        problem: Why there are no scores or pictures, or "".
    """

    summary: str
    severities: tuple[int, ...] = SEVERITIES
    titles: tuple[str, ...] = ()
    rows: tuple[HeatRow, ...] = ()
    pictures: tuple[Picture, ...] = ()
    frame: str = ""
    severity: int = SHOWN_SEVERITY
    problem: str = ""


def robustness_section(run: RunFolder, test: EvalSplit | None) -> Robustness | None:
    """Build the section from the scores that ``evaluate_depth.py --corruptions`` saved next to the weights.

    Returns:
        The section; None if there are no such scores.

    Raises:
        WeightsError: The weights are missing or damaged, or do not fit the network.
    """
    try:
        scores = read_corruptions(run.weights, test.name) if test else None
    except DataError as error:
        return Robustness("", problem=str(error))
    if scores is None:
        return None
    titles, rows = _heat_map(scores)
    frame, pictures, problem = str(test.dataset.lines[0]), (), ""
    try:
        pictures = _pictures(run, test, scores.names)
    except DataError as error:
        problem = f"No pictures: {error}"
    return Robustness(f"{describe(scores)}.", titles=titles, rows=rows, pictures=pictures, frame=frame, problem=problem)


def _heat_map(scores: CorruptionScores) -> tuple[tuple[str, ...], tuple[HeatRow, ...]]:
    """Return the titles of the columns behind the severities, and the rows."""
    titles = ("RR, %", *(() if scores.errors is None else ("CE, %",)))
    clean = float(scores.clean[0])
    rows = [HeatRow("clean", (_cell(clean, clean),) * len(SEVERITIES), ("",) * len(titles))]
    columns = [scores.resilience, *(() if scores.errors is None else (scores.errors,))]
    values = np.vstack([scores.abs_rel, scores.abs_rel.mean(axis=0)])
    others = np.stack([[*column, column.mean()] for column in columns], axis=1)
    for name, errors, shares in zip((*scores.names, "mean"), values, others, strict=True):
        cells = tuple(_cell(float(error), clean) for error in errors)
        rows.append(HeatRow(name.replace("_", " "), cells, tuple(f"{100 * share:.1f}" for share in shares)))
    return titles, tuple(rows)


def _cell(error: float, clean: float) -> tuple[str, str, str]:
    """Return an error's text, its background by the ratio to the clean error, and a readable colour of the text."""
    share = float(np.clip((error / clean - 1) / (DARKEST - 1), 0, 1))
    red, green, blue = (round(255 * value) for value in matplotlib.colormaps["YlOrRd"](0.85 * share)[:3])
    light = 0.299 * red + 0.587 * green + 0.114 * blue > 140
    return f"{error:.3f}", f"rgb({red}, {green}, {blue})", "#1c2430" if light else "#ffffff"


def _pictures(run: RunFolder, test: EvalSplit, names: Sequence[str]) -> tuple[Picture, ...]:
    """Draw the first test frame with each corruption, above its disparity.

    Raises:
        DataError: The image is missing or damaged.
    """
    line = test.dataset.lines[0]
    image = read_image(Path(test.dataset.frame_paths(line)[0]))
    one = test.dataset.replace(lines=[line])
    (disps,) = predict_corrupted(run.options.replace(num_workers=0), one, names, [SHOWN_SEVERITY])
    size = (PICTURE_WIDTH, round(PICTURE_WIDTH * image.shape[0] / image.shape[1]))
    images = [image, *(corrupt(image, name, SHOWN_SEVERITY, frame_seed(str(line))) for name in names)]
    pictures = []
    for name, seen, disp in zip(("clean", *names), images, disps, strict=True):
        parts = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (seen, colourise_disparity(disp)))
        pictures.append(make_picture(name.replace("_", " "), "", np.concatenate(list(parts))))
    return tuple(pictures)
