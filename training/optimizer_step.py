"""From losses to new weights: backward passes, loss scaling, clipping, the optimizer's step."""

import paddle
from paddle import Tensor
from paddle.optimizer import Optimizer

from common.errors import UserError

AMP_TYPES = {"fp16": "float16", "bf16": "bfloat16"}
# Of the loss in fp16, before it has adapted: Paddle's own default of 65536 makes the first steps overflow.
INITIAL_SCALE = 2.0**15


def check_amp(amp: str) -> None:
    """Raises UserError where this device cannot compute in mixed precision."""
    if amp != "off" and paddle.get_device() == "cpu":
        raise UserError(
            f"--amp {amp}: Paddle computes in mixed precision on GPUs and XPUs alone; on the CPU leave it out."
        )


class OptimizerStep:
    """One optimizer's updates.

    Args:
        optimizer: clips gradients itself, if it was built so.
        amp: "fp16" scales the loss, and leaves out updates whose gradients overflow; "bf16" and "off" need neither.

    Attributes:
        skipped: updates that were left out so far.
    """

    def __init__(self, optimizer: Optimizer, amp: str = "off") -> None:
        self._optimizer = optimizer
        self._scaler = None
        if amp == "fp16":
            self._scaler = paddle.amp.GradScaler(init_loss_scaling=INITIAL_SCALE, decr_every_n_nan_or_inf=1)
        self.skipped = 0

    def backward(self, loss: Tensor, share: float = 1.0) -> None:
        """Adds the gradients of ``share`` times the loss to those there are."""
        if share != 1.0:
            loss = loss * share
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def apply(self) -> None:
        """Updates the weights by the gradients, and forgets them."""
        if self._scaler is None:
            self._optimizer.step()
        else:
            scale = self.loss_scale
            self._scaler.step(self._optimizer)
            self._scaler.update()
            self.skipped += self.loss_scale < scale
        self._optimizer.clear_grad(set_to_zero=False)

    def scalars(self) -> dict[str, float]:
        """Return what to log of the latest step, by name."""
        scalars = {"learning_rate": self._optimizer.get_lr()}
        if self._scaler is not None:
            scalars |= {"loss_scale": self.loss_scale, "skipped_updates": self.skipped}
        return scalars

    @property
    def loss_scale(self) -> float | None:
        """What the loss is multiplied by; None without scaling."""
        return None if self._scaler is None else float(self._scaler.state_dict()["scale"][0])

    @loss_scale.setter
    def loss_scale(self, value: float | None) -> None:
        if self._scaler is not None and value is not None:
            self._scaler.set_init_loss_scaling(value)
