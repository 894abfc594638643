"""Plots of a run's logged scalars, as inline SVG."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from tools.reporting.report_pictures import source_name

_COLOURS = ("#2f6db3", "#d9722e", "#3a9a5b", "#8a5fb5", "#b8a000", "#c2477f")
_STYLE = {
    "svg.fonttype": "none",  # keeps text as text, rendered in the font of the page
    "svg.hashsalt": "report",  # fixed element ids: the same input gives the same SVG
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
Scalars = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Curve:
    """A plot: title, caption and SVG element."""

    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class _PlottedScalar:
    part: str
    key: str
    label: str


_Line = tuple[_PlottedScalar, list[float], list[float]]  # what it is, steps, values


def draw_curves(scalars: Scalars) -> list[Curve]:
    """Plot loss, depth error, source selection and learning rate over the steps; skip plots that show no change."""
    sources = sorted({key for line in scalars for key in line if key.startswith("source/")})
    fractions = [_PlottedScalar("train", key, source_name(key.removeprefix("source/"))) for key in sources]
    plots = (
        (
            "Loss",
            "Lower is better. Training values are those of single batches.",
            "loss",
            [_PlottedScalar("train", "loss", "training"), _PlottedScalar("val", "loss", "validation")],
        ),
        (
            "Validation depth error",
            "Absolute relative error (abs_rel); lower is better.",
            "abs_rel",
            [
                _PlottedScalar("val", "abs_rel", "median-scaled"),
                _PlottedScalar("val", "stereo/abs_rel", "stereo-scaled"),
            ],
        ),
        (
            "Source selection",
            "Fraction of pixels with minimum reprojection error per source, and fraction kept by the auto-mask.",
            "fraction",
            [*fractions, _PlottedScalar("train", "auto_mask", "kept by the auto-mask")],
        ),
        (
            "Learning rate",
            "Learning rate of the optimizer.",
            "learning rate",
            [_PlottedScalar("train", "learning_rate", "learning rate")],
        ),
    )
    curves = []
    for title, caption, unit, lines in plots:
        drawn = [(line, *points) for line in lines if (points := _points(scalars, line))[0]]
        if any(len(set(values)) > 1 for _, _, values in drawn):
            curves.append(Curve(title, caption, _draw(_merged(drawn), unit)))
    return curves


def _points(scalars: Scalars, line: _PlottedScalar) -> tuple[list[float], list[float]]:
    """Return the steps and values of a scalar."""
    found = [entry for entry in scalars if entry["part"] == line.part and isinstance(entry.get(line.key), float | int)]
    return [entry["step"] for entry in found], [entry[line.key] for entry in found]


def _merged(lines: list[_Line]) -> list[_Line]:
    """Join lines with the same points, of which all but one would be hidden."""
    groups: dict[tuple, list[_PlottedScalar]] = {}
    for scalar, steps, values in lines:
        groups.setdefault((tuple(steps), tuple(values)), []).append(scalar)
    return [
        (replace(scalars[0], label=", ".join(scalar.label for scalar in scalars)), list(steps), list(values))
        for (steps, values), scalars in groups.items()
    ]


def _draw(lines: list[_Line], unit: str) -> str:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for (line, steps, values), colour in zip(lines, _COLOURS * 2, strict=False):
            few = len(steps) <= 30
            dots = {"marker": "o" if few else "", "ms": 3, "clip_on": False}
            axes.plot(steps, values, color=colour, label=line.label, linewidth=1.4, **dots)
        axes.set_xlabel("step")
        axes.set_ylabel(unit)
        axes.set_xlim(0, 1.02 * max(1, *(steps[-1] for _, steps, _ in lines)))
        axes.ticklabel_format(axis="y", scilimits=(-3, 4))
        axes.xaxis.get_major_locator().set_params(integer=True)
        if len(lines) > 1 or ", " in lines[0][0].label:
            axes.legend(fontsize=8)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(stream.getvalue())


def _inline(svg: str) -> str:
    """Reduce an SVG document to an inline element.

    Namespace declarations are removed because the page may not contain URLs.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # ids would collide between the plots of a page
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'(<svg\b[^>]*?)\s+width="[^"]*"', r"\1", svg, count=1)
    return re.sub(r'(<svg\b[^>]*?)\s+height="[^"]*"', r"\1", svg, count=1).strip()
