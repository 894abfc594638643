"""Reader of camera calibration files in the formats of this project, OpenCV, ROS and Kalibr, as JSON or YAML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from common.errors import DataError, printable
from common.text_files import abbreviate, fault_of, read_text
from common.yaml_files import parse_yaml
from datasets.cameras import BROWN, FISHEYE, Camera, checked_intrinsics, checked_size

MODELS = {
    **dict.fromkeys(("pinhole", "none", "brown", "radtan", "plumb_bob", "rational_polynomial", "opencv"), BROWN),
    **dict.fromkeys(("fisheye", "equidistant", "equi", "kannala_brandt", "kannala-brandt", "opencv_fisheye"), FISHEYE),
}
DISTORTION_KEYS = ("distortion", "distortion_coeffs", "distortion_coefficients", "dist_coeffs", "D")
MAX_FOUND = 200  # characters of the names shown in a message
EXPECTED = (
    "Expected fx, fy, cx, cy in pixels, width, height, and optionally model (brown, fisheye) and distortion; or a file "
    "of OpenCV, ROS (camera_matrix, dist_coeffs) or Kalibr (intrinsics, distortion_coeffs, resolution)."
)


class _Loader(yaml.SafeLoader):
    """YAML loader that reads OpenCV's matrices as mappings."""


_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", lambda loader, node: loader.construct_mapping(node, True))


def read_camera_file(path: Path, size: tuple[int, int]) -> Camera:
    """Read a camera from a calibration file.

    Args:
        path: JSON or YAML file; of a Kalibr camera chain, the first camera is used.
        size: (height, width) of the images, used if the file contains no size.

    Raises:
        DataError: The file cannot be read, or does not follow one of the formats.
    """
    entries = _entries(path)
    K = _intrinsics(entries, path)
    distortion = _distortion(entries, path)
    return Camera(K, _size(entries, path) or size, distortion, str(path))


def _entries(path: Path) -> Mapping[str, Any]:
    try:
        # JSON is valid YAML except for tabs; OpenCV's first line is invalid YAML.
        content = parse_yaml(read_text(path).replace("\t", " ").replace("%YAML:1.0", "%YAML 1.1"), _Loader)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} {fault_of(error)}. {EXPECTED}") from error
    if isinstance(content, Mapping) and isinstance(content.get("cam0"), Mapping):
        content = content["cam0"]
    if not isinstance(content, Mapping):
        raise DataError(f"{path} contains no mapping of names to values. {EXPECTED}")
    return content


def _numbers(value: Any, counts: tuple[int, ...], name: str, path: Path) -> np.ndarray:
    """Convert a list, a nested list or an OpenCV matrix to a flat array."""
    if isinstance(value, Mapping):
        value = value.get("data")
    try:
        numbers = np.array(value, dtype=float).ravel()
    except (TypeError, ValueError, OverflowError):
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all() or len(numbers) not in counts:
        expected = " or ".join(map(str, counts))
        raise DataError(f"{path}: {name}: got {abbreviate(value)}, expected {expected} numbers.")
    return numbers


def _intrinsics(entries: Mapping[str, Any], path: Path) -> np.ndarray:
    for name in ("camera_matrix", "K"):
        if name in entries:
            return checked_intrinsics(_numbers(entries[name], (9,), name, path).reshape(3, 3), str(path))
    if "intrinsics" in entries:
        model = str(entries.get("camera_model", "pinhole"))
        if model != "pinhole":
            raise DataError(
                f"{path}: camera_model: got {abbreviate(model)}, expected pinhole. Calibrate with a pinhole model."
            )
        fx, fy, cx, cy = _numbers(entries["intrinsics"], (4,), "intrinsics", path)
    elif {"fx", "fy", "cx", "cy"} <= set(entries):
        values = [entries[name] for name in ("fx", "fy", "cx", "cy")]
        fx, fy, cx, cy = _numbers(values, (4,), "fx, fy, cx, cy", path)
    else:
        found = ", ".join(name if isinstance(name, str) else abbreviate(name) for name in entries)
        raise DataError(f"{path}: found {printable(found[:MAX_FOUND]) or 'nothing'}. {EXPECTED}")
    return checked_intrinsics(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), str(path))


def _distortion(entries: Mapping[str, Any], path: Path) -> np.ndarray:
    """Read the distortion (9,), as in ``layers.camera_models``."""
    distortion = np.zeros(9)
    name = next((name for name in DISTORTION_KEYS if name in entries), None)
    if name is None:
        return distortion
    model = str(entries.get("distortion_model", entries.get("model", "brown"))).lower()
    if model not in MODELS:
        raise DataError(f"{path}: distortion model: got {abbreviate(model)}, allowed: {', '.join(MODELS)}.")
    counts = (0, 4) if MODELS[model] == FISHEYE else (0, 4, 5, 8)
    coefficients = _numbers(entries[name], counts, name, path)
    distortion[0] = MODELS[model]
    distortion[1 : 1 + len(coefficients)] = coefficients
    return distortion


def _size(entries: Mapping[str, Any], path: Path) -> tuple[int, int] | None:
    """Read the (height, width); None if the file contains none."""
    for names in (("width", "height"), ("image_width", "image_height")):
        if all(name in entries for name in names):
            width, height = _numbers([entries[name] for name in names], (2,), " and ".join(names), path)
            break
    else:
        name = next((name for name in ("resolution", "size", "image_size", "img_size") if name in entries), None)
        if name is None:
            return None
        width, height = _numbers(entries[name], (2,), f"{name} (width, height)", path)
    return checked_size(width, height, str(path))
