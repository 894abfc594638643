"""Colour bar of a disparity picture, labelled in depth."""

import html

import numpy as np

from common.colormap import colourise_disparity

STOPS = 16  # colours of the gradient
LEAST_GAP = 0.12  # of the bar's width, between two labels
STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8)  # labels between the ends, times a power of ten


def colour_bar_html(ends: tuple[float, float], scale: float, unit: str) -> str:
    """Draw the colour bar of ``colourise_disparity``: near on the left, far on the right.

    Args:
        ends: Disparities of the darkest and brightest colour (``common.colormap.colour_range``).
        scale: Depth at disparity 1, in ``unit``.
        unit: Unit of the labels.
    """
    low, high = ends
    strip = colourise_disparity(np.linspace(high, low, STOPS, dtype=np.float32)[None], ends)[0]
    colours = ", ".join(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in strip.tolist())
    labels = "".join(
        f'<span style="left: {100 * share:.1f}%">{text}</span>' for text, share in depth_labels(low, high, scale)
    )
    return (
        f'<div id="bar" role="img" aria-label="colour bar: {html.escape(unit)}">'
        f'<div class="strip" style="background: linear-gradient(to right, {colours})"></div>'
        f'<div class="labels">{labels}</div><div class="unit">{html.escape(unit)}</div></div>'
    )


def depth_labels(low: float, high: float, scale: float) -> list[tuple[str, float]]:
    """Choose the labels of a colour bar that is linear in disparity: the depths of its ends, and round ones between.

    Args:
        low, high: Disparities of the far and near end, above 0.
        scale: Depth at disparity 1.

    Returns:
        (text, position from 0, near, to 1, far), in this order; the near end also stands for nearer depths.
    """
    near, far = scale / high, scale / low
    labels = [(f"≤ {_short(near)}", 0.0)]
    powers = np.floor(np.log10([near, far])).astype(int)
    for power in range(powers[0], powers[1] + 1):
        for depth in (step * 10.0**power for step in STEPS):
            share = (high - scale / depth) / max(high - low, 1e-12)
            if labels[-1][1] + LEAST_GAP <= share <= 1 - LEAST_GAP:
                labels.append((_short(depth), float(share)))
    return [*labels, (_short(far), 1.0)] if far > near else labels


def _short(depth: float) -> str:
    return f"{depth:.0f}" if depth >= 10 else f"{depth:.2g}"
