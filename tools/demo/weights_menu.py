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


class Predictors:
    """Predictors by weights folder, each loaded on first use.

    Args:
        folders: Weights folders, as shown in the menu; the first is the default.
        options: Device and network of the predictors.
    """

    def __init__(self, folders: Sequence[str], options: PageOptions) -> None:
        self.folders = list(folders)
        self._options = options
        self._loaded: dict[str, DepthPredictor] = {}

    def __getitem__(self, folder: str) -> "DepthPredictor":
        """Return the predictor of one of the ``folders``.

        Raises:
            WeightsError: The folder is not in ``folders``, or its weights are damaged or do not fit the network.
        """
        if folder not in self.folders:  # the browser can send any string
            raise WeightsError("These weights are not in the menu. Select weights from the menu.")
        if folder not in self._loaded:
            self._loaded[folder] = predictor_from(self._options, load_weights_folder=folder)
        return self._loaded[folder]
