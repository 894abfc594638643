"""Parallax of views of the built-in world that are a known distance apart."""

import pytest
from street_source import source_of

from common.image_motion import TARGET_MOTION
from common.parallax import measure_parallax


def parallax_of(metres: float, **drive) -> float:
    """Return the parallax of a pair of frames that are ``metres`` apart, relative to KITTI's."""
    source = source_of(metres=(metres,), **drive)
    return measure_parallax(source.grey(14), source.grey(15), source.focal) / TARGET_MOTION


@pytest.mark.parametrize(
    ("metres", "drive"),
    [
        (1.1, {}),
        (0.4, {}),
        (1.1, {"fov": 100}),
        (1.1, {"horizon": 0.75}),  # the sky fills three quarters
        (1.1, {"bonnet": 0.2}),
        (1.1, {"shake": 0.5}),
    ],
    ids=str,
)
def test_parallax_is_the_distance_relative_to_the_height_of_the_camera(metres, drive):
    assert parallax_of(metres, **drive) == pytest.approx(metres / 1.1, rel=0.25)


def test_backwards_counts_as_forwards():
    source = source_of(metres=(1.1,))
    assert measure_parallax(source.grey(15), source.grey(14), source.focal) == pytest.approx(TARGET_MOTION, rel=0.25)


def test_turns_have_no_parallax():
    assert parallax_of(0.0, turn=1.0) == 0
