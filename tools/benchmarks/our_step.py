"""A training step of this project on a given batch, as train.py runs it. Imports Paddle."""

from collections.abc import Mapping

import numpy as np
import paddle

from datasets.batch import prepare_batch
from layers.kernels.ops import use_kernels
from options import Options
from training.forward_pass import ForwardPass
from training.optimizer import build_optimizer
from training.optimizer_step import OptimizerStep
from training.setup import STEPS_WORTH_COMPILING, build_loss, build_model, compile_mode


class OurStep:
    """Forward pass, loss, backward pass and update.

    Args:
        opt: Options of the training.
        total_steps: Steps of the run, by which ``--compile auto`` decides.

    Attributes:
        model: The networks, randomly initialised from ``opt.seed``, in training mode.
        compute_loss: The loss, in training mode.
        kernels_on: Whether the C++ operators run.
    """

    def __init__(self, opt: Options, total_steps: int = STEPS_WORTH_COMPILING) -> None:
        self._opt = opt
        self.kernels_on = use_kernels(opt.kernels)
        paddle.seed(opt.seed)
        self.model = build_model(opt)
        self.model.train()
        self.compute_loss = build_loss(opt)
        self.compute_loss.train()
        mode = compile_mode(opt, total_steps, self.kernels_on, None)
        self._forward_pass = ForwardPass(self.model, self.compute_loss, mode)
        self._update = OptimizerStep(build_optimizer(opt, self.model)[0])

    def __call__(self, raw: Mapping[str, np.ndarray]) -> float:
        """Run a step on a batch in the loader's format, and return its loss."""
        batch = prepare_batch(dict(raw), self._opt.scales, self._opt.v1_multiscale)
        loss = self._forward_pass(batch).losses["loss"]
        self._update.backward(loss)
        self._update.apply()
        return loss.item()
