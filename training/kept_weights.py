"""The weights that a run validates and saves."""

import contextlib
import math
from collections.abc import Mapping

from paddle import nn

from options import Options
from serialization.weights_folder import save_weights
from training.averaged_weights import SUFFIX, AveragedWeights
from training.distributed import average_statistics
from training.distributed_context import DistributedContext
from training.setup import weights_info
from training.validation import Validation


class KeptWeights:
    """The weights of the networks and, with ``--ema_decay``, their average; each is validated and saved.

    A suffix selects one of them, and is the ending of its folders' names: "" for the networks' own weights, and
    ``averaged_weights.SUFFIX`` for the average.

    Args:
        model: the networks.
        opt: the options.
        context: the processes of the run; the main one saves.

    Attributes:
        folder: ``models`` in the folder of the run.
        average: the average of the weights; None without ``--ema_decay``.
        best: suffix -> best ``selection_metric`` of a validation so far; inf before the first.
    """

    def __init__(self, model: nn.Layer, opt: Options, context: DistributedContext) -> None:
        self._model, self._opt, self._context = model, opt, context
        self.folder = opt.run_dir / "models"
        self.average = AveragedWeights(model, opt.ema_decay) if opt.ema_decay else None
        self.best = dict.fromkeys(("", SUFFIX) if self.average else ("",), math.inf)

    def selected(self, suffix: str) -> contextlib.AbstractContextManager:
        """Have the weights of this suffix in the model within the block."""
        return self.average.in_model() if suffix and self.average else contextlib.nullcontext()

    def average_statistics(self) -> None:
        """Average the running statistics of all processes."""
        for suffix in self.best:
            with self.selected(suffix):
                average_statistics(self._model, self._context)

    def save_validated(self, results: Mapping[str, Validation], epoch: int, *, is_due: bool) -> set[str]:
        """Save ``weights_best`` where the metric has improved, and ``weights_EPOCH`` if it is due.

        Args:
            results: suffix -> validation after the epoch.
            epoch: number of the epoch, from 0.
            is_due: whether to save the epoch's weights.

        Returns:
            The suffixes of the weights that have improved.
        """
        improved = {suffix for suffix, result in results.items() if result.selection_metric < self.best[suffix]}
        for suffix, result in results.items():
            with self.selected(suffix):
                if suffix in improved:
                    self.best[suffix] = result.selection_metric
                    self._save(f"weights_best{suffix}", result.intrinsics)
                if is_due:
                    self._save(f"weights_{epoch}{suffix}", result.intrinsics)
        return improved

    def rescue(self, intrinsics: tuple[float, ...] | None) -> str:
        """Save the networks' weights as ``weights_last_good`` if they are finite.

        Returns:
            What has been saved, or was before, for the message of a failure.
        """
        if all(bool(parameter.isfinite().all()) for parameter in self._model.parameters()):
            self._save("weights_last_good", intrinsics)
            return f"The weights before this step are good. Saved to {self.folder / 'weights_last_good'}"
        kept = sorted(path.name for path in self.folder.glob("weights_*"))
        return (
            f"The weights are no longer finite. Weights saved before, in {self.folder}: "
            f"{', '.join(kept) or 'none'}. Try a lower --learning_rate."
        )

    def _save(self, name: str, intrinsics: tuple[float, ...] | None) -> None:
        if self._context.is_main:
            save_weights(self.folder / name, self._model.networks(), weights_info(self._opt, intrinsics))
