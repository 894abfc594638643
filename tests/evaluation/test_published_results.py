"""Comparison with published results: those of the same protocol, and why there are none."""

import copy

import pytest

from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.published_results import MEDIAN, STEREO, compare_published, published_results

SUMMARY = {
    "split": "eigen",
    "frames": 697,
    "ground_truth": {"kind": "lidar", "axis": "legacy"},
    "protocol": {
        **{"crop": "eigen", "cap": 80.0, "median_scaling": True, "scale_factor": 1.0},
        **{"disparity_fit": None, "per_dataset": False},
    },
    "prediction": {"height": 192, "width": 640, "post_process": False},
    "metrics": {name: {"mean": 0.1124, "low": 0.1096, "high": 0.1152} for name in METRIC_NAMES},
}


def changed(**changes) -> dict:
    """Return a copy with other values: "part__key" -> value."""
    summary = copy.deepcopy(SUMMARY)
    for name, value in changes.items():
        part, _, key = name.partition("__")
        if key:
            summary[part][key] = value
        else:
            summary[part] = value
    return summary


def names(text: str) -> list[str]:
    return [line[:36].strip() for line in text.splitlines()[2:-1]]


def test_result_is_ranked_among_those_of_its_protocol():
    text = compare_published(SUMMARY)
    assert text.startswith(
        "Published for the Eigen split (697 frames), lidar, Eigen crop, 80 m, median scaling, 640x192:"
    )
    # The interval contains 0.110 and 0.115 after rounding to three decimals, but not 0.109.
    assert names(text) == [
        *("ManyDepth M, two frames", "Lite-Mono-8M M", "Lite-Mono M", "HR-Depth M"),
        *("= Lite-Mono-small M", "= Lite-Mono-tiny M", "> this result", "= Monodepth2 M", "Monodepth2 M, no ImageNet"),
    ]
    assert "0.115    0.903    4.863    0.193    0.877    0.959    0.981   Godard et al., ICCV 2019" in text
    assert text.splitlines()[-1].endswith("0.110 to 0.115")


def test_stereo_scaling_and_size_select_the_results():
    stereo = {"protocol__median_scaling": False, "protocol__scale_factor": 5.4}
    assert names(compare_published(changed(**stereo))) == [
        *("Depth Hints MS, ResNet18", "Monodepth2 MS", "Monodepth2 S", "> this result"),
    ]
    large = {"prediction__height": 320, "prediction__width": 1024, "protocol__crop": "garg"}
    assert names(compare_published(changed(**large))) == [
        *("Lite-Mono-8M M", "Lite-Mono M", "> this result", "= Monodepth2 M"),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": "mine"}, "split mine (published: eigen)"),
        ({"frames": 43}, "scored frames 43 (published: 697)"),
        ({"ground_truth__kind": "improved"}, "ground truth improved (published: lidar)"),
        ({"ground_truth__axis": "camera"}, "depth axis camera (published: legacy)"),
        ({"protocol__crop": "none"}, "crop none (published: eigen)"),
        ({"protocol__cap": 50.0}, "cap 50 m (published: 80 m)"),
        ({"prediction__post_process": True}, "post-processing on (published: off)"),
        ({"prediction__width": 320}, "resolution 320x192 (published with median scaling: 640x192, 1024x320)"),
        ({"protocol__per_dataset": True}, "one factor for all frames (published: median scaling per image"),
        (
            {"protocol__median_scaling": False, "protocol__disparity_fit": "lstsq"},
            "least-squares fit (lstsq) (published",
        ),
        ({"protocol__median_scaling": False}, "depth scaled by 1 (published"),
    ],
)
def test_other_protocols_are_named(changes, words):
    text = compare_published(changed(**changes))
    assert text.startswith("No published result has the protocol of this one: ") and words in text
    assert text.count("(published") == 1


def test_every_published_result_is_complete():
    for result in published_results():
        assert result.scaling in (MEDIAN, STEREO) and len(result.scores) in (1, 7) and result.source
    assert len({(result.name, result.size) for result in published_results()}) == len(published_results()) == 15
