"""Colour bar, compared with positions computed by hand."""

import itertools
import re

import pytest

from tools.demo.colour_bar import colour_bar_html, depth_labels


def test_labels_are_at_their_disparities():
    """From 1/4 to 1/20 per metre: 5 m is 1/4 of the way, since (1/4 - 1/5) / (1/4 - 1/20) = 0.25."""
    labels = depth_labels(0.05, 0.25, 1)
    assert [text for text, _ in labels] == ["≤ 4", "5", "6", "8", "10", "20"]
    assert [share for _, share in labels] == pytest.approx([0, 0.25, 0.4167, 0.625, 0.75, 1], abs=1e-3)


@pytest.mark.parametrize(
    ("low", "high", "scale", "ends"),
    [(0.01, 9, 5.4, ("≤ 0.6", "540")), (0.5, 0.5, 1, ("≤ 2", "≤ 2")), (0.4, 0.41, 1, ("≤ 2.4", "2.5"))],
)
def test_labels_never_overlap(low, high, scale, ends):
    labels = depth_labels(low, high, scale)
    assert (labels[0][0], labels[-1][0]) == ends
    shares = [share for _, share in labels]
    assert all(b - a >= 0.12 for a, b in itertools.pairwise(shares))


def test_bar_runs_from_bright_near_to_dark_far():
    bar = colour_bar_html((0.05, 0.25), 1, "Depth in <metres>")
    colours = re.findall("#([0-9a-f]{6})", bar)
    brightness = [sum(bytes.fromhex(colour)) for colour in colours]
    assert brightness == sorted(brightness, reverse=True) and brightness[0] > 600 and brightness[-1] < 20
    assert "&lt;metres&gt;" in bar and "<metres>" not in bar
