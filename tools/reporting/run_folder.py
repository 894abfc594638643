"""Reading of a run folder: files written by training, evaluate_depth.py and evaluate_pose.py."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.atomic_files import resolve_complete_dir
from common.errors import DataError
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.result_tables import METRICS_FILE, format_pose_tables, metrics_file
from options import Options
from serialization.weights_folder import read_weights_info
from training.metrics_writer import SCALARS_FILE
from training.run_metadata import METADATA_FILE

_POSE_METRICS = "pose_metrics_"


@dataclass(frozen=True)
class Trajectory:
    """Odometry results of one sequence.

    Attributes:
        name: Name of the sequence.
        frames: Number of frames.
        table: Metrics as a text table.
        uri: Trajectory plot as a data URI, or "".
    """

    name: str
    frames: int
    table: str
    uri: str


@dataclass(frozen=True)
class RunFolder:
    """A training run and the settings of its report.

    Attributes:
        folder: Folder of the run, ``log_dir/model_name``.
        trained: Options of the training.
        options: Options of the report: those of the training, overridden by options passed for the report.
            ``load_weights_folder`` and the input size are those of the weights to show.
        scalars: Lines of ``scalars.jsonl`` in the order of steps; for a step logged twice, the later line.
        record: Content of ``run.json``; empty if it is missing.
    """

    folder: Path
    trained: Options
    options: Options
    scalars: tuple[dict[str, Any], ...]
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the run: the name of its folder."""
        return self.folder.resolve().name

    @property
    def weights(self) -> Path:
        """Folder of the weights to show."""
        return Path(str(self.options.load_weights_folder))

    def metrics_of(self, split: str) -> dict[str, float] | None:
        """Read the metrics of a split that evaluate_depth.py saved next to the weights; None if there are none.

        ``metrics.json`` of earlier versions does not name its split, and counts for any.
        """
        for name in (metrics_file(split), METRICS_FILE):
            content = _read_object(self.weights / name)
            complete = all(isinstance(content.get(metric), float) for metric in METRIC_NAMES)
            if complete and content.get("split", split) == split:
                return {metric: content[metric] for metric in METRIC_NAMES}
        return None


def read_run(folder: Path, weights: Path | None = None, changes: Mapping[str, Any] | None = None) -> RunFolder:
    """Read the folder of a run.

    Args:
        folder: Folder of the run, ``log_dir/model_name``.
        weights: Weights folder; by default ``models/weights_best`` in ``folder``.
        changes: Options that override those of the training.

    Raises:
        DataError: The folder, its options or the weights are missing.
        OptionsError: The options are damaged or invalid.
        WeightsError: ``weights.json`` of the weights is damaged.
    """
    changes = dict(changes or {})
    if not folder.is_dir():
        raise DataError(f"Run folder not found: {folder}. Pass the folder LOG_DIR/MODEL_NAME of a training run.")
    options_file = folder / "models" / "opt.json"
    if not options_file.is_file():
        raise DataError(
            f"{folder} is not a run folder: {options_file}, written by train.py, not found. "
            "Pass the folder LOG_DIR/MODEL_NAME of a training run."
        )
    weights = weights or folder / "models" / "weights_best"
    if not resolve_complete_dir(weights.absolute()).is_dir():
        kept = ", ".join(sorted(path.name for path in (folder / "models").glob("weights_*"))) or "none yet"
        raise DataError(
            f"Weights not found: {weights}. Weights of this run: {kept}. Pass one of these with --weights, or wait for "
            "the end of the first epoch."
        )
    trained = Options.load(options_file)
    info = read_weights_info(weights)
    size = {"height": info.height, "width": info.width} if info else {}
    options = trained.replace(
        **{"device": "auto", "load_weights_folder": str(weights), **size, **changes}, explicitly_set=frozenset(changes)
    )
    return RunFolder(
        folder,
        trained,
        options,
        _read_scalars(folder / SCALARS_FILE),
        _read_object(folder / METADATA_FILE),
    )


def _read_scalars(path: Path) -> tuple[dict[str, Any], ...]:
    """Read all complete lines. A resumed or restarted run overrides earlier lines from its first step on."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
            part, step = line["part"], line["step"]
            if type(step) is not int:
                continue
        except (ValueError, KeyError, TypeError, RecursionError):  # a killed process can leave an incomplete line
            continue
        keep_from = len(lines)  # lines are in the order of steps: those to drop are at the end
        while keep_from and lines[keep_from - 1]["step"] >= step:
            keep_from -= 1
        others = [old for old in lines[keep_from:] if old["step"] == step and old["part"] != part]
        lines[keep_from:] = [*others, line]
    return tuple(lines)


def _read_object(path: Path) -> dict[str, Any]:
    """Read an optional JSON object; empty if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def read_trajectories(weights: Path) -> tuple[Trajectory, ...]:
    """Read the odometry results next to the weights, one per sequence. Files of other versions are skipped."""
    found = []
    for path in sorted(weights.glob(f"{_POSE_METRICS}*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            frames, table = int(content["frames"]), format_pose_tables(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        name = path.stem.removeprefix(_POSE_METRICS)
        picture = path.with_name(f"trajectory_{name}.png")
        uri = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}" if picture.is_file() else ""
        found.append(Trajectory(name, frames, table, uri))
    return tuple(found)
