"""The line that names the unit of depth, its scale and its source."""

from types import SimpleNamespace

import pytest

from inference.scale_message import describe_unit


@pytest.mark.parametrize(
    ("scale", "source", "height", "road_scales", "expected"),
    [
        (5.4, "stereo scale", None, (), "metres: stereo scale 5.4"),
        (5.4, "stereo scale", 1.65, (5.354,), "metres: camera height 1.65 m, scale 5.35"),
        (None, "", 1.5, (5.0, 7.0, 6.0), "scale 6 (median of 3 images, 5 to 7)"),
        (None, "", 1.5, (), "metres: camera height 1.5 m"),
        (None, "", None, (), "relative"),
    ],
)
def test_unit(scale, source, height, road_scales, expected):
    text = describe_unit(SimpleNamespace(scale=scale, scale_source=source), height, road_scales)
    assert expected in text
    assert ("metres" in text) == ("relative" not in text)
