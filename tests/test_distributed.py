"""Two processes on the CPU, started by Paddle's launcher: same results as one process, and a common end and resume."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from paddle import nn

from common.errors import OptionsError
from datasets.batch import prepare_batch
from options import parse_options
from serialization.checkpoint import check_checkpoint
from serialization.pdparams import read_pdparams
from trainer import Trainer
from training.distributed import synchronise_batch_norm
from training.distributed_context import DistributedContext
from training.setup import build_data
from training.validation import validate, validation_protocols

ROOT = Path(__file__).resolve().parents[1]
# Run by each process for the comparison: one backward pass and one validation.
COMPARED = """
import json, sys
sys.path.insert(0, {root!r})
from common.environment import prepare_environment, run_script, set_device
from options import parse_options

def main():
    opt = parse_options(sys.argv[2:])
    prepare_environment()
    import numpy, paddle
    from test_distributed import one_gradient
    from trainer import Trainer
    from training.distributed import average_statistics, init_distributed
    from training.validation import validate, validation_protocols
    set_device(opt.device)
    with init_distributed(opt.distributed_timeout) as context:
        trainer = Trainer.from_options(opt, context)
        gradients = one_gradient(trainer)
        numpy.savez(sys.argv[1] + f"/gradients_{{context.rank}}.npz", **gradients)
        result = validate(trainer.model, trainer.compute_loss, trainer.val_loader, validation_protocols(opt), context)
        mean = trainer.model.encoder.encoder.bn1._mean
        mean.set_value(paddle.full_like(mean, context.rank + 2.0))
        average_statistics(trainer.model, context)
        report = dict(scalars=result.scalars, frames=result.depth_frames, mean=mean.numpy().tolist())
        report["rate"] = trainer.optimizer.get_lr()
        with open(sys.argv[1] + f"/report_{{context.rank}}.json", "w") as stream:
            json.dump(report, stream)
        print(f"printed by {{context.rank}}")

run_script(main)
"""


def one_gradient(trainer: Trainer) -> dict[str, np.ndarray]:
    """Return the gradients of the first step by parameter, without tie-breaking noise."""
    reprojection = trainer.compute_loss.terms["reprojection"]
    assert reprojection.tie_breaking_noise > 0
    reprojection.tie_breaking_noise = 0.0
    trainer._set_training_mode()
    batch = prepare_batch(next(iter(trainer.train_loader)), trainer.opt.scales, trainer.opt.v1_multiscale)
    trainer.forward_pass(batch).losses["loss"].backward()
    parameters = trainer.model.named_parameters()
    return {name: parameter.grad.numpy() for name, parameter in parameters if not parameter.stop_gradient}


@pytest.fixture(scope="module")
def split(stereo_drive, tmp_path_factory) -> Path:
    """A split of 12 training lines, and 5 validation lines, which are three batches of two."""
    folder = tmp_path_factory.mktemp("splits") / "two"
    folder.mkdir()
    for part, count in (("train", 12), ("val", 5)):
        lines = (stereo_drive / "splits" / "kitti_sample" / f"{part}_files.txt").read_text().splitlines()
        (folder / f"{part}_files.txt").write_text("\n".join(lines[:count]) + "\n")
    return folder


@pytest.fixture
def options(stereo_drive, split, tmp_path):
    """A function that returns arguments of a small run in the test's own folder; later arguments take precedence."""

    def make(*arguments: object) -> list[str]:
        common = (
            *("--data_path", stereo_drive, "--split", split, "--log_dir", tmp_path / "logs", "--device", "cpu"),
            *("--height", 64, "--width", 64, "--weights_init", "scratch", "--pose_model_type", "posecnn"),
            *("--num_workers", 0, "--batch_size", 2, "--log_frequency", 1, "--compile", "off"),
        )
        return [str(word) for word in (*common, *arguments)]

    return make


def launch(script: Path, arguments: list[str], folder: Path, processes: int = 2) -> subprocess.Popen:
    """Start Paddle's launcher, with its output in a pipe."""
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", str(processes)]
    # Without OMP_NUM_THREADS of this process: the new processes divide the cores among themselves.
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.Popen(
        [*command, "--log_dir", str(folder / "launch"), str(script), *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def compare(options, tmp_path, *arguments: object) -> tuple[list[dict], list[dict[str, np.ndarray]]]:
    """Compare two processes of batch size 2 with one process of batch size 4; return their results and gradients."""
    script = tmp_path / "compared.py"
    script.write_text(COMPARED.format(root=str(ROOT)))
    process = launch(script, [str(tmp_path), *options("--freeze_bn", *arguments)], tmp_path)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert "printed by 0" in output and "printed by 1" not in (tmp_path / "launch" / "workerlog.1").read_text()
    reports = [json.loads((tmp_path / f"report_{rank}.json").read_text()) for rank in range(2)]
    gradients = [dict(np.load(tmp_path / f"gradients_{rank}.npz")) for rank in range(2)]

    alone = Trainer.from_options(
        parse_options(options("--freeze_bn", *arguments, "--batch_size", 4, "--compile", "off"))
    )
    for name, expected in one_gradient(alone).items():
        for got in (gradients[0][name], gradients[1][name]):
            assert np.linalg.norm(got - expected) <= 1e-3 * np.linalg.norm(expected), name
    loader = build_data(alone.opt.replace(batch_size=2), "val")
    result = validate(alone.model, alone.compute_loss, loader, validation_protocols(alone.opt))
    for one in reports:
        assert one["frames"] == result.depth_frames and one["scalars"].keys() == result.scalars.keys()
        for name, value in result.scalars.items():
            assert one["scalars"][name] == pytest.approx(value, rel=1e-5), name
    return reports, gradients


def test_two_processes_give_the_results_of_one(options, tmp_path):
    reports, gradients = compare(options, tmp_path)
    assert reports[0]["scalars"] == reports[1]["scalars"]
    assert all(np.array_equal(gradients[0][name], gradients[1][name]) for name in gradients[0])
    assert reports[0]["rate"] == reports[1]["rate"] == 1e-4  # not scaled
    assert {*reports[0]["mean"], *reports[1]["mean"]} == {2.5}  # the mean of 2 and 3


@pytest.mark.slow
def test_two_compiled_processes(options, tmp_path):
    compare(options, tmp_path, "--compile", "on")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("--pose_model_type", "shared", "--use_stereo"),
        ("--pose_model_type", "separate_resnet", "--pose_model_input", "all"),
        ("--predictive_mask", "--disable_automasking", "--scales", "0", "2"),
        ("--frame_ids", "0", "--use_stereo", "--v1_multiscale"),
    ],
    ids=lambda arguments: arguments[1],
)
def test_other_networks_and_losses(options, tmp_path, arguments):
    """Averaging requires a gradient for every parameter."""
    compare(options, tmp_path, *arguments)


@pytest.mark.slow
def test_averaged_weights_of_two_processes_resume_exactly(options, tmp_path):
    """Each process averages its own batch-norm statistics; the saved average has their mean."""
    recipe = ("--ema_decay", 0.9, "--lr_schedule", "cosine", "--warmup_epochs", 0.5, "--num_epochs", 2)
    common = ("--batch_size", 1, "--checkpoint_frequency", 3, *recipe)
    for name, steps in (("whole", 8), ("halves", 4), ("halves", 8)):
        line = options(*common, "--model_name", name, "--max_steps", steps, "--resume", "auto")
        process = launch(ROOT / "train.py", line, tmp_path)
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output
    whole, halves = (tmp_path / "logs" / name for name in ("whole", "halves"))
    step = "checkpoints/step_8"
    files = [f"{step}/ema.pdopt", f"{step}/optimizer.pdopt", "models/weights_1_ema/encoder.pdparams"]
    for file in files:
        expected, got = (read_pdparams(run / file) for run in (whole, halves))
        assert got.keys() == expected.keys()
        for name, array in expected.items():
            # The mean of statistics is rounded at each checkpoint, and the halves have one more.
            is_statistic = name.endswith(("._mean", "._variance"))
            np.testing.assert_allclose(got[name], array, rtol=1e-4 * is_statistic, atol=1e-6 * is_statistic)


class Runs:
    """Endless runs with a checkpoint after each step; an epoch has three steps, or six with one process."""

    def __init__(self, options, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.common = ("--num_epochs", 1000, "--save_frequency", 1000, "--checkpoint_frequency", 1, "--resume", "auto")

    def start(self, *arguments: object, processes: int = 2) -> subprocess.Popen:
        """Start a run, and return the launcher."""
        return launch(ROOT / "train.py", self.options(*self.common, *arguments), self.folder, processes)

    def victim(self, launcher: subprocess.Popen, rank: int) -> int:
        """Return the PID of the process with this rank."""
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                variables = status.with_name("environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if parent == launcher.pid and f"PADDLE_TRAINER_ID={rank}".encode() in variables:
                return int(status.parent.name)
        raise AssertionError(f"no process of rank {rank}")

    def state(self) -> dict:
        """Validate the newest checkpoint, and return its state."""
        folders = (self.folder / "logs" / "monodepthv2" / "checkpoints").glob("step_*")
        newest = max(folders, key=lambda folder: int(folder.name[5:]))
        check_checkpoint(newest)
        return json.loads((newest / "state.json").read_text())


@pytest.fixture
def runs(options, tmp_path):
    return Runs(options, tmp_path)


def samples(state: dict) -> int:
    """Return the number of samples done: 12 per epoch, none dropped."""
    return 12 * state["epoch"] + state["samples_done"]


def read_until(process: subprocess.Popen, words: str) -> None:
    """Read the output of a process up to a line with these words."""
    printed = ""
    for line in process.stdout:
        printed += line
        if words in line:
            return
    raise AssertionError(f"it ended without {words!r}:\n{printed}")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc/PID/environ")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_run_which_resumes_with_one_process(runs, rank):
    process = runs.start()
    read_until(process, "| 8/")  # samples of the second step
    killed = time.monotonic()
    os.kill(runs.victim(process, rank), signal.SIGKILL)
    printed, _ = process.communicate(timeout=60)
    print(f"process {rank} killed; the run ended {time.monotonic() - killed:.0f} s later")
    assert process.returncode != 0 and time.monotonic() - killed < 60
    errors = printed if rank == 1 else (runs.folder / "launch" / "workerlog.1").read_text()
    assert f"error: process {rank} of 2 exited unexpectedly: it was killed" in errors
    assert "Traceback" not in errors
    before = runs.state()
    assert samples(before) == 4 * before["step"] > 0
    done = runs.start("--max_steps", before["step"] + 4, processes=1)
    printed, _ = done.communicate(timeout=400)
    assert done.returncode == 0 and f"step {before['step']}, epoch {before['epoch']}" in printed, printed
    assert samples(runs.state()) == samples(before) + 4 * 2


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc/PID/environ")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_hangs_ends_the_run(runs, rank):
    process = runs.start("--distributed_timeout", 10)
    read_until(process, "| 8/")  # samples of the second step
    stopped = time.monotonic()
    os.kill(runs.victim(process, rank), signal.SIGSTOP)
    process.communicate(timeout=120)
    print(f"process {rank} stopped; the run ended {time.monotonic() - stopped:.0f} s later")
    log = runs.folder / "launch" / f"workerlog.{1 - rank}"
    assert process.returncode != 0
    assert f"error: process {rank} of 2 has not answered for " in log.read_text()
    check_checkpoint(max((runs.folder / "logs" / "monodepthv2" / "checkpoints").glob("step_*")))


@pytest.mark.slow
def test_sigterm_to_the_launcher_saves_once_and_the_run_resumes(runs):
    # One checkpoint: an epoch that ends before the signal saves one, too.
    process = runs.start("--checkpoint_frequency", 1000, "--keep_checkpoints", 1)
    read_until(process, "| 4/")
    os.kill(process.pid, signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == signal.SIGTERM
    log = (runs.folder / "launch" / "workerlog.0").read_text()
    assert log.count("SIGTERM: finishing the step") == 1 and "--nproc_per_node=2 train.py --resume" in log, log
    checkpoints = list((runs.folder / "logs" / "monodepthv2" / "checkpoints").iterdir())
    state = runs.state()
    assert [path.name for path in checkpoints] == [f"step_{state['step']}"]
    assert f"Stopped after step {state['step']} of " in printed + log
    done = runs.start("--max_steps", state["step"] + 1)
    printed, _ = done.communicate(timeout=400)
    assert done.returncode == 0 and runs.state()["step"] == state["step"] + 1, printed


def test_scale_lr_multiplies_the_learning_rate(options, monkeypatch):
    context = DistributedContext(0, 2)
    monkeypatch.setattr(context, "assert_consistent", lambda **_: None)
    monkeypatch.setattr("trainer.ForwardPass", lambda *_: None)
    trainer = Trainer.from_options(parse_options(options("--scale_lr", "--learning_rate", 3e-4)), context)
    assert trainer.optimizer.get_lr() == pytest.approx(6e-4)


def test_batch_norm_is_synchronised_only_with_several_processes_on_gpus(monkeypatch):
    plain = nn.Sequential(nn.Conv2D(3, 4, 1), nn.BatchNorm2D(4))
    keys = list(plain.state_dict())
    assert isinstance(synchronise_batch_norm(plain, DistributedContext())[1], nn.BatchNorm2D)
    with pytest.raises(OptionsError, match=r"--sync_bn: .*GPUs"):
        synchronise_batch_norm(plain, DistributedContext(0, 2))
    monkeypatch.setattr("paddle.get_device", lambda: "gpu:0")
    synchronised = synchronise_batch_norm(plain, DistributedContext(0, 2))
    assert isinstance(synchronised[1], nn.SyncBatchNorm) and list(synchronised.state_dict()) == keys
