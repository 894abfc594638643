"""Environment of the scripts: settings before Paddle is imported, device selection, output and exit codes.

Scripts call ``prepare_environment`` before they import any module that imports Paddle.
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

from common.errors import SYSTEM_FAULTS, Stopped, UserError
from common.output import safe_output

DEVICE_NOTE = "MONODEPTH_DEVICE_NOTE"  # environment variable; "off" omits the note that a command runs on the CPU

# Messages and warnings of Paddle that are irrelevant to users; all others are passed on.
_NOISE = (
    "Tensor do not have .place. interface",
    "No ccache found",
    "we now always track global mean",
    "OMP_NUM_THREADS set to",
    "USE OMP_NUM_THREADS WISELY",
    # Paddle lists modified flags, including its own, when processes join.
    "= Modified FLAGS detected =",
    ", current_value=",
    "=" * 71,
)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


def prepare_environment() -> None:
    """Import Paddle with settings that make it fast on this processor, and without irrelevant messages.

    Environment variables that the user set take precedence. The cores are divided among the processes that Paddle's
    launcher started on this machine.
    """
    if _local_processes() > 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        del os.environ["OMP_NUM_THREADS"]  # Paddle's launcher sets 1 unless the user sets the variable
    os.environ.setdefault("OMP_NUM_THREADS", str(_cores_per_process()))
    if _is_amd():
        # MKL in the CPU wheel uses slow kernels on AMD processors unless this variable names the instruction set.
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    _keep_freed_memory()
    os.environ.setdefault("GLOG_minloglevel", "2")
    for message in _NOISE:
        warnings.filterwarnings("ignore", message=f".*{message}.*")
    with ended_by_ctrl_c(), quiet_errors():
        import paddle  # noqa: F401


def cpu_threads() -> int:
    """Return the number of threads for other libraries than Paddle: ``OMP_NUM_THREADS``, or else the available cores.

    Importing Paddle sets the variable to 1. In a program that does not call ``prepare_environment``, a 1 counts only if
    it was set before.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    if not given.isdigit() or (given == "1" and not _ONE_THREAD_GIVEN):
        return _cores_per_process()
    return max(1, int(given))


@contextlib.contextmanager
def quiet_errors() -> Iterator[None]:
    """Buffer stderr in the block, and print it at the end without irrelevant messages."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            if not any(message in line for message in _NOISE):
                print(line, file=sys.stderr)


def _keep_freed_memory() -> None:
    """Make glibc keep freed memory, unless the user configured malloc.

    By default glibc returns arrays of the size of a batch to the system, and each new array causes page faults. These
    took one sixth of the time of a prediction, and most of the time of converting a batch to float.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError, TypeError):  # not glibc
        set_malloc_option = ctypes.CDLL(None).mallopt
        for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            set_malloc_option(option, 2**31 - 1)


@contextlib.contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Make Ctrl-C end the process immediately and without a traceback while the block runs.

    Used around imports: some libraries convert ``KeyboardInterrupt`` into their own errors.
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


def cache_dir() -> Path:
    """Return the user's folder for files that this project can make again; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "monodepth-paddle"


def _one_thread_given() -> bool:
    """Return whether the user set ``OMP_NUM_THREADS=1``, rather than Paddle when it was imported."""
    if "paddle" not in sys.modules:
        return os.environ.get("OMP_NUM_THREADS") == "1"
    try:
        return b"OMP_NUM_THREADS=1" in Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:  # not Linux
        return False


_ONE_THREAD_GIVEN = _one_thread_given()


def _local_processes() -> int:
    """Return the number of processes that Paddle's launcher started on this machine."""
    return int(os.environ.get("PADDLE_LOCAL_SIZE", "1"))


def _cores_per_process() -> int:
    return max(1, _available_cores() // _local_processes())


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_amd() -> bool:
    """Return whether ``/proc/cpuinfo`` names an AMD processor; False if it cannot be read."""
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(errors="ignore")
    except OSError:
        return False


def set_device(name: str) -> str:
    """Select Paddle's device.

    Args:
        name: "gpu", "cpu", "xpu", or "auto" for the first available accelerator, else the CPU.

    Returns:
        Paddle's name of the selected device.

    Raises:
        UserError: The device is unavailable.
    """
    import paddle

    available = {
        "gpu": paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0,
        "xpu": paddle.is_compiled_with_xpu() and paddle.device.xpu.device_count() > 0,
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there)
        if name == "cpu" and os.environ.get(DEVICE_NOTE) != "off":
            print("No GPU available to Paddle: running on the CPU.", file=sys.stderr)
    if not available[name]:
        raise UserError(
            f"--device {name}: unavailable in this installation of Paddle {paddle.__version__}. "
            "Install the Paddle build for it (paddlepaddle-gpu for GPUs), or pass --device auto."
        )
    return paddle.set_device(name)


def run_script(main: Callable[[], None]) -> None:
    """Run a script's ``main`` and translate expected exceptions into exit codes without a traceback.

    An error that the user can fix prints its message and exits with code 2; so do a closed standard output, a missing
    permission and a full disk, wherever they are found. Characters that the output's encoding lacks are replaced. A
    signal exits with 128 plus its number, as shells do: 130 for Ctrl-C, 143 for SIGTERM.

    Raises:
        SystemExit: ``main`` raised ``UserError``, an ``OSError`` of ``SYSTEM_FAULTS``, ``Stopped`` or
            ``KeyboardInterrupt``.
    """
    try:
        with safe_output():
            main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as fault:
        if fault.errno not in SYSTEM_FAULTS:
            raise
        where = fault.filename or "a file"
        print(f"error: {where} cannot be used: {fault.strerror}. {SYSTEM_FAULTS[fault.errno]}", file=sys.stderr)
        raise SystemExit(2) from None
    except Stopped as stop:
        print(stop, file=sys.stderr)
        raise SystemExit(128 + stop.signum) from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
