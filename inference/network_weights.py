"""What both predictors take from a folder of weights: whole networks, and the size of their images."""

from collections.abc import Mapping
from pathlib import Path

from paddle import nn

from common.errors import WeightsError
from serialization.matching import MatchReport
from serialization.weights_folder import WeightsInfo, load_weights

DEFAULT_SIZE = (192, 640)


def load_networks(folder: str | Path, networks: Mapping[str, nn.Layer], num_layers: int) -> dict[str, MatchReport]:
    """Load networks by role from a folder of weights.

    Raises:
        WeightsError: a file is missing, damaged, or lacks a parameter.
    """
    reports = load_weights(folder, networks, tuple(networks))
    for role, report in reports.items():
        if report.missing:
            raise WeightsError(
                f"{report.source} lacks {len(report.missing)} of the parameters of {role}, for example "
                f"{report.missing[0]}; weights of a whole network were expected (--num_layers {num_layers})"
            )
    return reports


def input_size(info: WeightsInfo | None, height: int | None, width: int | None) -> tuple[int, int]:
    """Choose the (height, width) of the images: what is asked for, else the weights' own, else the default."""
    own_height, own_width = (info.height, info.width) if info else DEFAULT_SIZE
    return height or own_height, width or own_width
