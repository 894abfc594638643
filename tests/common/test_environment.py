"""Environment set before Paddle is imported, device selection, and exit codes of scripts."""

import errno
import os
import platform
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common import environment
from common.errors import SYSTEM_FAULTS, DataError, Stopped, UserError

ROOT = Path(__file__).resolve().parents[2]


def settings_after(**variables: str) -> tuple[dict[str, str], str]:
    """Return the environment after ``prepare_environment`` in a new process, and the stderr of that process."""
    names = ("OMP_NUM_THREADS", "MKL_DEBUG_CPU_TYPE")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    code = "import os; from common import environment; environment.prepare_environment(); "
    code += f"print([os.environ.get(name, '') for name in {names}])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**clean, **variables}, capture_output=True, text=True, check=True
    )
    values = eval(done.stdout.strip().splitlines()[-1])
    return dict(zip(names, values, strict=True)), done.stderr


def test_threads_default_to_the_available_cores_without_output():
    settings, errors = settings_after()
    assert settings["OMP_NUM_THREADS"] == str(environment._available_cores())
    assert settings["MKL_DEBUG_CPU_TYPE"] == ("5" if environment._is_amd() else "")
    assert errors == ""


def test_user_settings_take_precedence():
    settings, _ = settings_after(OMP_NUM_THREADS="1", MKL_DEBUG_CPU_TYPE="4")
    assert settings == {"OMP_NUM_THREADS": "1", "MKL_DEBUG_CPU_TYPE": "4"}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="requires glibc's malloc")
def test_freed_memory_is_kept_unless_the_user_configures_malloc():
    """Count page faults of 20 successive arrays of 40 MB: 9766 pages for the first, none for the others."""
    code = """if True:
        import resource, numpy
        from common import environment
        environment.prepare_environment()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            numpy.ones(10**7, dtype=numpy.float32)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    pages = []
    for given in ({}, {"MALLOC_MMAP_THRESHOLD_": "1000000"}):
        command = [sys.executable, "-W", "ignore", "-c", code]
        done = subprocess.run(command, cwd=ROOT, env={**clean, **given}, capture_output=True, text=True, check=True)
        pages.append(int(done.stdout))
    page_size = resource.getpagesize()
    assert pages[0] < 2 * 40e6 / page_size
    # With transparent huge pages there is nothing to save.
    assert pages[1] > 10 * 40e6 / page_size or pages[1] < 40e6 / page_size


def test_other_processors_are_not_detected_as_amd(monkeypatch):
    monkeypatch.setattr(environment.Path, "read_text", lambda *_, **__: "vendor_id : GenuineIntel")
    assert not environment._is_amd()


@pytest.mark.parametrize(("given", "threads"), [("1", "2"), ("4", "4")])
def test_launched_processes_share_the_cores(monkeypatch, given, threads):
    """The launcher sets OMP_NUM_THREADS to 1 unless the user sets it."""
    monkeypatch.setattr(environment, "_available_cores", lambda: 8)
    monkeypatch.setenv("PADDLE_LOCAL_SIZE", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    environment.prepare_environment()
    assert os.environ["OMP_NUM_THREADS"] == threads


@pytest.mark.parametrize(
    ("at_start", "before_paddle", "threads"),
    [({}, True, None), ({}, False, None), ({"OMP_NUM_THREADS": "1"}, False, 1), ({"OMP_NUM_THREADS": "3"}, True, 3)],
)
def test_the_one_thread_that_paddle_sets_does_not_count(at_start, before_paddle, threads):
    """A program of a user imports Paddle before this project, or after it; None stands for all cores."""
    paddle = "sys.modules['paddle'] = sys; os.environ.setdefault('OMP_NUM_THREADS', '1')"
    ours = "from common import environment"
    code = "; ".join(["import os, sys", *([ours, paddle] if before_paddle else [paddle, ours])])
    code += "; print(environment.cpu_threads(), environment._available_cores())"
    clean = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env={**clean, **at_start}, capture_output=True, text=True, check=True)
    counted, cores = map(int, done.stdout.split())
    assert counted == (threads or cores)


def test_auto_falls_back_to_the_cpu_with_a_message(capsys, monkeypatch):
    import paddle

    if paddle.is_compiled_with_cuda():
        pytest.skip("this Paddle has GPUs")
    assert environment.set_device("auto") == "Place(cpu)" or paddle.get_device() == "cpu"
    assert "running on the CPU" in capsys.readouterr().err
    monkeypatch.setenv(environment.DEVICE_NOTE, "off")
    environment.set_device("auto")
    assert not capsys.readouterr().err
    with pytest.raises(UserError, match="--device gpu"):
        environment.set_device("gpu")


def test_user_error_exits_with_its_message(capsys):
    def fail():
        raise DataError("no such split")

    with pytest.raises(SystemExit) as ended:
        environment.run_script(fail)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: no such split\n"


@pytest.mark.parametrize(
    ("error", "status", "printed"),
    [
        (Stopped(signal.SIGTERM, "saved"), 143, "saved\n"),
        (Stopped(signal.SIGINT, "saved"), 130, "saved\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_signals_exit_with_shell_codes(capsys, error, status, printed):
    def fail():
        raise error

    with pytest.raises(SystemExit) as ended:
        environment.run_script(fail)
    assert ended.value.code == status
    assert capsys.readouterr().err == printed


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        environment.run_script(lambda: 1 / 0)


@pytest.mark.parametrize("number", sorted(SYSTEM_FAULTS))
def test_faults_of_the_system_are_one_sentence(number, capsys):
    def fail():
        raise OSError(number, os.strerror(number), "some/path")

    with pytest.raises(SystemExit) as stop:
        environment.run_script(fail)
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1
    assert message.startswith(f"error: some/path cannot be used: {os.strerror(number)}. ")


def test_other_faults_of_the_system_keep_their_traceback():
    def fail():
        raise OSError(errno.ENOTCONN, "not connected")

    with pytest.raises(OSError, match="not connected"):
        environment.run_script(fail)
