"""Operators in C++ for CPUs, where Paddle's own kernels take most of a training step's time.

The plain form of each stands in ``layers``, which asks here for the faster one: `operator` gives it once `enable` has
been called and the compiler of the machine has built it. The results agree to rounding.
"""

from collections.abc import Callable
from types import ModuleType

import paddle
from paddle import Tensor

from common.errors import UserError
from layers.kernels.compilation import BuildError, load_operators

_operators: ModuleType | None = None


def enable() -> None:
    """Makes `operator` give the operators, from now on and for the whole process; compiles them where need be.

    Raises:
        BuildError: they cannot be compiled or loaded here.
    """
    global _operators
    if _operators is None:
        _operators = load_operators()


def disable() -> None:
    """Makes `operator` give none."""
    global _operators
    _operators = None


def operator(name: str, *inputs: Tensor) -> Callable[..., Tensor] | None:
    """The operator ``name`` for such inputs: "photometric", "warp" or "convolution", as in ``source/operators.cc``.

    Returns:
        None where it is not enabled, or cannot take them: they should be float32, and on the CPU.
    """
    if _operators is None or paddle.get_device() != "cpu" or any(x.dtype != paddle.float32 for x in inputs):
        return None
    return getattr(_operators, f"monodepth_{name}")


def use_kernels(mode: str) -> bool:
    """Turns the operators on or off for all that this process computes from now on.

    Args:
        mode: "auto" goes on without where they cannot be had, and says why; "on" insists; "off".

    Returns:
        Whether they are on.

    Raises:
        UserError: they cannot be had, and the mode insists.
    """
    disable()
    if mode == "on" and paddle.get_device() != "cpu":
        raise UserError("--kernels on: the operators are for the CPU. Leave the option out, or add --device cpu.")
    if mode == "off" or paddle.get_device() != "cpu":
        return False
    try:
        enable()
    except BuildError as error:
        if mode == "on":
            raise UserError(f"--kernels on: {error}. Use --kernels auto to go on without.") from error
        print(f"Without the operators in C++, which is slower but the same: {error}", flush=True)
        return False
    return True
