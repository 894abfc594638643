"""Build the networks that a folder of weights was saved from, and load them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle import nn

from common.errors import OptionsError, WeightsError
from common.option_types import checked
from common.registry import MODELS, load
from options import OPTION_FIELDS
from serialization.matching import MatchReport
from serialization.weights_folder import WeightsInfo, load_weights

DEFAULT_SIZE = (192, 640)
DEFAULT_DEPTH_RANGE = (0.1, 100.0)


def model_of(folder: str | Path, info: WeightsInfo | None, **given: Any) -> tuple[Any, dict[str, Any]]:
    """Return the class and settings of the model that weights belong to.

    Args:
        folder: of the weights, for messages.
        info: what ``weights.json`` says; older folders do not name their model and hold the default one.
        given: settings that override the stored ones, unless None.

    Raises:
        WeightsError: the stored model or one of its settings is unknown.
    """
    stored = dict(info.model or {}) if info else {}
    kind = stored.pop("type", next(iter(MODELS)))
    try:
        if kind not in MODELS:
            raise OptionsError(f"type: got {kind!r}, allowed: {', '.join(MODELS)}")
        unknown = set(stored) - set(OPTION_FIELDS)
        if unknown:
            raise OptionsError(f"unknown settings {', '.join(sorted(unknown))}")
        settings = {name: checked(OPTION_FIELDS[name], value) for name, value in stored.items()}
    except OptionsError as fault:
        raise WeightsError(
            f"{folder} holds a model that this version of the project cannot build ({fault}): update the project, or "
            "register the model (docs/extending.md)."
        ) from fault
    return load(MODELS, kind), {**settings, **{name: value for name, value in given.items() if value is not None}}


def load_networks(folder: str | Path, networks: Mapping[str, nn.Layer]) -> dict[str, MatchReport]:
    """Load networks by role from a folder of weights.

    Raises:
        WeightsError: a file is missing, damaged, or lacks a parameter.
    """
    reports = load_weights(folder, networks, tuple(networks))
    for role, report in reports.items():
        if report.missing:
            raise WeightsError(
                f"{report.source} lacks {len(report.missing)} of the parameters of {role}, for example "
                f"{report.missing[0]}. If its folder does not name the network, pass --depth_network or --pose_network."
            )
    return reports


def input_size(info: WeightsInfo | None, height: int | None, width: int | None) -> tuple[int, int]:
    """Return the (height, width) of the network's input: the one given, else the weights' own, else the default."""
    own_height, own_width = (info.height, info.width) if info else DEFAULT_SIZE
    return height or own_height, width or own_width


def depth_range(info: WeightsInfo | None, min_depth: float | None, max_depth: float | None) -> tuple[float, float]:
    """Return the depths of disparity 1 and 0: those given, else the weights' own, else the default; scene units.

    Raises:
        OptionsError: the first is not below the second.
    """
    stored = (info.min_depth, info.max_depth) if info else (None, None)
    nearest, farthest = (
        next(value for value in values if value is not None)
        for values in zip((min_depth, max_depth), stored, DEFAULT_DEPTH_RANGE, strict=True)
    )
    if nearest >= farthest:
        raise OptionsError(f"min_depth ({nearest:g}) is not below max_depth ({farthest:g}): pass both, or neither")
    return nearest, farthest
