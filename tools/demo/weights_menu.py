"""The weights that a visitor may choose from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import WeightsError
from inference.from_options import predictor_from
from tools.demo.demo_options import PageOptions

if TYPE_CHECKING:  # it imports Paddle, which nobody needs to be told of a mistyped option
    from inference.depth_predictor import DepthPredictor

NEEDED = ("encoder", "depth")


def find_weights(root: Path) -> list[str]:
    """Folders of weights in ``root``: all in weights/, then the best of each run in logs/, the newest first.

    Raises:
        WeightsError: there are none.
    """
    found = sorted(path for path in (root / "weights").glob("*") if _can_predict(path))
    best = [path for path in (root / "logs").glob("**/models/weights_best") if _can_predict(path)]
    found += sorted(best, key=lambda path: path.stat().st_mtime, reverse=True)
    if not found:
        raise WeightsError(
            "there are no weights to predict by: name a folder by --load_weights_folder, or train some: "
            "bash configs/demo/demo.sh makes weights on a CPU."
        )
    return [str(path.relative_to(root)) for path in found]


def _can_predict(folder: Path) -> bool:
    return all(any(folder.glob(f"{role}.*")) for role in NEEDED)


class Predictors:
    """Predictors by folder of weights, each loaded when it is first asked for.

    Args:
        folders: as a visitor sees them; the first is the default.
        options: the other settings of the predictors.
    """

    def __init__(self, folders: Sequence[str], options: PageOptions) -> None:
        self.folders = list(folders)
        self._options = options
        self._loaded: dict[str, DepthPredictor] = {}

    def __getitem__(self, folder: str) -> "DepthPredictor":
        """The predictor of one of the ``folders``.

        Raises:
            WeightsError: it is another folder, or its weights are damaged or do not fit.
        """
        if folder not in self.folders:  # what comes from a browser may be anything
            raise WeightsError("these weights are none of those to choose from.")
        if folder not in self._loaded:
            self._loaded[folder] = predictor_from(self._options, load_weights_folder=folder)
        return self._loaded[folder]
