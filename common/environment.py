"""What must be set before Paddle is imported, the device to run on, and how a script ends.

Entry scripts call ``prepare_environment`` before they import anything that imports Paddle.
"""

import contextlib
import ctypes
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from common.errors import Stopped, UserError

# What Paddle prints or warns that means nothing to a user; all else is passed on.
_NOISE = (
    "Tensor do not have .place. interface",
    "No ccache found",
    "we now always track global mean",
    "OMP_NUM_THREADS set to",
    "USE OMP_NUM_THREADS WISELY",
    # Paddle tells the flags that differ from its defaults whenever processes join, its own among them.
    "= Modified FLAGS detected =",
    ", current_value=",
    "=" * 71,
)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def prepare_environment() -> None:
    """Imports Paddle, with what makes it fast on this processor set before, where the user has not, and less noise.

    The cores are divided among the processes that Paddle's launcher started on this machine.
    """
    processes = int(os.environ.get("PADDLE_LOCAL_SIZE", "1"))
    if processes > 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        del os.environ["OMP_NUM_THREADS"]  # the launcher's, which sets it where the user has not
    threads = max(1, _available_cores() // processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if _is_amd():
        # The CPU wheel's MKL takes a slow path on AMD processors unless told which instructions there are.
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    _keep_freed_memory()
    os.environ.setdefault("GLOG_minloglevel", "2")
    for message in _NOISE:
        warnings.filterwarnings("ignore", message=f".*{message}.*")
    with ended_by_ctrl_c(), quiet_errors():
        import paddle  # noqa: F401


@contextlib.contextmanager
def quiet_errors() -> Iterator[None]:
    """Within the block, what is printed as errors but means nothing to a user is dropped; the rest comes at its end."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            if not any(message in line for message in _NOISE):
                print(line, file=sys.stderr)


def _keep_freed_memory() -> None:
    """Lets glibc keep what is freed, unless the user has set it otherwise.

    Arrays as large as a batch would go back to the system each time, and come again page by page, which took a sixth of
    the time of a prediction, and most of that of making a batch float.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        set_malloc_option = ctypes.CDLL(None).mallopt
        for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            set_malloc_option(option, 2**31 - 1)


@contextlib.contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Within the block Ctrl-C ends the process at once, without a traceback.

    For imports: some libraries turn the exception that it would raise into an error of theirs.
    """
    is_pythons = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_pythons or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_amd() -> bool:
    """Whether Linux names an AMD processor; False where it cannot be told."""
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(errors="ignore")
    except OSError:
        return False


def set_device(name: str) -> str:
    """Makes Paddle run on "gpu", "cpu" or "xpu"; "auto" takes the accelerator that is there, else the CPU.

    Returns:
        The device in use, as Paddle names it.

    Raises:
        UserError: the device asked for is not there.
    """
    import paddle

    available = {
        "gpu": paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0,
        "xpu": paddle.is_compiled_with_xpu() and paddle.device.xpu.device_count() > 0,
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there)
        if name == "cpu":
            print("No GPU that this Paddle can use: running on the CPU.", file=sys.stderr)
    if not available[name]:
        raise UserError(
            f"--device {name}: this installation of Paddle {paddle.__version__} finds none. "
            "Install the Paddle build for it (paddlepaddle-gpu for GPUs), or use --device auto."
        )
    return paddle.set_device(name)


def run_script(main: Callable[[], None]) -> None:
    """Runs a script's ``main``, and ends it without a traceback where the user or the system wanted an end.

    A mistake that the user can mend ends it with its message, exit status 2; a signal with 128 + its number, as
    shells have it: 130 for Ctrl-C, 143 for SIGTERM.
    """
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Stopped as stop:
        print(stop, file=sys.stderr)
        raise SystemExit(128 + stop.signum) from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
