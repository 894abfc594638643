"""Load named arrays into a network and report which names match."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from paddle import Tensor, nn

from common.errors import WeightsError
from common.text_files import abbreviate

_NAMES_SHOWN = 8
_HEADER = ("network", "loaded", "missing", "unexpected", "file")


@dataclass(frozen=True)
class MatchReport:
    """Names of a network compared with those of a file.

    ``matched`` and ``missing`` are in the order of the network, ``unexpected`` in the order of the file.
    """

    source: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    """In the network only; these tensors keep their values."""
    unexpected: tuple[str, ...]
    """In the file only; these arrays are ignored."""


def match_table(reports: Mapping[str, MatchReport]) -> str:
    """Format one row of counts per network, then one line per missing or unexpected name.

    Args:
        reports: role -> report; not empty.
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
        lines += [f"missing in the file, not changed: {role}: {name}" for name in report.missing]
        lines += [f"unexpected, not in the network: {role}: {name}" for name in report.unexpected]
    return "\n".join(lines)


def load_into(layer: nn.Layer, arrays: Mapping[str, np.ndarray], source: str | Path) -> MatchReport:
    """Set parameters and buffers of ``layer`` by name, cast to the network's types.

    All arrays are checked before the first one is set. A classifier (``fc``) in the file is ignored if the network has
    none.

    Args:
        layer: the network.
        arrays: Paddle's names -> arrays.
        source: origin of the arrays, for messages.

    Raises:
        WeightsError: no name matches, an array's shape or kind differs from the network's, or a number is not finite.
    """
    state = layer.state_dict()
    matched = tuple(name for name in state if name in arrays)
    missing = tuple(name for name in state if name not in arrays)
    unexpected = tuple(name for name in arrays if name not in state and "fc" not in name.split("."))
    if not matched:
        raise WeightsError(
            f"'{source}': no array has a name of the network. "
            f"Found {_shorten([_printable(name) for name in arrays]) or 'nothing'}; expected {_shorten(missing)}."
        )
    wrong = [
        f"{name}: {tuple(arrays[name].shape)} in the file, {tuple(state[name].shape)} in the network"
        for name in matched
        if tuple(arrays[name].shape) != tuple(state[name].shape)
    ]
    if wrong:
        raise WeightsError(
            f"'{source}' does not match the network: {len(wrong)} shapes differ: {_shorten(wrong, '; ')}. "
            "Pass the options that the weights were trained with (--depth_network, --pose_model_type, "
            "--pose_model_input, --frame_ids)."
        )
    values = {name: _cast(arrays[name], state[name], f"{source}: {name}") for name in matched}
    for name, value in values.items():
        state[name].set_value(value)
    return MatchReport(str(source), matched, missing, unexpected)


def _cast(array: np.ndarray, target: Tensor, what: str) -> np.ndarray:
    dtype = np.dtype(str(target.dtype).rpartition(".")[2])
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise WeightsError(f"{what} has type {array.dtype}; the network expects {dtype}.")
    with np.errstate(over="ignore"):  # a float64 number beyond float32 becomes infinite
        value = np.asarray(array, dtype=dtype)
    check_finite(value, what)
    return value


def check_finite(array: np.ndarray, what: str) -> None:
    """Check that an array contains neither NaN nor infinity, with which networks predict without an error.

    Args:
        array: numbers.
        what: the array in messages: "FILE: NAME".

    Raises:
        WeightsError: a number is NaN or infinite.
    """
    if not np.isfinite(array).all():
        count = np.count_nonzero(~np.isfinite(array))
        raise WeightsError(
            f"{what}: {count} of {array.size} numbers are NaN or infinite. Such weights give meaningless results; use "
            "an earlier checkpoint, or get the file again."
        )


def _printable(name: str) -> str:
    return name if name.isprintable() and len(name) <= 200 else abbreviate(name)


def _shorten(names: tuple[str, ...] | list[str], separator: str = ", ") -> str:
    """Join the first names and the number of the remaining ones."""
    shown = separator.join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
