"""Read and write weights folders.

A weights folder contains ``ROLE.pdparams`` for each network, ``weights.json`` (input size and other training settings)
and ``manifest.json`` (hashes). Released folders have neither JSON file. ``ROLE.safetensors`` and ``ROLE.pth`` are read
too, so the original implementation's folders work without conversion.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from common.atomic_files import atomic_folder, resolve_complete_dir, write_json
from common.errors import WeightsError
from common.text_files import abbreviate
from serialization.formats import ENDINGS, FORMATS, WeightsFormat, any_of, read_arrays
from serialization.manifest import check_manifest, update_manifest, write_manifest
from serialization.matching import MatchReport, load_into
from serialization.opening import MAX_INPUT_PIXELS, SIZE_STEP, is_input_size, read_json, report_unreadable
from serialization.published_names import recognised_network
from serialization.published_weights import suggest
from serialization.torch_file import read_torch_file

INFO_FILE = "weights.json"
_ADVICE = "Fix it, or remove it and pass --height and --width."
_DEPTHS = ("metres_per_unit", "min_depth", "max_depth")
# Attribute of ``WeightsInfo`` -> what is valid, for messages.
_EXPECTED = {
    "height": f"positive height and width, multiples of {SIZE_STEP} with at most {MAX_INPUT_PIXELS} pixels",
    "use_stereo": "true or false",
    **dict.fromkeys(_DEPTHS, "a positive number"),
    "intrinsics": "fx, fy, cx and cy in pixels",
    "model": "type and settings",
}


@dataclass(frozen=True)
class WeightsInfo:
    """Content of ``weights.json``.

    Attributes:
        height, width: size of the network's input, pixels.
        use_stereo: whether training used stereo pairs, which set the scale.
        metres_per_unit: metres per scene unit if learned or set, else None.
        intrinsics: learned fx, fy, cx, cy in pixels of the input, else None.
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
        """Return the known values, JSON-serializable."""
        return {name: value for name, value in vars(self).items() if value is not None}


def save_weights(folder: str | Path, networks: Mapping[str, nn.Layer], info: Mapping[str, Any]) -> None:
    """Write all networks, ``weights.json`` and ``manifest.json`` as one folder, and replace an old one atomically.

    Args:
        folder: a new folder, or a weights folder to replace.
        networks: role -> network.
        info: height, width and use_stereo; optionally the other attributes of ``WeightsInfo``.

    Raises:
        WeightsError: ``folder`` contains other files, or ``info`` lacks a value.
        UserError: the folder cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.is_dir() and any(folder.iterdir()) and not roles_in(folder):
        raise WeightsError(f"'{folder}' contains files other than weights and is not replaced. Choose a new folder.")
    with atomic_folder(folder) as temporary:
        fill_folder(temporary, networks, info)
        write_manifest(temporary)


def fill_folder(folder: Path, networks: Mapping[str, nn.Layer], info: Mapping[str, Any]) -> None:
    """Write all networks and ``weights.json`` into an existing temporary folder, without a manifest.

    Args:
        folder: the temporary folder.
        networks, info: see ``save_weights``.

    Raises:
        WeightsError: ``info`` lacks a value.
        UserError: the folder cannot be written.
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
    """Write arrays as a weights folder with a manifest, and replace an old folder atomically.

    Args:
        folder: the folder.
        contents: role -> name -> array, arranged for ``form``.
        info: content of ``weights.json``; None writes no such file.
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
    """Load weights into the networks of the given ``roles``; other networks and files are not touched.

    Args:
        folder: the weights folder.
        networks: role -> network.
        roles: the networks to load.

    Returns:
        Role -> report of matched names.

    Raises:
        WeightsError: a role is unknown; or its file is missing, damaged, unsafe, from another network, or has changed
            since it was written (``manifest.json``).
    """
    roles = tuple(roles)
    for role in roles:
        if role not in networks:
            raise WeightsError(f"unknown network {role!r}, expected one of: {', '.join(networks)}.")
    contents = read_weights(folder, roles)
    return {role: load_into(networks[role], arrays, path) for role, (path, arrays) in contents.items()}


def read_weights(folder: str | Path, roles: Iterable[str]) -> dict[str, tuple[Path, dict[str, np.ndarray]]]:
    """Read the weights of the given ``roles``.

    Returns:
        Role -> (file, its arrays by Paddle's names).

    Raises:
        WeightsError: a file is missing, damaged or unsafe, or has changed since it was written.
    """
    folder = _existing(folder)
    paths = {role: _file_of(folder, role) for role in roles}
    check_manifest(folder, [path.name for path in paths.values()])
    return {role: (path, read_arrays(path)) for role, path in paths.items()}


def read_weights_info(folder: str | Path) -> WeightsInfo | None:
    """Read ``weights.json``, or the size stored in the original implementation's ``encoder.pth``.

    Returns:
        The settings; None if neither file specifies a size.

    Raises:
        WeightsError: the folder is missing, or the file is damaged or has changed since it was written.
    """
    folder = _existing(folder)
    path, encoder = folder / INFO_FILE, folder / "encoder.pth"
    check_manifest(folder, [INFO_FILE])
    if path.exists():
        return _parse_info(read_json(path, _ADVICE), path)
    others = read_torch_file(encoder).others if encoder.exists() else {}
    return _parse_info({"use_stereo": False, **others}, encoder) if "height" in others else None


def recognise_depth_network(folder: str | Path) -> str | None:
    """Return the name of the depth network in a folder that does not store it; None if it is not recognised.

    Raises:
        WeightsError: the folder or its encoder is missing or damaged.
    """
    if "encoder" not in roles_in(_existing(folder)):
        return None
    _, arrays = read_weights(folder, ["encoder"])["encoder"]
    return recognised_network(arrays)


def replace_weights_info(folder: str | Path, info: WeightsInfo) -> None:
    """Replace ``weights.json`` of a weights folder and update its manifest.

    Raises:
        WeightsError: the folder is missing, or its manifest is damaged.
        UserError: the folder cannot be written.
    """
    folder = _existing(folder)
    with update_manifest(folder, INFO_FILE):
        write_json(folder / INFO_FILE, info.as_dict())


def roles_in(folder: Path) -> set[str]:
    """List the networks that have weights in ``folder``."""
    return {path.stem for path in folder.glob("*") if path.suffix in ENDINGS}


def _existing(folder: str | Path) -> Path:
    with report_unreadable(Path(folder)):
        complete = resolve_complete_dir(Path(folder).absolute())
        if not complete.is_dir():
            raise WeightsError(f"weights folder '{folder}' not found.{suggest(folder)}")
        # Both permissions: to list the folder, and to look at its files.
        for path in islice(complete.iterdir(), 1):
            path.stat(follow_symlinks=False)
        if not roles_in(complete):
            _refuse_run_folder(Path(folder))
    return complete


def _refuse_run_folder(folder: Path) -> None:
    """Suggest the weights of a run if ``folder`` is the run's: results would otherwise be written into the run."""
    for models in (folder / "models", folder):
        found = {path.name: path for path in models.glob("weights_*") if roles_in(path)}
        if found:
            latest = max(found.values(), key=lambda path: path.stat().st_mtime)
            raise WeightsError(
                f"'{folder}' is the folder of a run, expected one of its {len(found)} weights folders. "
                f"Pass '{found.get('weights_best', latest)}'."
            )


def _file_of(folder: Path, role: str) -> Path:
    found = [path for ending in ENDINGS if (path := folder / f"{role}{ending}").exists()]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(path.name for path in found)
        raise WeightsError(f"'{folder}' contains {names} for one network. Remove all but one of them.")
    held = ", ".join(sorted(path.name for path in folder.iterdir()))
    raise WeightsError(
        f"'{folder}' contains no {role}{any_of(ENDINGS)}, found: {held or 'nothing'}. "
        "Pass another folder to --load_weights_folder, or the networks to load to --models_to_load."
    )


def _parse_info(content: Any, path: Path) -> WeightsInfo:
    if not isinstance(content, Mapping):
        raise WeightsError(f"'{path}' is invalid: got {abbreviate(content)}, expected an object. {_ADVICE}")
    values = {field.name: content.get(field.name) for field in fields(WeightsInfo)}
    camera, model = values["intrinsics"], values["model"]
    checks = {
        "height": is_input_size(values["height"], values["width"]),
        "use_stereo": isinstance(values["use_stereo"], bool),
        **{name: values[name] is None or _are_positive([values[name]]) for name in _DEPTHS},
        "intrinsics": camera is None or (_are_numbers(camera, 4) and _are_positive(camera[:2])),
        "model": model is None or (isinstance(model, Mapping) and isinstance(model.get("type"), str)),
    }
    for name, is_valid in checks.items():
        if not is_valid:
            width = f" and width {abbreviate(values['width'])}" if name == "height" else ""
            found = f"{name} {abbreviate(values[name])}{width}"
            raise WeightsError(f"'{path}' is invalid: got {found}, expected {_EXPECTED[name]}. {_ADVICE}")
    return WeightsInfo(**{**values, "intrinsics": camera and tuple(camera)})


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == count
        # A comparison instead of math.isfinite, which raises for large integers.
        and all(type(value) in (int, float) and abs(value) < 1e300 for value in values)
    )


def _are_positive(values: Any) -> bool:
    return _are_numbers(values, len(values)) and min(values) > 0
