"""Charts show changes: neither constants nor single points, and no line under another."""

from tools.reporting.curves import draw_curves


def lines(**values):
    return [
        {"part": "train", "step": step, **{name: series[step] for name, series in values.items()}} for step in (0, 1)
    ]


def test_charts_without_a_change_are_left_out():
    single = [{"part": "val", "step": 1, "abs_rel": 0.2}]
    drawn = draw_curves([*lines(loss=(0.5, 0.4), learning_rate=(1e-4, 1e-4)), *single])
    assert [curve.title for curve in drawn] == ["Loss"]


def test_the_range_follows_the_values():
    (loss,) = draw_curves(lines(loss=(0.5, 0.4)))
    assert ">0.50<" in loss.svg and ">0.0" not in loss.svg


def test_equal_lines_are_drawn_once_with_both_names():
    (chart,) = draw_curves(lines(**{"source/s": (0.7, 0.8), "auto_mask": (0.7, 0.8)}))
    assert "stereo image, kept by the auto-mask" in chart.svg
