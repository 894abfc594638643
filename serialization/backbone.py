"""Locate and read the pretrained backbone that ``--weights_init`` selects."""

from pathlib import Path

import numpy as np

from common.errors import WeightsError
from serialization.formats import READERS, any_of, read_arrays
from serialization.opening import report_unreadable
from serialization.pretrained import find_pretrained
from serialization.published_names import to_own_names
from serialization.published_weights import WEIGHTS_DIR


def find_backbone(weights_init: str, name: str, weights_dir: Path = WEIGHTS_DIR) -> Path:
    """Locate the weight file of a pretrained encoder; download published ImageNet weights if necessary.

    Args:
        weights_init: "pretrained" (ImageNet weights from ``weights_dir``, installed, or downloaded once) or a path: a
            weight file (with or without one of the extensions in ``READERS``), or a folder that contains NAME with
            one of these extensions, or NAME_pretrain.h5.
        name: the encoder's name, "resnet18".
        weights_dir: the folder that "pretrained" searches first.

    Raises:
        WeightsError: no file was found, or the download failed.
    """
    if weights_init == "pretrained":
        return _find_in_folder(weights_dir, name) or find_pretrained(name, weights_dir)
    path = Path(weights_init).expanduser()
    with report_unreadable(path):
        return _find_at(path, name)


def read_backbone(path: Path, name: str) -> dict[str, np.ndarray]:
    """Read an encoder's arrays by this project's names, for a ResNet Paddle's ("conv1.weight").

    Args:
        path: the file, with the names of any publisher (``serialization.published_names``), or with the prefix
            ``encoder.`` of released ResNets.
        name: the encoder's name.

    Raises:
        WeightsError: see ``read_arrays``.
    """
    arrays = {key.removeprefix("encoder."): array for key, array in read_arrays(path).items()}
    return to_own_names(name, arrays)


def _find_at(path: Path, name: str) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        found = _find_in_folder(path, name)
        if found is None:
            names = any_of(_file_names(name))
            raise WeightsError(f"--weights_init: no {names} found in '{path}'.")
        return found
    for ending in READERS:
        # Append the extension: with_suffix would replace what follows a dot in the name.
        candidate = path.with_name(path.name + ending)
        if candidate.is_file():
            return candidate
    raise WeightsError(
        f"--weights_init: '{path}' not found, neither as a folder nor as a file (with or without "
        f"{any_of(READERS)}). Pass an existing path, pretrained or scratch."
    )


def _file_names(name: str) -> tuple[str, ...]:
    return *(f"{name}{ending}" for ending in READERS), f"{name}_pretrain.h5"


def _find_in_folder(folder: Path, name: str) -> Path | None:
    candidates = (folder / name for name in _file_names(name))
    return next((path for path in candidates if path.is_file()), None)
