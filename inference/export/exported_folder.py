"""Folder of exported models: ``depth.onnx``; ``depth.json`` with ``depth.pdiparams``; and ``export.json``."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from common.atomic_files import write_json
from common.errors import WeightsError
from common.text_files import abbreviate
from serialization.opening import is_input_size, read_json, report_unreadable

MODEL = "depth"
INFO_FILE = "export.json"
FILES = {"paddle": (f"{MODEL}.json", f"{MODEL}.pdiparams"), "onnx": (f"{MODEL}.onnx",)}  # by format
_ADVICE = "Export the model again."


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
    with report_unreadable(folder):
        if not path.exists():
            raise WeightsError(
                f"No exported model in {folder}: {INFO_FILE} not found. Run python tools/export_model.py "
                "--load_weights_folder WEIGHTS --out DIR, and pass DIR."
            )
    content = read_json(path, _ADVICE)
    names = {field.name for field in fields(ExportInfo)}
    if not isinstance(content, dict) or not names - {"model"} <= set(content) <= names:
        raise WeightsError(f"{path} is damaged: expected {', '.join(sorted(names))}. {_ADVICE}")
    for name, is_valid in _checks(content).items():
        if not is_valid:
            keys = ("height", "width") if name == "height" else (name,)
            found = " and ".join(f"{key} is {abbreviate(content[key])}" for key in keys)
            raise WeightsError(f"{path} is damaged: {found}. {_ADVICE}")
    return ExportInfo(**{**content, "formats": tuple(content["formats"])})


def _checks(content: dict[str, Any]) -> dict[str, bool]:
    """Check the values of ``export.json``: name -> whether it is valid."""
    formats, model = content["formats"], content.get("model")
    return {
        "formats": isinstance(formats, list) and all(isinstance(kind, str) and kind in FILES for kind in formats),
        "height": is_input_size(content["height"], content["width"]),
        "min_depth": _is_positive(content["min_depth"]),
        "max_depth": _is_positive(content["max_depth"]),
        "scale": content["scale"] is None or _is_positive(content["scale"]),
        "bare": isinstance(content["bare"], bool),
        "fp16": isinstance(content["fp16"], bool),
        "weights": isinstance(content["weights"], str),
        "model": model is None or isinstance(model, dict),
    }


def _is_positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < 1e300
