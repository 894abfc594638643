"""Puts named arrays into a network, and tells what matched."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from paddle import Tensor, nn

from common.errors import WeightsError

_NAMES_SHOWN = 8
_HEADER = ("network", "loaded", "missing", "left over", "file")


@dataclass(frozen=True)
class MatchReport:
    """Which names a file and a network share; each tuple in the order of its owner."""

    source: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    """In the network, not in the file: these keep their values."""
    unexpected: tuple[str, ...]
    """In the file, not in the network: these were left."""


def match_table(reports: Mapping[str, MatchReport]) -> str:
    """One aligned row of counts for each network, then a line for each name that was missing or left over.

    Args:
        reports: role -> what matched; not empty.
    """
    rows = [_HEADER]
    for role, report in reports.items():
        loaded = f"{len(report.matched)} of {len(report.matched) + len(report.missing)}"
        rows.append((role, loaded, str(len(report.missing)), str(len(report.unexpected)), report.source))
    first, *others, _ = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for role, *counts, source in rows:
        aligned = [f"{count:>{width}}" for count, width in zip(counts, others, strict=True)]
        lines.append("  ".join([f"{role:<{first}}", *aligned, source]))
    for role, report in reports.items():
        lines += [f"missing, kept as it was: {role}: {name}" for name in report.missing]
        lines += [f"left over, not in the network: {role}: {name}" for name in report.unexpected]
    return "\n".join(lines)


def load_into(layer: nn.Layer, arrays: Mapping[str, np.ndarray], source: str | Path) -> MatchReport:
    """Sets the parameters and buffers of ``layer`` that ``arrays`` name, cast to the network's types.

    A classifier (``fc``) in the file is passed over in silence where the network has none. All is checked
    before anything is set.

    Args:
        arrays: Paddle's names -> arrays.
        source: where they come from, for messages.

    Raises:
        WeightsError: nothing matches, or an array has another shape or kind than the network's.
    """
    state = layer.state_dict()
    matched = tuple(name for name in state if name in arrays)
    missing = tuple(name for name in state if name not in arrays)
    unexpected = tuple(name for name in arrays if name not in state and "fc" not in name.split("."))
    if not matched:
        raise WeightsError(
            f"{source}: no name in it is one of the network's. "
            f"It holds {_shorten(tuple(arrays)) or 'nothing'}; the network expects {_shorten(missing)}."
        )
    wrong = [
        f"{name}: {tuple(arrays[name].shape)} in the file, {tuple(state[name].shape)} in the network"
        for name in matched
        if tuple(arrays[name].shape) != tuple(state[name].shape)
    ]
    if wrong:
        raise WeightsError(
            f"{source} does not fit the network; {len(wrong)} shapes differ: {_shorten(wrong, '; ')}. "
            "Were the options (--depth_network, --pose_model_type, --pose_model_input, --frame_ids) others when it was "
            "trained?"
        )
    values = {name: _cast(arrays[name], state[name], f"{source}: {name}") for name in matched}
    for name, value in values.items():
        state[name].set_value(value)
    return MatchReport(str(source), matched, missing, unexpected)


def _cast(array: np.ndarray, target: Tensor, what: str) -> np.ndarray:
    dtype = np.dtype(str(target.dtype).rpartition(".")[2])
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise WeightsError(f"{what} is of type {array.dtype}; the network expects {dtype}.")
    return np.asarray(array, dtype=dtype)


def _shorten(names: tuple[str, ...] | list[str], separator: str = ", ") -> str:
    """The first names; how many more there are."""
    shown = separator.join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
