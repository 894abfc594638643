"""Training on imported videos: with distortion, and on a real drive."""

import json
from pathlib import Path

import numpy as np
import pytest

from options import parse_options
from tools.video_import.collection import ImportInput, ImportSettings, import_or_skip, plan_import
from tools.video_import.sources import open_source
from tools.video_import.split_lists import write_lists
from trainer import Trainer


def import_videos(out: Path, videos: list[Path], **settings) -> None:
    for video in videos:
        plan = plan_import(ImportSettings(out, **settings), ImportInput(video), settings["size"])
        import_or_skip(plan, out / video.stem, lambda: None)
    write_lists(out)


def train(data: Path, log_dir: Path, steps: int) -> list[dict]:
    """Train for a few steps, and return the scalars."""
    arguments = f"--dataset folder --data_path {data} --log_dir {log_dir} --batch_size 2 --num_workers 0 --device cpu"
    arguments += (
        f" --weights_init scratch --compile off --log_frequency 1 --max_steps {steps} --pose_model_type posecnn"
    )
    trainer = Trainer.from_options(parse_options(arguments.split()))
    trainer.train()
    lines = (trainer.opt.run_dir / "scalars.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_training_with_distortion(tmp_path, pan, write_video):
    path = write_video(tmp_path / "bent.mp4", pan((1.74 * i for i in range(14)), 64, 96))
    lens = {"camera_matrix": [56, 0, 47, 0, 56, 30, 0, 0, 1], "dist_coeffs": [-0.28, 0.09, 0.001, 0.002, -0.012]}
    (tmp_path / "camera.json").write_text(json.dumps(lens))
    data = tmp_path / "data"
    import_videos(data, [path], size=(64, 96), camera_file=tmp_path / "camera.json", keep_distortion=True)
    scalars = train(data, tmp_path / "logs", 2)
    assert any(np.isfinite(entry.get("loss", np.nan)) for entry in scalars), scalars


@pytest.mark.slow
def test_real_drive_as_a_video(tmp_path, kitti_sample, write_video):
    """KITTI's motion is the target, so the stride is 1; at its start, this car moves at most 0.6 m per frame."""
    images = next(kitti_sample.glob("*/*/image_02/data"))
    source = open_source(images)
    frames = [frame.pixels[:374] for frame in source.read(range(60, 120))]
    path = write_video(tmp_path / "drive.mp4", frames, rate=10)
    data = tmp_path / "data"
    import_videos(data, [path], size=(64, 192), view=81.5)
    record = json.loads((data / "drive" / "sequence.json").read_text())
    assert record["stride"] == 1 and record["frames"] == 60
    scalars = train(data, tmp_path / "logs", 5)
    assert any(np.isfinite(entry.get("loss", np.nan)) for entry in scalars), scalars


@pytest.mark.slow
def test_motorway(tmp_path, dashcam):
    """A dash camera on a motorway: stride 2, no overlay, a guessed camera, and a loss that can be computed."""
    data = tmp_path / "data"
    import_videos(data, [dashcam / "motorway.mp4"], size=(64, 96))
    record = json.loads((data / "motorway" / "sequence.json").read_text())
    assert record["stride"] == 2 and record["frames"] == 111
    assert record["field_of_view"][0] == pytest.approx(65, abs=0.5)
    assert not (data / "motorway" / "mask.png").exists()
    scalars = train(data, tmp_path / "logs", 3)
    assert any(np.isfinite(entry.get("loss", np.nan)) for entry in scalars), scalars
