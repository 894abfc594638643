"""Operators in C++ for CPUs, where Paddle's own kernels take most of a training step's time.

The plain form of each stands in ``layers``, which asks here for the faster one: `operator` gives it once `enable` has
been called and the compiler of the machine has built it. The results agree to rounding.
"""

from collections.abc import Callable
from types import ModuleType

import paddle
from paddle import Tensor

from kernels.build import BuildError, load_operators

__all__ = ["BuildError", "disable", "enable", "operator"]

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
