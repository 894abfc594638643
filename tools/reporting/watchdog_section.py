"""What the watchdog of a training found, for the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.diagnostics import PREFIX


def watchdog_notes(scalars: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], str]:
    """The findings, one text each, in the order of steps; and what to say where there is none.

    Args:
        scalars: the lines of ``scalars.jsonl``.
    """
    found = [line for line in scalars if line["part"] == "watchdog"]
    texts = [
        f"Step {line['step']}: {text}" for line in found for key, text in line.items() if key not in ("part", "step")
    ]
    watched = any(key.startswith(PREFIX) for line in scalars for key in line)
    return tuple(texts), "The watchdog found nothing." if watched else "The watchdog did not look at this run."
