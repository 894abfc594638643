"""A folder of weights: ``ROLE.pdparams`` for every network; ``weights.json``: what they were trained for.

``manifest.json`` lists both with their hashes; released folders have neither it nor ``weights.json``. Read are
``ROLE.safetensors`` and ``ROLE.pth`` as well: the original implementation's folders are used as they are.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from common.atomic_files import atomic_folder, resolve_complete_dir, write_json
from common.errors import WeightsError
from serialization.formats import FORMATS, WeightsFormat, any_of, read_arrays
from serialization.manifest import check_manifest, update_manifest, write_manifest
from serialization.matching import MatchReport, load_into
from serialization.torch_file import read_torch_file

INFO_FILE = "weights.json"
ENDINGS = (".pdparams", ".safetensors", ".pth")


@dataclass(frozen=True)
class WeightsInfo:
    """What ``weights.json`` holds.

    Attributes:
        height, width: of the network's input.
        use_stereo: whether stereo pairs set the scale.
        metres_per_unit: metres in a scene unit, where that was learned or set; None elsewhere.
        intrinsics: fx, fy, cx, cy that were learned, pixels of the input; None elsewhere.
        min_depth, max_depth: depths of disparity 1 and 0, scene units; None in older folders.
        model: "type", a key of ``common.registry.MODELS``, and the model's settings; None in older folders.
    """

    height: int
    width: int
    use_stereo: bool
    metres_per_unit: float | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    min_depth: float | None = None
    max_depth: float | None = None
    model: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """What is known, as JSON can hold it."""
        return {name: value for name, value in vars(self).items() if value is not None}


def save_weights(folder: str | Path, networks: Mapping[str, nn.Layer], info: Mapping[str, Any]) -> None:
    """Writes every network, ``weights.json`` and ``manifest.json`` as one folder, which replaces an old one as a whole.

    Args:
        folder: new, or a folder of weights to replace.
        networks: role -> network.
        info: height, width and use_stereo; the others of ``WeightsInfo`` where they are known.

    Raises:
        WeightsError: ``folder`` holds something else, or ``info`` lacks a value.
        UserError: the folder cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.is_dir() and any(folder.iterdir()) and not roles_in(folder):
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
    contents = {
        role: {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        for role, network in networks.items()
    }
    _fill(folder, contents, checked, FORMATS["pdparams"])


def write_weights(
    folder: Path, contents: Mapping[str, Mapping[str, np.ndarray]], info: WeightsInfo | None, form: WeightsFormat
) -> None:
    """Writes arrays as a folder of weights, with its manifest; what is there is replaced as a whole.

    Args:
        folder: the folder.
        contents: role -> name -> array, arranged for ``form``.
        info: for ``weights.json``; None writes none.
        form: one of ``FORMATS``.

    Raises:
        UserError: the folder cannot be written.
    """
    with atomic_folder(folder) as temporary:
        _fill(temporary, contents, info, form)
        write_manifest(temporary)


def _fill(
    folder: Path, contents: Mapping[str, Mapping[str, np.ndarray]], info: WeightsInfo | None, form: WeightsFormat
) -> None:
    for role, arrays in contents.items():
        form.write(folder / f"{role}{form.ending}", arrays)
    if info is not None:
        write_json(folder / INFO_FILE, info.as_dict())


def load_weights(folder: str | Path, networks: Mapping[str, nn.Layer], roles: Iterable[str]) -> dict[str, MatchReport]:
    """Loads the networks of these ``roles`` and leaves the others; other files in the folder are not read.

    Returns:
        Role -> what matched.

    Raises:
        WeightsError: a role is unknown or its file missing, damaged, unsafe, of another network, or not the one that
            was saved (``manifest.json``).
    """
    roles = tuple(roles)
    for role in roles:
        if role not in networks:
            raise WeightsError(f"there is no network {role!r} to load into; there are: {', '.join(networks)}.")
    contents = read_weights(folder, roles)
    return {role: load_into(networks[role], arrays, path) for role, (path, arrays) in contents.items()}


def read_weights(folder: str | Path, roles: Iterable[str]) -> dict[str, tuple[Path, dict[str, np.ndarray]]]:
    """Role -> its file, and the file's arrays under Paddle's names.

    Raises:
        WeightsError: as ``load_weights``.
    """
    folder = _existing(folder)
    paths = {role: _file_of(folder, role) for role in roles}
    check_manifest(folder, [path.name for path in paths.values()])
    return {role: (path, read_arrays(path)) for role, path in paths.items()}


def read_weights_info(folder: str | Path) -> WeightsInfo | None:
    """What ``weights.json`` tells, or ``encoder.pth`` beside its tensors; None where neither gives a size.

    Raises:
        WeightsError: the folder is missing, or the file is damaged or not the one that was saved.
    """
    folder = _existing(folder)
    path, encoder = folder / INFO_FILE, folder / "encoder.pth"
    check_manifest(folder, [INFO_FILE])
    if path.is_file():
        try:
            return _parse_info(json.loads(path.read_text(encoding="utf-8")), path)
        except (OSError, ValueError, RecursionError) as fault:
            raise WeightsError(
                f"{path} is damaged ({fault}): fix it, or remove it to give the size by hand."
            ) from fault
    others = read_torch_file(encoder).others if encoder.is_file() else {}
    return _parse_info({"use_stereo": False, **others}, encoder) if "height" in others else None


def replace_weights_info(folder: str | Path, info: WeightsInfo) -> None:
    """Puts another ``weights.json`` into a folder of weights, whose other files stay as they are.

    Raises:
        WeightsError: the folder is missing, or its manifest is damaged.
        UserError: the folder cannot be written.
    """
    folder = _existing(folder)
    with update_manifest(folder, INFO_FILE):
        write_json(folder / INFO_FILE, info.as_dict())


def roles_in(folder: Path) -> set[str]:
    """The networks whose weights are in ``folder``."""
    return {path.stem for path in folder.glob("*") if path.suffix in ENDINGS}


def _existing(folder: str | Path) -> Path:
    whole = resolve_complete_dir(Path(folder).absolute())
    if not whole.is_dir():
        raise WeightsError(f"there is no folder of weights at {folder}.")
    return whole


def _file_of(folder: Path, role: str) -> Path:
    found = [path for ending in ENDINGS if (path := folder / f"{role}{ending}").is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(path.name for path in found)
        raise WeightsError(f"{folder} has {names} for one network: remove all but one of them.")
    held = ", ".join(sorted(path.name for path in folder.iterdir()))
    raise WeightsError(
        f"{folder} has no {role}{any_of(ENDINGS)}; it holds: {held or 'nothing'}. "
        "Name another folder by --load_weights_folder, or the networks to load by --models_to_load."
    )


def _parse_info(content: Any, path: Path) -> WeightsInfo:
    expected = {"height": int, "width": int, "use_stereo": bool}
    if isinstance(content, Mapping) and all(type(content.get(key)) is kind for key, kind in expected.items()):
        values = {field.name: content.get(field.name) for field in fields(WeightsInfo)}
        camera, model = values["intrinsics"], values["model"]
        depths = [values[name] for name in ("metres_per_unit", "min_depth", "max_depth") if values[name] is not None]
        is_valid = (
            min(content["height"], content["width"]) > 0
            and (_are_numbers(depths, len(depths)) and all(depth > 0 for depth in depths))
            and (camera is None or (_are_numbers(camera, 4) and min(camera[:2]) > 0))
            and (model is None or (isinstance(model, Mapping) and isinstance(model.get("type"), str)))
        )
        if is_valid:
            return WeightsInfo(**{**values, "intrinsics": camera and tuple(camera)})
    raise WeightsError(
        f"{path} should hold positive height and width, and use_stereo (true or false); where they are known, positive "
        "metres_per_unit, min_depth and max_depth, as intrinsics fx, fy, cx and cy, and as model its type and "
        f"settings; it holds {content!r}."
    )


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == count
        and all(type(value) in (int, float) and math.isfinite(value) for value in values)
    )
