"""A folder of weights: ``ROLE.pdparams`` for every network; ``weights.json``: what they were trained for.

``manifest.json`` lists both with their hashes; released folders have neither it nor ``weights.json``.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from errors import WeightsError
from serialization.atomic import atomic_folder, whole_folder, write_json
from serialization.manifest import check_manifest, write_manifest
from serialization.matching import MatchReport, load_into
from serialization.pdparams import read_pdparams, write_pdparams

INFO_FILE = "weights.json"
ENDING = ".pdparams"


@dataclass(frozen=True)
class WeightsInfo:
    """What ``weights.json`` holds: the size of the network's input; whether stereo pairs set the scale."""

    height: int
    width: int
    use_stereo: bool


def save_weights(folder: str | Path, networks: Mapping[str, nn.Layer], info: Mapping[str, Any]) -> None:
    """Writes every network, ``weights.json`` and ``manifest.json`` as one folder, which replaces an old one as a whole.

    Args:
        folder: new, or a folder of weights to replace.
        networks: role -> network.
        info: height, width and use_stereo.

    Raises:
        WeightsError: ``folder`` holds something else, or ``info`` lacks a value.
        UserError: the folder cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.is_dir() and any(folder.iterdir()) and not _roles_in(folder):
        raise WeightsError(f"{folder} holds something else than weights and will not be replaced; name a new folder.")
    with atomic_folder(folder) as temporary:
        fill_folder(temporary, networks, info)
        write_manifest(temporary)


def fill_folder(folder: Path, networks: Mapping[str, nn.Layer], info: Mapping[str, Any]) -> None:
    """Writes every network and ``weights.json`` into a folder that is about to be finished.

    Raises:
        WeightsError, UserError: as ``save_weights``.
    """
    checked = _parse_info(info, folder / INFO_FILE)
    for role, network in networks.items():
        arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        write_pdparams(folder / f"{role}{ENDING}", arrays)
    write_json(folder / INFO_FILE, vars(checked))


def load_weights(folder: str | Path, networks: Mapping[str, nn.Layer], roles: Iterable[str]) -> dict[str, MatchReport]:
    """Loads the networks of these ``roles`` and leaves the others; other files in the folder are not read.

    Returns:
        Role -> what matched.

    Raises:
        WeightsError: a role is unknown or its file missing, damaged, unsafe, of another network, or not the one that
            was saved (``manifest.json``).
    """
    folder = _existing(folder)
    roles = tuple(roles)
    for role in roles:
        if role not in networks:
            raise WeightsError(f"there is no network {role!r} to load into; there are: {', '.join(networks)}.")
        if role not in _roles_in(folder):
            held = ", ".join(sorted(path.name for path in folder.iterdir()))
            raise WeightsError(
                f"{folder} has no {role}{ENDING}; it holds: {held}. "
                "Name another folder by --load_weights_folder, or the networks to load by --models_to_load."
            )
    check_manifest(folder, [f"{role}{ENDING}" for role in roles])
    contents: dict[str, dict[str, np.ndarray]] = {role: read_pdparams(folder / f"{role}{ENDING}") for role in roles}
    return {role: load_into(networks[role], arrays, folder / f"{role}{ENDING}") for role, arrays in contents.items()}


def read_weights_info(folder: str | Path) -> WeightsInfo | None:
    """What ``weights.json`` tells; None where there is none, as in released folders.

    Raises:
        WeightsError: the folder is missing, or ``weights.json`` is damaged or not the one that was saved.
    """
    path = _existing(folder) / INFO_FILE
    check_manifest(path.parent, [INFO_FILE])
    if not path.is_file():
        return None
    try:
        return _parse_info(json.loads(path.read_text(encoding="utf-8")), path)
    except (OSError, ValueError, RecursionError) as fault:
        raise WeightsError(f"{path} is damaged ({fault}): mend it, or remove it to give the size by hand.") from fault


def _existing(folder: str | Path) -> Path:
    whole = whole_folder(Path(folder).absolute())
    if not whole.is_dir():
        raise WeightsError(f"there is no folder of weights at {folder}.")
    return whole


def _roles_in(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob(f"*{ENDING}")}


def _parse_info(content: Any, path: Path) -> WeightsInfo:
    expected = {"height": int, "width": int, "use_stereo": bool}
    if isinstance(content, Mapping) and all(type(content.get(key)) is kind for key, kind in expected.items()):
        info = WeightsInfo(**{key: content[key] for key in expected})
        if info.height > 0 and info.width > 0:
            return info
    raise WeightsError(
        f"{path} should hold positive height and width, and use_stereo (true or false); it holds {content!r}."
    )
