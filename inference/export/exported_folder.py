"""A folder of exported models: ``depth.onnx``; ``depth.json`` with ``depth.pdiparams``; and ``export.json``."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.atomic_files import write_json
from common.errors import WeightsError

MODEL = "depth"
INFO_FILE = "export.json"
FILES = {"paddle": (f"{MODEL}.json", f"{MODEL}.pdiparams"), "onnx": (f"{MODEL}.onnx",)}  # by format


@dataclass(frozen=True)
class ExportInfo:
    """What ``export.json`` says of the models beside it.

    Attributes:
        formats: keys of `FILES`, of those that are there.
        height, width: of the networks' input.
        min_depth, max_depth: what disparity 1 and 0 stand for, scene units.
        scale: metres in a scene unit; None where that is not known.
        bare: whether the models are the networks alone, with resizing and scale outside.
        fp16: whether the weights are kept in 16 bits.
        weights: checksum of the weights (`DepthPredictor.checksum`).
        model: type and settings, as ``weights.json`` has them; None in older folders.
    """

    formats: tuple[str, ...]
    height: int
    width: int
    min_depth: float
    max_depth: float
    scale: float | None
    bare: bool
    fp16: bool
    weights: str
    model: dict[str, Any] | None = None


def write_info(folder: Path, info: ExportInfo) -> None:
    """Writes ``export.json``."""
    write_json(folder / INFO_FILE, asdict(info))


def read_info(folder: Path) -> ExportInfo:
    """What ``export.json`` in a folder says. Raises WeightsError where it is missing or damaged."""
    path = folder / INFO_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return ExportInfo(**{**content, "formats": tuple(content["formats"])})
    except FileNotFoundError:
        raise WeightsError(
            f"{folder} holds no exported model ({INFO_FILE}): make one by python tools/export_model.py "
            "--load_weights_folder WEIGHTS --out DIR, and give DIR."
        ) from None
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise WeightsError(f"{path} is damaged ({error}): export the model again.") from error
