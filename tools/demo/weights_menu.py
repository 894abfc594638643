"""Weights offered in the page's menu, and their predictors."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import UserError, WeightsError
from inference.from_options import predictor_from
from serialization.published_weights import PUBLISHED, WEIGHTS_DIR
from serialization.weights_download import find_published, resolve_weights
from tools.demo.demo_options import PageOptions

if TYPE_CHECKING:  # imports Paddle, which would delay the message about a mistyped option
    from inference.depth_predictor import DepthPredictor

NEEDED = ("encoder", "depth")  # roles
BEST = ("models", "weights_best")  # end of the path of a run's best weights
OFFERED = ("mono+stereo_640x192", "mono+stereo_1024x320", "lite-mono-8m_640x192")  # published, of those that exist


def find_weights(root: Path) -> list[str]:
    """List weights folders relative to ``root``: all in weights/, then the best of each run in logs/, newest first.

    Raises:
        WeightsError: There are none.
    """
    found = sorted(path for path in (root / "weights").glob("*") if _can_predict(path))
    best = [path for path in (root / "logs").glob("**/models/weights_best") if _can_predict(path)]
    found += sorted(best, key=lambda path: path.stat().st_mtime, reverse=True)
    if not found:
        raise WeightsError(
            "No weights found in weights/ or logs/. Pass --load_weights_folder DIR, or train weights on a CPU with "
            "bash configs/demo/demo.sh."
        )
    return [str(path.relative_to(root)) for path in found]


def with_published(folders: Sequence[str]) -> list[str]:
    """Append the names of published weights, which are downloaded when a visitor first selects them."""
    there = {Path(folder).name for folder in folders}
    return [*folders, *(name for name in OFFERED if name not in there)]


def _can_predict(folder: Path) -> bool:
    return all(any(folder.glob(f"{role}.*")) for role in NEEDED)


def menu_names(folders: Sequence[str]) -> list[str]:
    """Name weights folders without the server's paths: by their last components, as many as make them distinct.

    The best weights of a run have the run's name, its others RUN/weights_N.
    """
    paths = [Path(folder).absolute() for folder in folders]
    parts = [_telling_parts(path) for path in paths]
    if len(set(parts)) < len(set(paths)):
        parts = [path.parts for path in paths]
    names = []
    for own in parts:
        count = 2 if Path(own[-1]).match("weights_*") else 1
        while count < len(own) and sum(other[-count:] == own[-count:] for other in set(parts)) > 1:
            count += 1
        names.append("/".join(own[-count:]))
    return list(dict.fromkeys(names))


def _telling_parts(folder: Path) -> tuple[str, ...]:
    parts = folder.parts
    if parts[-2:] == BEST:
        return parts[:-2]
    return (*parts[:-2], parts[-1]) if parts[-2:-1] == BEST[:1] else parts


class Predictors:
    """Predictors by their names in the menu, each loaded on first use.

    Args:
        folders: Weights folders; the first is the default.
        options: Device and network of the predictors.

    Attributes:
        names: Names in the menu, in the order of ``folders``.
    """

    def __init__(self, folders: Sequence[str], options: PageOptions) -> None:
        distinct = list({Path(folder).absolute(): folder for folder in folders}.values())
        self.names = menu_names(distinct)
        self._folders = dict(zip(self.names, distinct, strict=True))
        self._options = options
        self._loaded: dict[str, DepthPredictor] = {}

    def __getitem__(self, name: str) -> "DepthPredictor":
        """Return the predictor of one of the ``names``.

        Raises:
            WeightsError: The name is not in ``names``, or its weights are damaged or do not fit the network.
        """
        if name not in self._folders:  # the browser can send any string
            raise WeightsError("These weights are not in the menu. Select weights from the menu.")
        if name not in self._loaded:
            self._loaded[name] = predictor_from(self._options, load_weights_folder=self._folders[name])
        return self._loaded[name]

    def choices(self) -> list[tuple[str, str]]:
        """Return (label, name) of each; the label adds network and input size, or the licence of a download."""
        return [
            (f"{name} ({about})" if (about := _about(folder)) else name, name) for name, folder in self._folders.items()
        ]

    def is_loaded(self, name: str) -> bool:
        """Return whether the predictor of a name is ready."""
        return name in self._loaded

    def without_paths(self, message: str) -> str:
        """Replace the paths of the folders in a message to a visitor by their names."""
        for name, folder in self._folders.items():
            message = message.replace(str(Path(folder).absolute()), name).replace(folder, name)
        message = message.replace(str(WEIGHTS_DIR), WEIGHTS_DIR.name)  # of downloads
        return message


def _about(folder: str) -> str:
    """Describe weights in a few words, without reading the networks; "" if they do not say anything."""
    from serialization.weights_folder import INFO_FILE, read_weights_info

    if folder in PUBLISHED and not Path(folder).is_dir() and find_published(folder) is None:
        return f"download, {PUBLISHED[folder].licence.split(', ')[-1]} licence"
    path = resolve_weights(folder)
    if not (Path(path) / INFO_FILE).is_file():
        return ""
    try:
        info = read_weights_info(path)
    except UserError:  # reported when they are selected
        return "damaged"
    return f"{(info.model or {}).get('depth_network', 'resnet18')}, {info.width}x{info.height}"
