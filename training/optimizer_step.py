"""Weight updates: backward passes, loss scaling, gradient clipping, optimizer step."""

import paddle
from paddle import Tensor
from paddle.optimizer import Optimizer

from common.errors import UserError

AMP_TYPES = {"fp16": "float16", "bf16": "bfloat16"}
# Initial loss scale in fp16. Paddle's default of 65536 overflows in the first steps.
INITIAL_SCALE = 2.0**15


def check_amp(amp: str) -> None:
    """Check that the device supports mixed precision.

    Raises:
        UserError: the device is the CPU.
    """
    if amp != "off" and paddle.get_device() == "cpu":
        raise UserError(f"--amp {amp}: mixed precision needs a GPU or XPU. Omit --amp on the CPU.")


class OptimizerStep:
    """Backward passes and the update that follows them.

    Args:
        optimizer: the optimizer, which also clips gradients if it was built with ``grad_clip``.
        amp: "fp16" scales the loss, and skips updates whose gradients overflow; "bf16" and "off" need neither.

    Attributes:
        skipped: number of updates skipped so far.
    """

    def __init__(self, optimizer: Optimizer, amp: str = "off") -> None:
        self._optimizer = optimizer
        self._scaler = None
        if amp == "fp16":
            self._scaler = paddle.amp.GradScaler(init_loss_scaling=INITIAL_SCALE, decr_every_n_nan_or_inf=1)
        self.skipped = 0

    def backward(self, loss: Tensor, share: float = 1.0) -> None:
        """Accumulate the gradients of ``share * loss``."""
        if share != 1.0:
            loss = loss * share
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def apply(self) -> None:
        """Update the weights, and clear the gradients."""
        if self._scaler is None:
            self._optimizer.step()
        else:
            scale = self.loss_scale
            self._scaler.step(self._optimizer)
            self._scaler.update()
            self.skipped += self.loss_scale < scale
        self._optimizer.clear_grad(set_to_zero=False)

    def scalars(self) -> dict[str, float]:
        """Return the scalars to log for the latest update: learning rate, loss scale, skipped updates."""
        scalars = {"learning_rate": self._optimizer.get_lr()}
        if self._scaler is not None:
            scalars |= {"loss_scale": self.loss_scale, "skipped_updates": self.skipped}
        return scalars

    @property
    def loss_scale(self) -> float | None:
        """Current factor of the loss; None without loss scaling."""
        return None if self._scaler is None else float(self._scaler.state_dict()["scale"][0])

    @loss_scale.setter
    def loss_scale(self, value: float | None) -> None:
        if self._scaler is not None and value is not None:
            self._scaler.set_init_loss_scaling(value)
