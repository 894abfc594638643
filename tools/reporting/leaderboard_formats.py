"""Leaderboards as Markdown, LaTeX, and one HTML page with a scatter plot of error and cost."""

import html
import math
from collections.abc import Sequence

import numpy as np

from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.statistics import DRAWS, LEVEL
from evaluation.result_tables import latex_escaped
from tools.reporting.leaderboard import HIGHER_IS_BETTER, Entry
from tools.reporting.page_template import render_page

TIE = "≈"
LEGEND = (
    f"Bold: best. {TIE}: does not differ significantly from the best (p ≥ {1 - LEVEL:.2f} in a paired test: {DRAWS} "
    "random sign flips of the differences per frame, not corrected for several comparisons). Neighbouring frames are "
    "correlated, so fewer differences are real than the test finds."
)
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 380, 76, 28, 34, 50  # of the plot, and its margins


def cells(entry: Entry) -> list[str]:
    """Format the columns between the name and the metrics: network, size, parameters and MACs."""
    size = "–" if entry.size is None else f"{entry.size[1]}×{entry.size[0]}"
    costs = [
        "–" if value is None else f"{value / unit:.1f}" for value, unit in ((entry.params, 1e6), (entry.macs, 1e9))
    ]
    return [entry.network or "–", size, *costs]


def markdown(entries: Sequence[Entry], metric: str, title: str) -> str:
    """Format the table as Markdown."""
    header = ["", "network", "input", "M params", "GMACs", *METRIC_NAMES, f"{metric}, 95 % interval"]
    rows = [header, ["---"] * len(header)]
    for entry in entries:
        values = [_markdown_value(entry, name) for name in METRIC_NAMES]
        rows.append(
            [entry.name.replace("|", "\\|"), *cells(entry), *values, f"{entry.low:.3f}–{entry.high:.3f}"],
        )
    return "\n".join([title, "", *(f"| {' | '.join(row)} |" for row in rows), "", LEGEND, ""])


def _markdown_value(entry: Entry, name: str) -> str:
    value, mark = f"{entry.means[name]:.3f}", entry.marks[name]
    return f"**{value}**" if mark == "best" else f"{value} {TIE}" if mark else value


def latex(entries: Sequence[Entry], metric: str, title: str) -> str:
    """Format the table as a LaTeX ``tabular``."""
    arrows = ["uparrow" if name in HIGHER_IS_BETTER else "downarrow" for name in METRIC_NAMES]
    header = ["", "network", "input", "M params", "GMACs"]
    header += [rf"{latex_escaped(name)} $\{arrow}$" for name, arrow in zip(METRIC_NAMES, arrows, strict=True)]
    header.append(latex_escaped(f"{metric}, 95 % interval"))
    lines = [f"% {title}", rf"\begin{{tabular}}{{ll{'r' * (len(header) - 2)}}}", r"\hline"]
    lines.append(" & ".join(header) + r" \\ \hline")
    for entry in entries:
        values = [_latex_value(entry, name) for name in METRIC_NAMES]
        words = [_latex_text(text) for text in (entry.name, *cells(entry))]
        lines.append(" & ".join([*words, *values, f"{entry.low:.3f}--{entry.high:.3f}"]) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", f"% {LEGEND.replace(TIE, 'approx')}", ""])


def _latex_text(text: str) -> str:
    return latex_escaped(text).replace("×", r"$\times$").replace("–", "--")


def _latex_value(entry: Entry, name: str) -> str:
    value, mark = f"{entry.means[name]:.3f}", entry.marks[name]
    return rf"\textbf{{{value}}}" if mark == "best" else rf"{value}$^\approx$" if mark else value


def page(entries: Sequence[Entry], metric: str, title: str) -> str:
    """Build the table as one self-contained HTML page, with a scatter plot of error and MACs."""
    values = {
        "entries": entries,
        "metric": metric,
        "metric_names": METRIC_NAMES,
        "higher_is_better": HIGHER_IS_BETTER,
        "title": title,
        "legend": LEGEND,
        "cells": cells,
        "tie": TIE,
        "plot": scatter_plot(entries, metric),
        "unplotted": [entry.name for entry in entries if entry.macs is None],
    }
    return render_page("leaderboard.html", values)


def scatter_plot(entries: Sequence[Entry], metric: str) -> str:
    """Draw error against multiply-accumulates (logarithmic) as inline SVG; "" if no network is known.

    Points have the rank of their entry, and a colour per network.
    """
    shown = [(rank, entry) for rank, entry in enumerate(entries, start=1) if entry.macs is not None]
    if not shown:
        return ""
    logs = [math.log10(entry.macs / 1e9) for _, entry in shown]
    values = [entry.means[metric] for _, entry in shown]
    (x_low, x_high), (y_low, y_high) = _range(logs, 0.15), _range(values, 0.01)
    networks = sorted({entry.network for _, entry in shown})

    def x(log: float) -> float:
        return _LEFT + (log - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{metric} against GMACs">']
    parts.append(f'<text x="4" y="18">{metric}</text>')
    step = _step(y_high - y_low)
    for value in np.arange(math.ceil(y_low / step), math.floor(y_high / step) + 1) * step:
        line = f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        parts.append(f'{line}<text x="{_LEFT - 8}" y="{y(value) + 5:.1f}" text-anchor="end">{value:.4g}</text>')
    for gmacs in _ticks(x_low, x_high):
        at = x(math.log10(gmacs))
        line = f'<line class="rule" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        parts.append(f'{line}<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{gmacs:g}</text>')
    taken: list[tuple[float, float]] = []  # of the labels
    for (rank, entry), log, value in sorted(zip(shown, logs, values, strict=True), key=lambda point: y(point[2])):
        at = x(log), y(value)
        label = at[1] + 5
        while any(abs(at[0] - other) < 24 and abs(label - there) < 15 for other, there in taken):
            label += 1
        taken.append((at[0], label))
        colour = f"network-{networks.index(entry.network) % 6}"
        text = html.escape(f"{entry.name}: {entry.network}, {entry.macs / 1e9:.1f} GMACs, {metric} {value:.3f}")
        parts.append(
            f'<g class="{colour}"><title>{text}</title><circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="6"/>'
            f'<text x="{at[0] + 10:.1f}" y="{label:.1f}">{rank}</text></g>'
        )
    parts.append(
        f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">GMACs per image</text></svg>'
    )
    keys = "".join(
        f'<span class="network-{i % 6}"><i></i>{html.escape(name)}</span>' for i, name in enumerate(networks)
    )
    return "".join(parts) + f'<p class="keys">{keys}</p>'


def _range(values: Sequence[float], least: float) -> tuple[float, float]:
    """Return the ends of an axis: a margin around the values, or ``least`` on each side if they are close."""
    margin = max(0.12 * (max(values) - min(values)), least)
    return min(values) - margin, max(values) + margin


def _step(span: float) -> float:
    """Return a round distance that divides an axis into 3 to 7 parts."""
    power = 10.0 ** math.floor(math.log10(span))
    return next(step * power for step in (0.2, 0.5, 1.0, 2.0) if span / (step * power) <= 7)


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two powers of 10: 1, 2 and 5 times powers of 10, or the ends if there are none."""
    found = [
        step * 10.0**power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for step in (1, 2, 5)
        if low <= math.log10(step * 10.0**power) <= high
    ]
    return found or [float(f"{10 ** ((low + high) / 2):.2g}")]
