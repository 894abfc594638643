"""Folder of exported models: ``depth.onnx``; ``depth.json`` with ``depth.pdiparams``; and ``export.json``."""

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
    """Content of ``export.json``, the description of the models next to it.

    Attributes:
        formats: Exported formats, keys of ``FILES``.
        height, width: Input size of the networks.
        min_depth, max_depth: Depth at disparity 1 and 0, scene units.
        scale: Metres per scene unit; None if unknown.
        bare: Whether the models contain only the networks, without resizing and scale.
        fp16: Whether the weights are stored in 16 bits.
        weights: Checksum of the weights (``DepthPredictor.checksum``).
        model: Type and settings as in ``weights.json``; None if the folder does not name them.
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
    """Write ``export.json``."""
    write_json(folder / INFO_FILE, asdict(info))


def read_info(folder: Path) -> ExportInfo:
    """Read ``export.json`` from a folder.

    Raises:
        WeightsError: It is missing or damaged.
    """
    path = folder / INFO_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return ExportInfo(**{**content, "formats": tuple(content["formats"])})
    except FileNotFoundError:
        raise WeightsError(
            f"No exported model in {folder}: {INFO_FILE} not found. Run python tools/export_model.py "
            "--load_weights_folder WEIGHTS --out DIR, and pass DIR."
        ) from None
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise WeightsError(f"{path} is damaged ({error}). Export the model again.") from error
