"""Kill, stop and starve real runs of disk space: resumed runs give the same weights as uninterrupted ones."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serialization.checkpoint import check_checkpoint
from training.checkpoints import Checkpoints

ROOT = Path(__file__).resolve().parents[1]
STEPS = 12


class Runs:
    """Runs of ``train.py`` in one log folder: twelve steps at 64x64, a full checkpoint after each."""

    def __init__(self, data_path: Path, log_dir: Path) -> None:
        self.log_dir = log_dir
        self.options = [
            *("--data_path", data_path, "--split", "kitti_sample", "--log_dir", log_dir, "--device", "cpu"),
            *("--height", 64, "--width", 64, "--batch_size", 1, "--num_workers", 1, "--weights_init", "scratch"),
            *("--pose_model_type", "posecnn", "--max_steps", STEPS, "--checkpoint_frequency", 1),
            *("--log_frequency", 1, "--compile", "off", "--resume", "auto"),
        ]

    def start(self, name: str, *arguments: object, file_limit: int | None = None) -> subprocess.Popen:
        """Start a run in its own process group, with piped output and files of at most ``file_limit`` bytes."""
        command = [sys.executable, "train.py", *self.options, "--model_name", name, *arguments]

        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # background processes ignore SIGINT
            if file_limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

        return subprocess.Popen(
            [str(word) for word in command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,
        )

    def finish(self, name: str, *arguments: object, status: int = 0, file_limit: int | None = None) -> str:
        """Run to the end, check the exit status and return the output."""
        process = self.start(name, *arguments, file_limit=file_limit)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == status, output
        return output

    def weights(self, name: str) -> dict[str, bytes]:
        """Read all weights that the run kept, and the optimizer state of its last checkpoint."""
        folder = self.log_dir / name
        files = [*(folder / "models").rglob("*.pdparams"), *(folder / "checkpoints" / f"step_{STEPS}").glob("*.pd*")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def wait_for(process: subprocess.Popen, words: str) -> str:
    """Read the process's output up to a line that contains ``words``, and return it."""
    printed = ""
    for line in process.stdout:
        printed += line
        if words in line:
            return printed
    raise AssertionError(f"the process exited without printing {words!r}:\n{printed}")


@pytest.fixture(scope="module")
def runs(stereo_drive, tmp_path_factory):
    """Return the runs, including one that was not interrupted, ``whole``."""
    runs = Runs(stereo_drive, tmp_path_factory.mktemp("interrupted"))
    runs.finish("whole")
    return runs


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_kill_9_at_any_time_loses_nothing(runs, kills):
    """Saving takes most of the time between two steps, so most kills interrupt a save."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = random.Random(seed)
    name = f"killed_{kills}"
    taken_up = 0
    for _ in range(kills):
        process = runs.start(name)
        printed = wait_for(process, "results in")
        taken_up += "Resuming from" in printed
        time.sleep(moments.uniform(0, 3.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break  # the run finished before the kill
        checkpoints = Checkpoints(runs.log_dir / name, keep=1)
        for step in checkpoints.steps():
            check_checkpoint(checkpoints.path(step))
    assert taken_up or kills == 1
    runs.finish(name)
    expected, got = runs.weights("whole"), runs.weights(name)
    assert got.keys() == expected.keys()
    assert [file for file in expected if got[file] != expected[file]] == []
    # No incomplete files remain, and only the newest two checkpoints.
    folder = runs.log_dir / name
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {f"step_{STEPS - 1}", f"step_{STEPS}"}


@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_signal_saves_a_checkpoint_and_the_printed_command_resumes(runs, signum, status):
    name = signum.name
    process = runs.start(name, "--checkpoint_frequency", 1000)
    wait_for(process, "loss")
    os.killpg(process.pid, signum)  # as terminals and schedulers do: loader processes receive it too
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == status, printed
    assert f"{signum.name}: finishing the step" in printed and "Traceback" not in printed
    command = printed.strip().splitlines()[-1].partition("To resume: ")[2].split()
    assert command[:2] == ["python", "train.py"]
    done = subprocess.run([sys.executable, *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "Resuming from" in done.stdout, done.stdout + done.stderr
    assert runs.weights(name) == runs.weights("whole")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc/PID/maps")
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_ctrl_c_during_imports_prints_no_traceback(runs, seconds):
    process = runs.start(f"early_{seconds}")
    while "/paddle/" not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(0.02)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode in (130, -signal.SIGINT) and "Traceback" not in printed


def test_full_disk_stops_the_run_and_keeps_the_checkpoints_valid(runs):
    """Simulate the full disk by a file size limit that the optimizer state exceeds."""
    runs.finish("full", "--max_steps", 2)
    before = Checkpoints(runs.log_dir / "full", keep=1).steps()
    printed = runs.finish("full", status=2, file_limit=60_000_000)
    assert "error: " in printed and "cannot be written: File too large" in printed and "Traceback" not in printed
    checkpoints = Checkpoints(runs.log_dir / "full", keep=1)
    assert checkpoints.steps() == before == [2, 1]
    for step in before:
        check_checkpoint(checkpoints.path(step))
    runs.finish("full")
    assert runs.weights("full") == runs.weights("whole")
