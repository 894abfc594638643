"""The seven metrics as a table for reading and as JSON for programs."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from errors import UserError
from evaluation.depth_metrics import METRIC_NAMES

_COLUMN_WIDTH = 9


def format_metrics_table(means: Mapping[str, float]) -> str:
    """Two lines, names above values, aligned; three decimals, as published tables have."""
    header = "".join(f"{name:>{_COLUMN_WIDTH}}" for name in METRIC_NAMES)
    values = "".join(f"{means[name]:>{_COLUMN_WIDTH}.3f}" for name in METRIC_NAMES)
    return f"{header}\n{values}"


def save_metrics(path: str | Path, means: Mapping[str, float]) -> None:
    """Writes the seven metrics, unrounded, under their names; a file that is there is replaced as a whole.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    text = json.dumps({name: float(means[name]) for name in METRIC_NAMES}, indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as fault:
        raise UserError(f"{path} cannot be written: {fault.strerror or fault}.") from fault
