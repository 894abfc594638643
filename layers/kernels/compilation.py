"""Compile the operators for this machine's processor, once; later processes load them from the user's cache."""

import contextlib
import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO

import paddle

from common.environment import cache_dir

SOURCE_DIR = Path(__file__).resolve().parent / "source"
NAME = "monodepth_operators"
# -ffp-contract=fast: Paddle compiles with -std=c++17, for which GCC does not use fused multiply-add by default.
COMPILER_FLAGS = (
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp",
    "-Wno-attributes",
)
OPENMP = "libiomp5.so"  # Paddle's own; a second OpenMP runtime would start a second thread pool
# Paddle's wheel has the library without its headers. Both have the same interface in all versions 3.x.
ONEDNN = "libdnnl.so.3"
ONEDNN_HEADERS = "onednn-devel-cpu-gomp"
ONEDNN_VERSION = (3, 1)  # of the headers: the oldest library that they fit


class BuildError(Exception):
    """The operators cannot be compiled or loaded; the message is one line with the reason."""


def load_operators() -> ModuleType:
    """Load the operators' Python module; compile it first if none matches this machine, Paddle and the sources.

    Without oneDNN (``onednn_headers``), the module has no convolutions.

    Raises:
        BuildError: the operators cannot be compiled or loaded.
    """
    compiler = os.environ.get("CXX", "g++")
    if platform.system() != "Linux":
        raise BuildError(f"the operators need Linux; this is {platform.system()}")
    if not (Path(paddle.sysconfig.get_lib()) / OPENMP).exists():
        raise BuildError(f"this build of Paddle has no {OPENMP}")
    if shutil.which(compiler) is None:
        raise BuildError(f"C++ compiler not found: {compiler}")
    try:
        headers = onednn_headers()
    except BuildError as error:
        print(f"Convolutions fall back to Paddle's kernels (same results, slower): {error}", flush=True)
        headers = None
    folder = cache_dir() / _fingerprint(compiler, headers)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one process compiles, the others wait
            return _load(folder, headers)
    except OSError as error:
        raise BuildError(f"the operators cannot be compiled in {folder}: {error}") from error


def onednn_headers() -> Path:
    """Find the folder with the headers of oneDNN, for the library that Paddle has loaded.

    Raises:
        BuildError: Paddle has no oneDNN, or one that the headers do not fit, or they are not installed.
    """
    library = Path(paddle.sysconfig.get_lib()) / ONEDNN
    if not library.exists():
        raise BuildError(f"this build of Paddle has no {ONEDNN}")
    version = ctypes.CDLL(str(library)).dnnl_version
    version.restype = ctypes.POINTER(ctypes.c_int)  # a structure that starts with major and minor
    found = tuple(version()[:2])
    if found[0] != ONEDNN_VERSION[0] or found < ONEDNN_VERSION:
        major, minor = ONEDNN_VERSION
        raise BuildError(f"Paddle has oneDNN {found[0]}.{found[1]}; needed: {major}.{minor} or a later {major}.x")
    try:
        files = importlib.metadata.files(ONEDNN_HEADERS) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    header = next((Path(file.locate()).resolve() for file in files if file.match("oneapi/dnnl/dnnl.hpp")), None)
    if header is None or not header.exists():
        raise BuildError(f"{ONEDNN_HEADERS} is not installed. Run pip install --no-deps -r requirements-operators.txt.")
    return header.parents[2]


def _load(folder: Path, headers: Path | None) -> ModuleType:
    finished = folder / "finished"
    if finished.exists():
        return _load_compiled(folder / NAME)
    print("Compiling C++ operators for this processor (once, about 30 s)", flush=True)
    shutil.rmtree(folder / NAME, ignore_errors=True)  # an interrupted build
    # Compiled from a copy, so that the binary does not contain the path of this clone.
    shutil.copytree(SOURCE_DIR, folder / "source", dirs_exist_ok=True)
    operators = _compile(folder, headers)
    # The Python module that Paddle generates loads this name.
    (folder / NAME / f"{NAME}_pd_.so").symlink_to(f"{NAME}.so")
    finished.touch()
    return operators


def _compile(folder: Path, headers: Path | None) -> ModuleType:
    from paddle.utils.cpp_extension import load

    sources = sorted((folder / "source").glob("*.cc"))
    libraries = [f"-L{paddle.sysconfig.get_lib()}", f"-l:{OPENMP}"]
    if headers:
        libraries.append(f"-l:{ONEDNN}")
    else:
        sources = [path for path in sources if not path.name.startswith("convolution")]
    with tempfile.TemporaryFile("w+") as log, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing ccache and CUDA
        try:
            with _redirected(log), contextlib.redirect_stdout(io.StringIO()):
                return load(
                    name=NAME,
                    sources=[str(path) for path in sources],
                    extra_cxx_cflags=list(COMPILER_FLAGS),
                    extra_include_paths=[str(headers)] if headers else [],
                    extra_ldflags=libraries,
                    build_directory=str(folder),
                )
        except (RuntimeError, SystemExit, ImportError, subprocess.CalledProcessError) as error:
            log.seek(0)
            lines = [line for line in f"{log.read()}\n{error}".splitlines() if "error" in line.lower()]
            raise BuildError((lines or [str(error)])[0].strip()) from error


def _load_compiled(folder: Path) -> ModuleType:
    """Import the compiled module; Paddle's ``load`` would first check for changes, which takes seconds."""
    spec = importlib.util.spec_from_file_location(NAME, folder / f"{NAME}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _redirected(file: IO[str]) -> Iterator[None]:
    """Redirect the standard error of this process and its children to a file."""
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _fingerprint(compiler: str, headers: Path | None) -> str:
    """Return eight hexadecimal digits that identify everything the compiled file depends on."""
    digest = hashlib.sha256()
    for path in (Path(__file__), *sorted(SOURCE_DIR.iterdir())):
        digest.update(path.name.encode() + path.read_bytes())
    about_cpu = Path("/proc/cpuinfo").read_text(errors="ignore").splitlines()
    flags = next((line for line in about_cpu if line.startswith(("flags", "Features"))), platform.machine())
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    paths = (paddle.sysconfig.get_lib(), str(headers))
    parts = (*COMPILER_FLAGS, flags, version, paddle.__version__, *paths, platform.python_version())
    digest.update("\n".join(parts).encode())
    return digest.hexdigest()[:8]
