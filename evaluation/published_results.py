"""Published scores of KITTI's Eigen split, and the comparison of a result with those of the same protocol.

The scores of weights that can be downloaded are in ``serialization.published_weights``, the others here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.metrics.depth_metrics import METRIC_NAMES
from serialization.published_weights import PUBLISHED

MEDIAN, STEREO = "median scaling", "depth scaled by 5.4"
_FRAMES = 697
_NAME_WIDTH, _COLUMN_WIDTH = 36, 9
_MONODEPTH2 = "Godard et al., ICCV 2019"
_LITE_MONO = "Zhang et al., CVPR 2023"
# Start of the name of published weights -> method, training (M: video, S: stereo pairs), source.
_FAMILIES = (
    ("mono_no_pt", "Monodepth2 M, no ImageNet", MEDIAN, _MONODEPTH2),
    ("mono_", "Monodepth2 M", MEDIAN, _MONODEPTH2),
    ("stereo_", "Monodepth2 S", STEREO, _MONODEPTH2),
    ("mono+stereo_", "Monodepth2 MS", STEREO, _MONODEPTH2),
    ("lite-mono-tiny_", "Lite-Mono-tiny M", MEDIAN, _LITE_MONO),
    ("lite-mono-small_", "Lite-Mono-small M", MEDIAN, _LITE_MONO),
    ("lite-mono-8m_", "Lite-Mono-8M M", MEDIAN, _LITE_MONO),
    ("lite-mono_", "Lite-Mono M", MEDIAN, _LITE_MONO),
)


@dataclass(frozen=True)
class PublishedResult:
    """Scores that the authors of a method publish, for 697 frames against lidar, Eigen crop, 80 m.

    Attributes:
        name: Method, and the training data: M (video), S (stereo pairs), MS (both).
        size: (height, width) of the network input.
        scaling: ``MEDIAN`` (per image) or ``STEREO``.
        source: The paper.
        scores: Values of the first of ``METRIC_NAMES``; the others are not known here.
    """

    name: str
    size: tuple[int, int]
    scaling: str
    source: str
    scores: tuple[float, ...]


_WITHOUT_WEIGHTS = (
    PublishedResult("Depth Hints MS, ResNet18", (192, 640), STEREO, "Watson et al., ICCV 2019", (0.105,)),
    PublishedResult("Depth Hints MS", (320, 1024), STEREO, "Watson et al., ICCV 2019", (0.098,)),
    PublishedResult("HR-Depth M", (192, 640), MEDIAN, "Lyu et al., AAAI 2021", (0.109,)),
    PublishedResult(
        "ManyDepth M, two frames",
        (192, 640),
        MEDIAN,
        "Watson et al., CVPR 2021",
        (0.098, 0.770, 4.459, 0.176, 0.900, 0.965, 0.983),
    ),
)


def published_results() -> list[PublishedResult]:
    """List all published results."""
    found = []
    for name, weights in PUBLISHED.items():
        family = next((family for family in _FAMILIES if name.startswith(family[0])), None)
        if weights.scores and family:
            width, height = map(int, name.rpartition("_")[2].split("x"))
            found.append(PublishedResult(family[1], (height, width), *family[2:], weights.scores))
    return [*found, *_WITHOUT_WEIGHTS]


def compare_published(summary: Mapping[str, Any]) -> str:
    """Format a result among the published ones of its protocol; if there are none, say which settings differ.

    Args:
        summary: Content of ``summary.json``.
    """
    problems = list(_differences(summary))
    if problems:
        return f"No published result has the protocol of this one: {'; '.join(problems)}."
    scaling, size = _scaling(summary["protocol"]), _size(summary)
    rows = [result for result in published_results() if (result.scaling, result.size) == (scaling, size)]
    means = summary["metrics"]
    own = means["abs_rel"]
    lines = [(result.scores[0], _published_line(result, own)) for result in rows]
    values = "".join(f"{means[name]['mean']:{_COLUMN_WIDTH}.3f}" for name in METRIC_NAMES)
    # At equal values, the published ones come first.
    lines.append((round(own["mean"], 3) + 1e-9, f"{'> this result':<{_NAME_WIDTH}}{values}"))
    return "\n".join(
        [
            f"Published for the Eigen split (697 frames), lidar, Eigen crop, 80 m, {scaling}, {size[1]}x{size[0]}:",
            f"{'':<{_NAME_WIDTH}}{''.join(f'{name:>{_COLUMN_WIDTH}}' for name in METRIC_NAMES)}",
            *(line for _, line in sorted(lines)),
            f"= abs_rel within the 95 % interval of this result, {own['low']:.3f} to {own['high']:.3f}",
        ]
    )


def _published_line(result: PublishedResult, own: Mapping[str, float]) -> str:
    values = [f"{value:{_COLUMN_WIDTH}.3f}" for value in result.scores]
    values += [f"{'-':>{_COLUMN_WIDTH}}"] * (len(METRIC_NAMES) - len(values))
    # Published values have three decimals.
    within = round(own["low"], 3) <= result.scores[0] <= round(own["high"], 3)
    return f"{'= ' if within else '  '}{result.name:<{_NAME_WIDTH - 2}}{''.join(values)}   {result.source}"


def _differences(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings of a result that no published one has, with the published values."""
    truth, protocol = summary["ground_truth"], summary["protocol"]
    crop = "eigen" if protocol["crop"] == "garg" else protocol["crop"]  # two names of the same rectangle
    for what, found, published in (
        ("split", summary["split"], "eigen"),
        ("scored frames", summary["frames"], _FRAMES),
        ("ground truth", truth["kind"], "lidar"),
        ("depth axis", truth["axis"], "legacy"),
        ("crop", crop, "eigen"),
        ("cap", f"{protocol['cap']:g} m", "80 m"),
        ("post-processing", "on" if summary["prediction"]["post_process"] else "off", "off"),
    ):
        if found != published:
            yield f"{what} {found} (published: {published})"
    scaling, size = _scaling(protocol), _size(summary)
    if scaling not in (MEDIAN, STEREO):
        yield f"{scaling} (published: {MEDIAN} per image, or {STEREO})"
        return
    sizes = sorted({result.size for result in published_results() if result.scaling == scaling})
    if size not in sizes:
        known = ", ".join(f"{width}x{height}" for height, width in sizes)
        yield f"resolution {size[1]}x{size[0]} (published with {scaling}: {known})"


def _scaling(protocol: Mapping[str, Any]) -> str:
    if protocol["median_scaling"]:
        return MEDIAN + (" with one factor for all frames" if protocol["per_dataset"] else "")
    if protocol["disparity_fit"]:
        return f"least-squares fit ({protocol['disparity_fit']})"
    return f"depth scaled by {protocol['scale_factor']:g}"


def _size(summary: Mapping[str, Any]) -> tuple[int, int]:
    return summary["prediction"]["height"], summary["prediction"]["width"]
