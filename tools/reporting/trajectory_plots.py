"""What evaluate_pose.py left beside the weights."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from evaluation.result_tables import format_pose_tables

_METRICS = "pose_metrics_"


@dataclass(frozen=True)
class Trajectory:
    """A sequence's name and length, its numbers as a table in text, and its drawing as a data URI, "" without."""

    name: str
    frames: int
    table: str
    uri: str


def read_trajectories(weights: Path) -> tuple[Trajectory, ...]:
    """Of every sequence that the weights in a folder were scored on; files of other versions are passed over."""
    found = []
    for path in sorted(weights.glob(f"{_METRICS}*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            name, frames, table = path.stem.removeprefix(_METRICS), int(content["frames"]), format_pose_tables(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        picture = path.with_name(f"trajectory_{name}.png")
        uri = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}" if picture.is_file() else ""
        found.append(Trajectory(name, frames, table, uri))
    return tuple(found)
