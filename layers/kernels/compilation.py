"""Compiles the operators for the processor of this machine, once; later processes load what they find."""

import contextlib
import fcntl
import hashlib
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

SOURCE_DIR = Path(__file__).resolve().parent / "source"
NAME = "monodepth_operators"
# GCC fuses products and sums in its own dialect of C++ alone, unless told; Paddle asks for the standard's.
COMPILER_FLAGS = (
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp",
    "-Wno-attributes",
)
OPENMP = "libiomp5.so"  # Paddle's; a second one would start threads of its own


class BuildError(Exception):
    """The operators cannot be compiled or loaded; the message says why, in a line."""


def load_operators() -> ModuleType:
    """The operators' Python module, compiled first where there is none for this machine, Paddle and source.

    Raises:
        BuildError: see there.
    """
    compiler = os.environ.get("CXX", "g++")
    if platform.system() != "Linux":
        raise BuildError(f"the operators are for Linux; this is {platform.system()}")
    if not (Path(paddle.sysconfig.get_lib()) / OPENMP).exists():
        raise BuildError(f"this build of Paddle has no {OPENMP}")
    if shutil.which(compiler) is None:
        raise BuildError(f"there is no C++ compiler: {compiler} was looked for")
    folder = _cache_dir() / _fingerprint(compiler)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes, one compiles
            return _load(folder)
    except OSError as error:
        raise BuildError(f"they cannot be compiled in {folder}: {error}") from error


def _load(folder: Path) -> ModuleType:
    finished = folder / "finished"
    if finished.exists():
        return _load_compiled(folder / NAME)
    print("Compiling operators for this processor, once: about half a minute.", flush=True)
    shutil.rmtree(folder / NAME, ignore_errors=True)  # what an interrupted build has left
    shutil.copytree(SOURCE_DIR, folder / "source", dirs_exist_ok=True)  # no clone's path is compiled in
    operators = _compile(folder)
    # The module that Paddle has written looks for this name.
    (folder / NAME / f"{NAME}_pd_.so").symlink_to(f"{NAME}.so")
    finished.touch()
    return operators


def _compile(folder: Path) -> ModuleType:
    from paddle.utils.cpp_extension import load

    with tempfile.TemporaryFile("w+") as said, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no ccache, no CUDA
        try:
            with _redirected(said), contextlib.redirect_stdout(io.StringIO()):
                return load(
                    name=NAME,
                    sources=[str(path) for path in sorted((folder / "source").glob("*.cc"))],
                    extra_cxx_cflags=list(COMPILER_FLAGS),
                    extra_ldflags=[f"-L{paddle.sysconfig.get_lib()}", f"-l:{OPENMP}"],
                    build_directory=str(folder),
                )
        except (RuntimeError, SystemExit, ImportError, subprocess.CalledProcessError) as error:
            said.seek(0)
            lines = [line for line in f"{said.read()}\n{error}".splitlines() if "error" in line.lower()]
            raise BuildError((lines or [str(error)])[0].strip()) from error


def _load_compiled(folder: Path) -> ModuleType:
    """What `load` gives, without its looking for something to compile, which takes seconds."""
    spec = importlib.util.spec_from_file_location(NAME, folder / f"{NAME}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _redirected(file: IO[str]) -> Iterator[None]:
    """Sends what this process and those that it starts print as errors to a file."""
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _cache_dir() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "monodepth-paddle"


def _fingerprint(compiler: str) -> str:
    """Eight digits that change with whatever the compiled file depends on."""
    digest = hashlib.sha256()
    for path in (Path(__file__), *sorted(SOURCE_DIR.iterdir())):
        digest.update(path.name.encode() + path.read_bytes())
    about_cpu = Path("/proc/cpuinfo").read_text(errors="ignore").splitlines()
    flags = next((line for line in about_cpu if line.startswith(("flags", "Features"))), platform.machine())
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    parts = (*COMPILER_FLAGS, flags, version, paddle.__version__, paddle.sysconfig.get_lib(), platform.python_version())
    digest.update("\n".join(parts).encode())
    return digest.hexdigest()[:8]
