"""Run the commands of the main job on the real sample at a tiny size."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluation.metrics.depth_metrics import METRIC_NAMES

ROOT = Path(__file__).resolve().parents[1]
TINY = ["--split", "kitti_sample", "--max_steps", "2", "--num_workers", "0", "--log_frequency", "1"]


def run(*arguments: object, status: int = 0, cwd: Path = ROOT) -> str:
    """Run a script of the project, check its exit status and return its output."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def trained(stereo_drive, tmp_path_factory):
    """Pretrain with the first command of the main job; return the log folder and the output."""
    log_dir = tmp_path_factory.mktemp("pretrain")
    printed = run(
        *("train.py", "--config", "configs/monodepthv2/mdp.yml", "--use_stereo"),
        *("--data_path", stereo_drive, "--log_dir", log_dir),
        *("--height", 64, "--width", 192, "--batch_size", 2, "--weights_init", "scratch", *TINY),
    )
    return log_dir, printed


def test_pretraining_writes_weights_options_and_logs(trained):
    log_dir, printed = trained
    models = log_dir / "monodepthv2" / "models"
    for name in ("weights_0", "weights_best"):
        files = {path.name for path in (models / name).iterdir()}
        roles = ("encoder", "depth", "pose_encoder", "pose")
        assert files >= {*(f"{role}.pdparams" for role in roles), "weights.json"}
        info = json.loads((models / name / "weights.json").read_text())
        model = info.pop("model")
        assert (model["type"], model["depth_network"], model["use_stereo"]) == ("MonoDepthv2", "resnet18", True)
        assert info == {"height": 64, "width": 192, "use_stereo": True, "min_depth": 0.1, "max_depth": 100.0}
    options = json.loads((models / "opt.json").read_text())
    assert options["batch_size"] == 2 and options["use_stereo"] is True
    assert "loss" in printed and "samples/s" in printed and "left" in printed
    assert "Warning" not in printed and "WARNING" not in printed

    lines = [json.loads(line) for line in (log_dir / "monodepthv2/scalars.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["part"] == "train"]
    assert [line["step"] for line in train] == [0, 1]
    assert all(np.isfinite(line["loss"]) for line in lines)
    shares = sum(train[0][f"source/{f}"] for f in ("-1", "1", "s"))
    assert shares == pytest.approx(train[0]["auto_mask"], rel=1e-5)


def test_visualdl_reads_the_log(trained):
    from visualdl import LogReader

    log_dir, _ = trained
    for part in ("train", "val"):
        (path,) = (log_dir / "monodepthv2" / "visualdl" / part).iterdir()
        tags = LogReader(file_path=str(path)).get_tags()
        assert "loss" in tags["scalar"]
        assert {"input/0", "disparity/0", "auto_mask/0", "warped_-1/0", "warped_1/0", "warped_s/0"} <= set(
            tags["image"]
        )


def test_finetuning_loads_the_pretrained_weights_and_uses_its_own_learning_rate(trained, stereo_drive, tmp_path):
    pretrained = trained[0] / "monodepthv2/models/weights_best"
    printed = run(
        *("train.py", "--config", "configs/monodepthv2/mdp.yml", "--data_path", stereo_drive),
        *("--height", 96, "--width", 128, "--use_stereo", "--log_dir", tmp_path),
        *("--load_weights_folder", pretrained, "--batch_size", 1, "--num_epochs", 2, "--learning_rate", "5e-5"),
        *TINY,
    )
    table = re.findall(r"^(\w+) +(\d+) of (\d+) +0 +0  (.*)$", printed, re.MULTILINE)
    assert [row[0] for row in table] == ["encoder", "depth", "pose_encoder", "pose"]
    assert all(matched == of and path.startswith(str(pretrained)) for _, matched, of, path in table)
    last = json.loads((tmp_path / "monodepthv2/scalars.jsonl").read_text().splitlines()[0])
    assert last["learning_rate"] == 5e-5
    info = json.loads((tmp_path / "monodepthv2/models/weights_best/weights.json").read_text())
    assert (info["height"], info["width"]) == (96, 128)


def test_evaluation_prints_and_saves_the_seven_metrics(trained, stereo_drive):
    weights = trained[0] / "monodepthv2/models/weights_best"
    printed = run(
        *("evaluate_depth.py", "--type", "MonoDepthv2", "--load_weights_folder", weights, "--eval_mono"),
        *("--data_path", stereo_drive, "--num_workers", 4, "--height", 64, "--width", 192),
        *("--eval_split", "kitti_sample"),
    )
    metrics = json.loads((weights / "metrics.json").read_text())
    assert tuple(metrics) == (*METRIC_NAMES, "split", "crop", "cap")
    assert all(np.isfinite(metrics[name]) for name in METRIC_NAMES)
    assert f"{metrics['abs_rel']:.3f}" in printed and "abs_rel" in printed


@pytest.mark.parametrize("scaling", ["--eval_mono", "--eval_stereo"])
def test_external_disparities_give_the_same_metrics_as_the_weights(trained, stereo_drive, tmp_path, scaling):
    weights = trained[0] / "monodepthv2/models/weights_best"
    common = ["--data_path", stereo_drive, "--eval_split", "kitti_sample", "--num_workers", 0, scaling]
    # Without --height and --width, the size comes from weights.json.
    printed = run(
        *("evaluate_depth.py", "--load_weights_folder", weights, "--save_pred_disps"),
        *("--eval_out_dir", tmp_path / "a", *common),
    )
    assert "192x64" in printed
    disps = tmp_path / "a" / "disps_kitti_sample_split.npy"
    saved = np.load(disps)
    assert saved.dtype == np.float32 and saved.shape[1:] == (64, 192)
    run("evaluate_depth.py", "--ext_disp_to_eval", disps, "--eval_out_dir", tmp_path / "b", *common)
    assert (tmp_path / "a/metrics.json").read_bytes() == (tmp_path / "b/metrics.json").read_bytes()


@pytest.mark.slow  # test_configs.py checks the script's commands, the tests above run them
def test_main_job_script_trains_evaluates_and_resumes(stereo_drive, tmp_path):
    environment = {
        **os.environ,
        **{"DATA_PATH": str(stereo_drive), "LOG_DIR": str(tmp_path), "PYTHON": sys.executable},
        **{"SPLIT": "kitti_sample", "EVAL_SPLIT": "kitti_sample", "EPOCHS": "1", "FINETUNE_EPOCHS": "1"},
        **{"HEIGHT": "64", "WIDTH": "96", "FINETUNE_HEIGHT": "64", "FINETUNE_WIDTH": "128"},
    }
    script = ROOT / "configs/monodepthv2/mdp.sh"
    arguments = ["--weights_init", "scratch", "--max_steps", "1", "--batch_size", "1", "--num_workers", "0"]

    def run_job(*more: str, status: int = 0) -> str:
        command = ["bash", script, *arguments, *more]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    run_job()
    for stage, width in (("pretrain", 96), ("finetune", 128)):
        best = tmp_path / stage / "monodepthv2/models/weights_best"
        assert json.loads((best / "weights.json").read_text())["width"] == width
        assert json.loads((best / "metrics_kitti_sample.json").read_text()).keys() >= set(METRIC_NAMES)
    assert "--resume auto" in run_job(status=2)
    assert run_job("--resume", "auto").count("Resuming from") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train.py", "--hieght", "64"], ["--hieght", "--height"]),
        (["train.py", "--height", "100"], ["100", "32"]),
        (["train.py", "--split", "nowhere"], ["nowhere", "splits"]),
        (["train.py", "--device", "gpu", "--split", "kitti_sample"], ["--device gpu", "paddlepaddle-gpu"]),
        (["evaluate_depth.py", "--load_weights_folder", "nowhere"], ["eval_mono", "eval_stereo"]),
    ],
)
def test_user_errors_print_a_message_without_traceback(arguments, words, stereo_drive, tmp_path):
    import paddle

    if "gpu" in arguments and paddle.is_compiled_with_cuda():
        pytest.skip("this Paddle build supports GPUs")
    printed = run(*arguments, "--data_path", stereo_drive, "--log_dir", tmp_path, status=2)
    assert "Traceback" not in printed and "error: " in printed
    for word in words:
        assert word in printed
