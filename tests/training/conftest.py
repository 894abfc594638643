"""A tiny split of the real drive, and options and trainers for it."""

from pathlib import Path

import numpy as np
import pytest

from datasets.depth_maps import encode_depth_png
from datasets.map_files import map_path
from options import Options
from trainer import Trainer
from training.setup import build_data


@pytest.fixture(scope="session")
def tiny_split(stereo_drive, tmp_path_factory):
    """A split of 12 training and 2 validation lines: 12 steps per epoch at batch size 1."""
    folder = tmp_path_factory.mktemp("splits") / "tiny"
    folder.mkdir()
    for part, count in (("train", 12), ("val", 2)):
        lines = (stereo_drive / "splits" / "kitti_sample" / f"{part}_files.txt").read_text().splitlines()
        (folder / f"{part}_files.txt").write_text("\n".join(lines[:count]) + "\n")
    return folder


def make_options(folders: dict[str, Path], **changes) -> Options:
    """Return options of a small run at 64x64, all marked as explicitly set."""
    settings = {
        **{name: str(folder) for name, folder in folders.items()},
        **{"height": 64, "width": 64, "batch_size": 1, "num_workers": 0, "weights_init": "scratch"},
        # The smallest pose network, because every checkpoint is synced to disk.
        **{"device": "cpu", "log_frequency": 1, "compile": "off", "keep_checkpoints": 1, "pose_model_type": "posecnn"},
        **changes,
    }
    return Options(**settings, explicitly_set=frozenset(settings))


@pytest.fixture(scope="module")
def uninterrupted_run(stereo_drive, tiny_split, tmp_path_factory) -> Path:
    """The folder of an uninterrupted run: seven steps at batch size 2."""
    folders = {"data_path": stereo_drive, "split": tiny_split, "log_dir": tmp_path_factory.mktemp("whole")}
    trainer = Trainer.from_options(make_options(folders, max_steps=7, batch_size=2))
    trainer.train()
    return trainer.opt.run_dir


@pytest.fixture
def tiny_options(stereo_drive, tiny_split, tmp_path):
    """A function that returns options of a small run in the test's own folder."""

    def make(**changes) -> Options:
        folders = {"data_path": stereo_drive, "split": tiny_split, "log_dir": tmp_path}
        return make_options(folders, **changes)

    return make


@pytest.fixture
def run(tiny_options):
    """A function that trains and returns the trainer."""

    def run_(**changes) -> Trainer:
        trainer = Trainer.from_options(tiny_options(**changes))
        trainer.train()
        return trainer

    return run_


@pytest.fixture
def hints(tiny_options, tmp_path):
    """A folder with hints of all training lines but two: planes of 12 m."""
    dataset = build_data(tiny_options(use_stereo=True), "train").dataset
    for line in dataset.lines[2:]:
        path = tmp_path / map_path("hints", dataset.image_path(line, 0, line.side), dataset.data_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".png").write_bytes(encode_depth_png(np.full((375, 1242), 12.0)))
    return str(tmp_path / "hints")
