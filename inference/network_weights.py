"""Build the networks of a weights folder, and load their weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle import nn

from common.errors import OptionsError, WeightsError
from common.option_types import checked
from common.registry import MODELS, load
from options import OPTION_FIELDS
from serialization.matching import MatchReport
from serialization.opening import SIZE_STEP
from serialization.weights_folder import WeightsInfo, load_weights, recognise_depth_network

DEFAULT_SIZE = (192, 640)
DEFAULT_DEPTH_RANGE = (0.1, 100.0)


def model_of(folder: str | Path, info: WeightsInfo | None, **given: Any) -> tuple[Any, dict[str, Any]]:
    """Return the class and settings of the model that weights belong to.

    Args:
        folder: The weights folder.
        info: Content of ``weights.json``. Folders that do not name a model contain the default one, whose depth network
            is recognised by its arrays if it is not given.
        given: Settings that override the stored ones, unless None.

    Raises:
        WeightsError: The stored model or one of its settings is unknown, or the encoder is damaged.
    """
    stored = dict(info.model or {}) if info else {}
    if not stored and not given.get("depth_network"):
        recognised = recognise_depth_network(folder)
        stored = {"depth_network": recognised} if recognised else {}
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
            f"This version of the project cannot build the model in {folder} ({fault}). Update the project, or "
            "register the model (docs/extending.md)."
        ) from fault
    return load(MODELS, kind), {**settings, **{name: value for name, value in given.items() if value is not None}}


def load_networks(folder: str | Path, networks: Mapping[str, nn.Layer]) -> dict[str, MatchReport]:
    """Load networks by role from a weights folder.

    Raises:
        WeightsError: A file is missing or damaged, or lacks a parameter.
    """
    reports = load_weights(folder, networks, tuple(networks))
    for role, report in reports.items():
        if report.missing:
            raise WeightsError(
                f"{report.source} lacks {len(report.missing)} parameters of {role}, for example {report.missing[0]}. "
                "If its folder does not name the network, pass --depth_network or --pose_network."
            )
    return reports


def input_size(info: WeightsInfo | None, height: int | None, width: int | None) -> tuple[int, int]:
    """Return the (height, width) of the network input: as given, else as in the weights, else the default.

    Raises:
        OptionsError: A given size is not a multiple of 32.
    """
    for name, size in (("height", height), ("width", width)):
        if size is not None and size % SIZE_STEP:
            below = max(size // SIZE_STEP, 1) * SIZE_STEP
            example = f"{below} or {below + SIZE_STEP}"
            raise OptionsError(f"--{name}: got {size}, allowed: multiples of {SIZE_STEP}, for example {example}.")
    own_height, own_width = (info.height, info.width) if info else DEFAULT_SIZE
    return height or own_height, width or own_width


def depth_range(info: WeightsInfo | None, min_depth: float | None, max_depth: float | None) -> tuple[float, float]:
    """Return the depths at disparity 1 and 0, scene units: as given, else as in the weights, else the default.

    Raises:
        OptionsError: The first is not below the second.
    """
    stored = (info.min_depth, info.max_depth) if info else (None, None)
    nearest, farthest = (
        next(value for value in values if value is not None)
        for values in zip((min_depth, max_depth), stored, DEFAULT_DEPTH_RANGE, strict=True)
    )
    if nearest >= farthest:
        raise OptionsError(
            f"--min_depth ({nearest:g}) must be below --max_depth ({farthest:g}). Pass both, or neither."
        )
    return nearest, farthest
