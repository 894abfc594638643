"""A tiny training run and its report."""

import json
import shutil
from pathlib import Path

import pytest

from options import Options
from tools.reporting.html_report import build_report
from tools.reporting.run_folder import read_run
from trainer import Trainer

SIZE = (64, 96)


@pytest.fixture(scope="session")
def run_dir(stereo_drive, tmp_path_factory) -> Path:
    """Folder of a run of two steps on the KITTI sample, at 64x96."""
    opt = Options(
        **{"data_path": str(stereo_drive), "split": "kitti_sample", "model_name": "tiny"},
        **{"log_dir": str(tmp_path_factory.mktemp("logs")), "height": SIZE[0], "width": SIZE[1], "batch_size": 2},
        **{"num_workers": 0, "weights_init": "scratch", "device": "cpu", "max_steps": 2, "use_stereo": True},
        log_frequency=1,
    )
    Trainer.from_options(opt).train()
    return opt.run_dir


@pytest.fixture
def copied_run(run_dir, tmp_path) -> Path:
    """A copy of the run that tests can modify."""
    return Path(shutil.copytree(run_dir, tmp_path / "copied"))


@pytest.fixture(scope="session")
def page(run_dir) -> str:
    """Report of the run, with two frames and their uncertainty."""
    return build_report(read_run(run_dir, changes={"uncertainty": True}), 2)


@pytest.fixture(scope="session")
def change_options():
    """Return a function that changes options in the ``opt.json`` of a run."""

    def change(run: Path, **changes) -> None:
        path = run / "models" / "opt.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change
