"""What a training run, and evaluate_pose.py, left in the run's folder."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.atomic_files import resolve_complete_dir
from common.errors import DataError
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.result_tables import format_pose_tables
from options import Options
from serialization.weights_folder import read_weights_info
from training.metrics_writer import SCALARS_FILE
from training.run_metadata import METADATA_FILE

_POSE_METRICS = "pose_metrics_"


@dataclass(frozen=True)
class Trajectory:
    """A sequence's name and length, its numbers as a table in text, and its drawing as a data URI, "" without."""

    name: str
    frames: int
    table: str
    uri: str


@dataclass(frozen=True)
class RunFolder:
    """A run, and how to look at it now.

    Attributes:
        trained: the options of the training.
        options: the same, but for what was given for the report (another ``data_path`` say), with
            ``load_weights_folder`` the weights to show and the size that these were trained for.
        scalars: the logged lines, in the order of steps; of steps logged twice the later.
        record: ``run.json``; empty where the run kept none.
        metrics: ``metrics.json`` beside the weights, from evaluate_depth.py; None where it has not been run.
    """

    folder: Path
    trained: Options
    options: Options
    scalars: tuple[dict[str, Any], ...]
    record: dict[str, Any]
    metrics: dict[str, float] | None

    @property
    def name(self) -> str:
        """The name of the run: its folder's."""
        return self.folder.resolve().name

    @property
    def weights(self) -> Path:
        """The folder of the weights to show."""
        return Path(str(self.options.load_weights_folder))


def read_run(folder: Path, weights: Path | None = None, changes: Mapping[str, Any] | None = None) -> RunFolder:
    """Reads the folder ``log_dir/model_name`` of a run.

    Args:
        weights: by default its ``models/weights_best``.
        changes: options that differ from the training's.

    Raises:
        DataError: the folder, its options or the weights are missing.
        OptionsError: the options are not as they should be.
        WeightsError: the weights' ``weights.json`` is damaged.
    """
    changes = dict(changes or {})
    if not folder.is_dir():
        raise DataError(f"there is no run in {folder}: the folder LOG_DIR/MODEL_NAME of a training was expected.")
    options_file = folder / "models" / "opt.json"
    if not options_file.is_file():
        raise DataError(
            f"{folder} is no run: {options_file} is missing, which train.py writes first. "
            "The folder LOG_DIR/MODEL_NAME of a training was expected."
        )
    weights = weights or folder / "models" / "weights_best"
    if not resolve_complete_dir(weights.absolute()).is_dir():
        kept = ", ".join(sorted(path.name for path in (folder / "models").glob("weights_*"))) or "none yet"
        raise DataError(
            f"there are no weights in {weights}; of this run there are: {kept}. Name a folder by --weights FOLDER, or "
            "wait for the end of the first epoch."
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
        _read_metrics(weights / "metrics.json"),
    )


def _read_scalars(path: Path) -> tuple[dict[str, Any], ...]:
    """The lines that are whole; a run that began again in the same folder replaces the steps from there on."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
            part, step = line["part"], line["step"]
        except (ValueError, KeyError, TypeError):  # cut off where the run was killed
            continue
        lines = [old for old in lines if old["step"] < step or (old["step"] == step and old["part"] != part)]
        lines.append(line)
    return tuple(lines)


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file is missing or damaged, for all that is read so can be done without."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _read_metrics(path: Path) -> dict[str, float] | None:
    content = _read_object(path)
    complete = all(isinstance(content.get(name), float) for name in METRIC_NAMES)
    return {name: content[name] for name in METRIC_NAMES} if complete else None


def read_trajectories(weights: Path) -> tuple[Trajectory, ...]:
    """Of every sequence that the weights in a folder were scored on; files of other versions are passed over."""
    found = []
    for path in sorted(weights.glob(f"{_POSE_METRICS}*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            frames, table = int(content["frames"]), format_pose_tables(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        name = path.stem.removeprefix(_POSE_METRICS)
        picture = path.with_name(f"trajectory_{name}.png")
        uri = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}" if picture.is_file() else ""
        found.append(Trajectory(name, frames, table, uri))
    return tuple(found)
