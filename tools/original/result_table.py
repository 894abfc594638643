"""The comparison as one Markdown table, and its verdict."""

import numpy as np

from evaluation.metrics.depth_metrics import METRIC_NAMES
from tools.original.verdict import Comparison, allowed_differences, judge_losses, judge_scores

_EARLY_STEPS = 3  # shown one by one; rounding grows fastest there


def format_comparison(comparison: Comparison) -> tuple[str, bool]:
    """Format the comparison.

    Returns:
        The table with the verdict below it, and whether the implementations agree.
    """
    rows = [*_loss_rows(comparison), *_score_rows(comparison), *_cost_rows(comparison)]
    head = ("", "this project", "original", "difference", "original from itself", "explained by rounding")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [_line(head, widths), _line(["-" * width for width in widths], widths)]
    lines += [_line(row, widths) for row in rows]
    verdicts = [verdict for verdict in (judge_losses(comparison), judge_scores(comparison.scores)) if verdict]
    agrees = all(verdict.agrees for verdict in verdicts)
    result = "the implementations agree." if agrees else "the implementations differ."
    threads = comparison.threads
    about = (
        f"Paddle {comparison.versions['ours']}; PyTorch {comparison.versions['original']}; CPU threads: "
        f"{threads['original']}; the original from itself: with {threads['repeated']}, "
        "from weights changed by one unit in the last place."
    )
    return "\n".join([*lines, about, f"Verdict: {result}", *(f"  {verdict.reason}" for verdict in verdicts)]), agrees


def _loss_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    ours, repeated = (comparison.differences(name) for name in ("ours", "repeated"))
    allowed = allowed_differences(repeated)
    rows = []
    for step in _shown_steps(len(ours)):
        losses = (f"{comparison.losses[name][step]:.6f}" for name in ("ours", "original"))
        limit = f"{allowed[step]:.1e}" if np.isfinite(allowed[step]) else "not judged"
        rows.append((f"loss, step {step + 1}", *losses, f"{ours[step]:.1e}", f"{repeated[step]:.1e}", limit))
    rows.append(("loss, largest of all steps", "", "", f"{ours.max():.1e}", f"{repeated.max():.1e}", ""))
    return rows


def _shown_steps(steps: int) -> list[int]:
    """Return the first steps, then every fifth, and the last, from 0."""
    return sorted({*range(min(_EARLY_STEPS, steps)), *range(4, steps, 5), steps - 1})


def _score_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    if comparison.scores is None:
        return [("metrics", "no test frames", "", "", "", "")]
    rows = []
    for scaling, (ours, theirs) in comparison.scores.means().items():
        for name, one, other in zip(METRIC_NAMES, ours, theirs, strict=True):
            difference = abs(one - other) / abs(other) if other else abs(one - other)
            rows.append((f"{name}, {scaling}-scaled", f"{one:.7f}", f"{other:.7f}", f"{difference:.1e}", "", ""))
    return rows


def _cost_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    seconds = [comparison.seconds_per_step(name) for name in ("ours", "original")]
    memory = [comparison.peak_memory_mb[name] for name in ("ours", "original")]
    return [
        ("seconds per step, median", *(f"{value:.2f}" for value in seconds), _ratio(*seconds), "", ""),
        ("peak memory, MiB", *(str(value) for value in memory), _ratio(*memory), "", ""),
    ]


def _ratio(ours: float, original: float) -> str:
    return f"x {ours / original:.2f}" if original and np.isfinite(ours / original) else ""


def _line(cells, widths) -> str:
    return "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)) + " |"
