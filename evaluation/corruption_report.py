"""Report the scores of corrupted images: a table, and files next to those of the clean images."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from common.errors import DataError
from datasets.corruptions import SEVERITIES
from datasets.mono_dataset import MonoDataset
from evaluation.corruption_scores import (
    CORRUPTIONS_FILE,
    CorruptionScores,
    read_corruptions,
    score_corruptions,
    setting_of,
)
from evaluation.depth_report import output_folder
from evaluation.ground_truth import find_ground_truth, protocol_from
from evaluation.result_files import write_results
from options import Options

TABLE_FILE = "corruptions.md"


def read_baseline(opt: Options) -> CorruptionScores | None:
    """Read the scores of ``--corruptions_baseline``, named after that folder; None without that option.

    Raises:
        DataError: There are none, or they are damaged.
    """
    if opt.corruptions_baseline is None:
        return None
    scores = read_corruptions(Path(opt.corruptions_baseline), opt.eval_split_name)
    if scores is None:
        raise DataError(
            f"--corruptions_baseline {opt.corruptions_baseline} has no "
            f"scores_{opt.eval_split_name}/{CORRUPTIONS_FILE}. "
            "Pass the output folder of evaluate_depth.py --corruptions all, by default the folder of the weights."
        )
    return dataclasses.replace(scores, name=opt.corruptions_baseline)


def report_corruptions(
    opt: Options,
    dataset: MonoDataset,
    split_dir: Path,
    disps: Iterable[np.ndarray],
    baseline: CorruptionScores | None = None,
) -> CorruptionScores:
    """Score corrupted images, print a table, and write ``corruptions.json`` and ``corruptions.md``.

    Args:
        dataset, split_dir: From ``build_test_dataset``.
        disps: Scaled disparities of each frame, as in ``score_corruptions``; not read if the baseline does not fit.
        baseline: Scores for the corruption error.

    Raises:
        DataError: Disparities or ground truth are damaged, or the baseline was scored otherwise.
        UserError: A file cannot be written.
    """
    truth = find_ground_truth(opt, dataset, split_dir)
    protocol = protocol_from(opt, type(dataset), truth.kind)
    setting = setting_of(opt.eval_split_name, dataset, truth, protocol)
    if baseline is not None:
        baseline.check_comparable(setting, opt.corruption_names)
    name = Path(str(opt.load_weights_folder)).absolute().name
    scores = score_corruptions(name, setting, opt.corruption_names, disps, dataset, truth, protocol)
    if baseline is not None:
        scores = scores.relative_to(baseline)
    rows = table_rows(scores)
    ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    table = "\n".join(f"| {' | '.join(row)} |" for row in ruled) + "\n"
    folder = output_folder(opt) / f"scores_{opt.eval_split_name}"
    write_results(folder, {CORRUPTIONS_FILE: scores.as_json(), TABLE_FILE: table})
    print(f"{format_rows(rows)}\n{describe(scores)}")
    if baseline is None:
        print("For the mean corruption error (mCE), pass --corruptions_baseline with the output of another evaluation.")
    print(f"Saved scores of corrupted images to {folder / CORRUPTIONS_FILE}, and the table to {TABLE_FILE}")
    return scores


def table_rows(scores: CorruptionScores) -> list[list[str]]:
    """Return the cells of the table: a header, each corruption, and their mean.

    Columns: abs_rel by severity and its mean, the resilience rate (RR), and with a baseline the corruption error (CE).
    """
    header = ["abs_rel", *(f"severity {severity}" for severity in SEVERITIES), "mean", "RR, %"]
    columns = [scores.abs_rel, scores.abs_rel.mean(axis=1, keepdims=True), 100 * scores.resilience[:, None]]
    if scores.errors is not None:
        header.append("CE, %")
        columns.append(100 * scores.errors[:, None])
    values = np.concatenate(columns, axis=1)
    rows, errors = [header], len(SEVERITIES) + 1
    for name, row in zip((*scores.names, "mean"), (*values, values.mean(axis=0)), strict=True):
        rows.append([name, *(f"{value:.3f}" for value in row[:errors]), *(f"{value:.1f}" for value in row[errors:])])
    return rows


def format_rows(rows: list[list[str]]) -> str:
    """Align the cells of a table for a terminal: names left, values right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        right = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join([name.ljust(widths[0]), *right]))
    return "\n".join(lines)


def describe(scores: CorruptionScores) -> str:
    """Describe clean error, mean resilience rate (mRR), and with a baseline the mean corruption error (mCE)."""
    text = f"Clean abs_rel {scores.clean[0]:.3f}, with corruptions {scores.abs_rel.mean():.3f}; "
    text += f"mean resilience rate (mRR) {100 * scores.resilience.mean():.1f} %"
    if scores.errors is not None:
        text += f"; mean corruption error (mCE) {100 * scores.errors.mean():.1f} % of {scores.baseline}"
    return text
