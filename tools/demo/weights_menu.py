"""Weights offered in the page's menu, and their predictors."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import WeightsError
from inference.from_options import predictor_from
from tools.demo.demo_options import PageOptions

if TYPE_CHECKING:  # imports Paddle, which would delay the message about a mistyped option
    from inference.depth_predictor import DepthPredictor

NEEDED = ("encoder", "depth")  # roles


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


def _can_predict(folder: Path) -> bool:
    return all(any(folder.glob(f"{role}.*")) for role in NEEDED)


def menu_names(folders: Sequence[str]) -> list[str]:
    """Name weights folders without the server's paths: by their last components, as many as make them distinct.

    Weights of a run include the run's name: RUN/models/weights_best.
    """
    parts = [Path(folder).absolute().parts for folder in folders]
    names = []
    for own in parts:
        count = 3 if own[-2:-1] == ("models",) else 1
        while count < len(own) and sum(other[-count:] == own[-count:] for other in set(parts)) > 1:
            count += 1
        names.append("/".join(own[-count:]))
    return list(dict.fromkeys(names))


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

    def without_paths(self, message: str) -> str:
        """Replace the paths of the folders in a message to a visitor by their names."""
        for name, folder in self._folders.items():
            message = message.replace(str(Path(folder).absolute()), name).replace(folder, name)
        return message
