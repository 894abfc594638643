"""The forward pass of a training step, eager or compiled to a static graph."""

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import paddle
from paddle import Tensor, nn

from datasets.mono_dataset import LISTS
from layers.self_supervised_loss import SelfSupervisedLoss
from training.distributed import synchronise_gradients
from training.distributed_context import DistributedContext
from training.optimizer_step import AMP_TYPES


class ForwardResult(NamedTuple):
    """Results of a forward pass.

    Attributes:
        losses: scalars by name; gradients flow back from "loss".
        maps: maps to draw, (B, C, H, W), by name.
        outputs: of the model's outputs, without gradient, "disp/0", the motions and "K/0".
    """

    losses: dict[str, Tensor]
    maps: dict[str, Tensor]
    outputs: dict[str, Tensor]


class ForwardPass:
    """Model and loss of one batch.

    Args:
        model, compute_loss: set to training mode by the caller, and not changed after the first call if compiled.
        compile_mode: "on" traces the first batch to a static graph (``paddle.jit.to_static``) and runs all batches, of
            the same shapes, through it: slower at first, then faster. "auto" does the same, but if tracing fails,
            falls back to eager mode and prints the reason. "off" runs eagerly.
        context: the processes that the gradients are averaged over.
        amp: "fp16" or "bf16" runs the networks in mixed precision; geometry and loss stay in float32.

    Attributes:
        compiled: whether batches run through a static graph; with "auto", known after the first.
    """

    def __init__(
        self,
        model: nn.Layer,
        compute_loss: SelfSupervisedLoss,
        compile_mode: str = "off",
        context: DistributedContext | None = None,
        amp: str = "off",
    ) -> None:
        self._layer = _ModelAndLoss(model, compute_loss, AMP_TYPES.get(amp))
        self.compiled = compile_mode != "off"
        if self.compiled:
            paddle.jit.to_static(self._layer, full_graph=True)  # replaces its forward
        self._may_fall_back = compile_mode == "auto"
        self._run = synchronise_gradients(self._layer, context or DistributedContext())

    def __call__(self, batch: Mapping[str, Any]) -> ForwardResult:
        """Run a batch of ``datasets.batch.prepare_batch``."""
        tensors = {key: value for key, value in batch.items() if key not in LISTS}
        if not self._may_fall_back:
            return ForwardResult(*self._run(tensors))
        self._may_fall_back = False
        try:
            return ForwardResult(*self._run(tensors))
        except Exception as error:  # tracing can fail anywhere in the framework, in any way
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            print(f"Falling back to eager mode (same results, slower): {reason[0].strip()}", flush=True)
            self._layer.forward = self._layer.forward.rollback()
            self.compiled = False
            return ForwardResult(*self._run(tensors))

    def no_sync(self) -> contextlib.AbstractContextManager:
        """Accumulate gradients in this process only; the first backward pass outside the block averages them."""
        return self._run.no_sync() if isinstance(self._run, paddle.DataParallel) else contextlib.nullcontext()


class _ModelAndLoss(nn.Layer):
    """The part that is traced."""

    def __init__(self, model: nn.Layer, compute_loss: SelfSupervisedLoss, amp_type: str | None) -> None:
        super().__init__()
        self.model = model
        self.compute_loss = compute_loss
        self.amp_type = amp_type

    def forward(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Return scalars, maps and those outputs that logging reads."""
        if self.amp_type:
            with paddle.amp.auto_cast(dtype=self.amp_type):
                outputs = self.model(batch)
            outputs = {key: value.astype("float32") for key, value in outputs.items()}
        else:
            outputs = self.model(batch)
        losses, maps = self.compute_loss(batch, outputs)
        seen = {
            key: value.detach()
            for key, value in outputs.items()
            if key in ("disp/0", "K/0") or key.startswith("T_target_to_source/")
        }
        return losses, maps, seen
