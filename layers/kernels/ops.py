"""C++ operators for the CPU, where Paddle's own kernels take most of a training step's time.

The modules of ``layers`` implement each computation in Paddle, and use the operator instead when ``operator`` returns
one. The results agree up to rounding.
"""

import contextlib
from collections.abc import Callable, Iterator
from types import ModuleType

import paddle
from paddle import Tensor

from common.errors import UserError
from layers.kernels.compilation import BuildError, load_operators

# The module of the operators while they are enabled. Changed in place: Paddle's conversion to a static graph copies the
# globals, and a name that is assigned later would keep its old value there.
_enabled: list[ModuleType] = []


def enable() -> None:
    """Enable the operators for the whole process; compile them if necessary.

    Raises:
        BuildError: the operators cannot be compiled or loaded.
    """
    if not _enabled:
        _enabled.append(load_operators())


def disable() -> None:
    """Disable the operators for the whole process."""
    _enabled.clear()


@contextlib.contextmanager
def disabled() -> Iterator[None]:
    """Disable the operators within the block, to trace networks for engines that do not have them."""
    held = _enabled.copy()
    _enabled.clear()
    try:
        yield
    finally:
        _enabled[:] = held


def operator(name: str, *inputs: Tensor) -> Callable[..., Tensor] | None:
    """Look up an operator for the given inputs.

    Args:
        name: "photometric", "warp" (``source/operators.cc``), "convolution", "block" or "skip_block"
            (``source/convolution_operators.cc``).
        inputs: the tensors to call it with.

    Returns:
        The operator; None if operators are disabled, the device is not the CPU, an input is not float32, or the
        operator needs oneDNN, which is unavailable.
    """
    if not _enabled or paddle.get_device() != "cpu" or any(x.dtype != paddle.float32 for x in inputs):
        return None
    return getattr(_enabled[0], f"monodepth_{name}", None)


def use_kernels(mode: str) -> bool:
    """Enable or disable the operators for the whole process.

    Args:
        mode: "on" requires them, "auto" uses them where they are available and prints the reason otherwise, "off".

    Returns:
        Whether they are enabled.

    Raises:
        UserError: the mode is "on", but the operators are unavailable.
    """
    disable()
    if mode == "on" and paddle.get_device() != "cpu":
        raise UserError("--kernels on: the operators need the CPU. Omit --kernels, or pass --device cpu.")
    if mode == "off" or paddle.get_device() != "cpu":
        return False
    try:
        enable()
    except BuildError as error:
        if mode == "on":
            raise UserError(f"--kernels on: {error}. Pass --kernels auto to run without the operators.") from error
        print(f"Falling back to Paddle's kernels (same results, slower): {error}", flush=True)
        return False
    return True
