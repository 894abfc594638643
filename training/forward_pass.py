"""One training step's forward pass, as it is or compiled to a static graph."""

import contextlib
from collections.abc import Hashable, Mapping
from typing import NamedTuple

import paddle
from paddle import Tensor, nn

from datasets.mono_dataset import LISTS
from layers.self_supervised_loss import SelfSupervisedLoss
from networks.monodepth import Monodepth
from training.control_channel import Peers
from training.distributed import synchronise_gradients
from training.optimizer_step import AMP_TYPES

SEEN = ("cam_T_cam", "K")  # of the model's outputs, what training looks at beside the finest disparity


class StepResult(NamedTuple):
    """Scalars by name, maps for pictures, and of the model's outputs the finest disparity, the motions and K."""

    losses: dict[str, Tensor]
    maps: dict[Hashable, Tensor]
    outputs: dict[Hashable, Tensor]


class TrainingStep:
    """Model and loss of one batch.

    Args:
        model, compute_loss: set to training mode by the caller, and not changed after the first call if compiled.
        compile_mode: "on" traces the first batch to a static graph (``paddle.jit.to_static``), which all others, of
            the same shapes, run through: slower at first, then faster. "auto" does so too, but goes on without, and
            says why, where tracing fails. "off" runs as it is.
        peers: the processes that the gradients are averaged over.
        amp: "fp16" or "bf16" runs the networks in mixed precision; geometry and loss stay in float32.
    """

    def __init__(
        self,
        model: Monodepth,
        compute_loss: SelfSupervisedLoss,
        compile_mode: str = "off",
        peers: Peers | None = None,
        amp: str = "off",
    ) -> None:
        self._step = _Step(model, compute_loss, AMP_TYPES.get(amp))
        self.compiled = compile_mode != "off"
        """Whether batches run through a static graph; with "auto", known after the first."""
        if self.compiled:
            paddle.jit.to_static(self._step, full_graph=True)  # exchanges its forward
        self._may_fall_back = compile_mode == "auto"
        self._run = synchronise_gradients(self._step, peers or Peers())

    def __call__(self, batch: Mapping) -> StepResult:
        """Runs a prepared batch; gradients can then flow back from ``losses["loss"]``."""
        keys = tuple(key for key in batch if key not in LISTS)
        self._step.input_keys = keys
        values = self._run_values([batch[key] for key in keys])
        groups: tuple[dict, dict, dict] = ({}, {}, {})
        for (group, key), value in zip(self._step.output_keys, values, strict=True):
            groups[group][key] = value
        return StepResult(*groups)

    def local_gradients(self) -> contextlib.AbstractContextManager:
        """Within it, the gradients of backward passes stay this process's own; the first pass after it averages all."""
        return self._run.no_sync() if isinstance(self._run, paddle.DataParallel) else contextlib.nullcontext()

    def _run_values(self, values: list[Tensor]) -> list[Tensor]:
        if not self._may_fall_back:
            return self._run(values)
        self._may_fall_back = False
        try:
            return self._run(values)
        except Exception as error:  # tracing can fail anywhere in the framework, in any way
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            print(f"Not compiled, which is slower but the same: {reason[0].strip()}", flush=True)
            self._step.forward = self._step.forward.rollback()
            self.compiled = False
            return self._run(values)


class _Step(nn.Layer):
    """Lists in, lists out, since Paddle's tracer takes no dict whose keys cannot be sorted; the keys stand beside."""

    def __init__(self, model: Monodepth, compute_loss: SelfSupervisedLoss, amp_type: str | None) -> None:
        super().__init__()
        self.model = model
        self.compute_loss = compute_loss
        self.amp_type = amp_type
        self.input_keys: tuple[Hashable, ...] = ()
        self.output_keys: list[tuple[int, Hashable]] = []

    def forward(self, values: list[Tensor]) -> list[Tensor]:
        """The batch's values in, the result's values out."""
        batch = {key: values[i] for i, key in enumerate(self.input_keys)}  # the tracer knows no strict zip
        images = {f: batch["color_aug", f, 0] for f in self.model.frame_ids}
        if self.amp_type:
            with paddle.amp.auto_cast(dtype=self.amp_type):
                outputs = self.model(images, batch["K", 0])
            outputs = {key: value.astype("float32") for key, value in outputs.items()}
        else:
            outputs = self.model(images, batch["K", 0])
        losses, maps = self.compute_loss(batch, outputs)
        seen = {key: value.detach() for key, value in outputs.items() if key[0] in SEEN or key == ("disp", 0)}
        groups = (losses, maps, seen)
        self.output_keys = [(i, key) for i, group in enumerate(groups) for key in group]
        return [value for group in groups for value in group.values()]
