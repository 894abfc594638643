"""The configs parse to the expected options, and the main job calls its stages with them."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from options import Options, parse_options

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs" / "monodepthv2"
MAIN_JOB = CONFIGS / "mdp.sh"
LAUNCHER = ["-m", "paddle.distributed.launch"]
VARIABLES = (
    "DATA_PATH", "LOG_DIR", "SPLIT", "EVAL_SPLIT", "EPOCHS", "FINETUNE_EPOCHS", "HEIGHT", "WIDTH",
    "FINETUNE_HEIGHT", "FINETUNE_WIDTH", "GPUS", "PYTHON", "CUDA_VISIBLE_DEVICES",
    "PADDLE_NNODES", "PADDLE_NPROC_PER_NODE", "PADDLE_RANK",
)  # fmt: skip


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yml")), ids=lambda path: path.name)
def test_config_parses(path):
    parse_options(["--config", str(path)])


LITE_MONO = {
    **{"scales": [0, 1, 2], "num_epochs": 30, "optimizer": "adamw", "weight_decay": 0.01, "drop_path": 0.2},
    **{"lr_schedule": "cosine", "min_learning_rate": 5e-6},
}
FROM_SCRATCH = {"weights_init": "scratch", "learning_rate": 5e-4, "num_epochs": 35}


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("lite_mono/lite_mono", {**LITE_MONO, "depth_network": "lite_mono"}),
        ("lite_mono/lite_mono_8m", {**LITE_MONO, "depth_network": "lite_mono_8m"}),
        ("lite_mono/lite_mono_tiny", {**LITE_MONO, "depth_network": "lite_mono_tiny", **FROM_SCRATCH}),
        (
            "best/best",
            {
                **{"use_stereo": True, "separate_stereo": True, "crop_aspect": 1.2},
                **{"ema_decay": 0.999},
            },
        ),
        ("efficientnet_lite0/efficientnet_lite0", {"depth_network": "efficientnet_lite0", "use_stereo": True}),
    ],
)
def test_configs_of_other_networks(name, differs):
    path = ROOT / "configs" / f"{name}.yml"
    values, defaults = parse_options(["--config", str(path)]).as_dict(), Options().as_dict()
    assert {n: value for n, value in values.items() if value != defaults[n] and n != "config"} == differs


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("mdp", {}),
        ("mono", {"use_stereo": False}),
        ("stereo", {"frame_ids": (0,), "split": "eigen_full"}),
        ("resnet50", {"depth_network": "resnet50"}),
        ("odom", {"dataset": "kitti_odom", "split": "odom"}),
    ],
)
def test_config_differs_from_the_defaults_only_as_documented(name, differs):
    path = str(CONFIGS / f"{name}.yml")
    expected = Options(config=path, use_stereo=True)
    assert parse_options(["--config", path]) == expected.replace(**differs)


@pytest.fixture
def main_job(tmp_path):
    """Return a function that runs mdp.sh with a stub Python: the process, and (script, options, GPU) of each call."""
    here = tmp_path / "a folder"
    here.mkdir()
    stub = tmp_path / "python stub"
    stub.write_text(
        "#!/usr/bin/env bash\n"
        'calls="$(dirname "$0")/calls"\n'
        'printf "%s\\0" "${CUDA_VISIBLE_DEVICES-none}" "$@" >> "$calls"; printf "\\n" >> "$calls"\n'
        'case "$*" in *"${FAIL_AT:-no such stage}"*) exit 7 ;; esac\n'
    )
    stub.chmod(stub.stat().st_mode | stat.S_IXUSR)

    def run(*arguments: str, **variables: str):
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        done = subprocess.run(
            ["bash", str(MAIN_JOB), *arguments],
            cwd=here,
            env={**environment, "PYTHON": str(stub), **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )
        recorded = tmp_path / "calls"
        lines = recorded.read_text().splitlines() if recorded.exists() else []
        calls = [line.split("\0")[:-1] for line in lines]
        run.launched = [call[3:5] for call in calls if call[1:3] == LAUNCHER]
        calls = [call[:1] + call[5:] if call[1:3] == LAUNCHER else call for call in calls]
        parsed = [(Path(script), parse_options(argv), gpu) for gpu, script, *argv in calls]
        return done, [call for call in parsed if call[0].name != "options.py"]

    return run


def test_main_job_is_valid_bash():
    subprocess.run(["bash", "-n", str(MAIN_JOB)], check=True)


def test_main_job_with_defaults(main_job):
    done, calls = main_job()
    assert done.returncode == 0, done.stderr
    train, evaluate = ROOT / "train.py", ROOT / "evaluate_depth.py"
    assert [script for script, _, _ in calls] == [train, train, evaluate, evaluate]
    assert [gpu for _, _, gpu in calls] == ["0"] * 4
    pretrain, finetune, *evaluations = (options for _, options, _ in calls)

    config = str(CONFIGS / "mdp.yml")
    assert pretrain == Options(config=config, use_stereo=True, log_dir="logs/pretrain")
    pretrained = "logs/pretrain/monodepthv2/models/weights_best"
    finetuned = "logs/finetune/monodepthv2/models/weights_best"
    assert finetune == Options(
        config=config,
        use_stereo=True,
        log_dir="logs/finetune",
        height=320,
        width=1024,
        batch_size=4,
        num_epochs=2,
        learning_rate=5e-5,
        load_weights_folder=pretrained,
    )
    for options, weights, size in zip(evaluations, (pretrained, finetuned), ((192, 640), (320, 1024)), strict=True):
        options.check_for_evaluation()
        assert options.eval_mono
        assert (options.load_weights_folder, options.eval_out_dir) == (weights, weights)
        assert (options.height, options.width) == size
        assert {"height", "width"} <= options.explicitly_set
    assert pretrained in done.stdout and finetuned in done.stdout


def test_main_job_reads_the_environment(main_job):
    done, calls = main_job(
        DATA_PATH="some data", LOG_DIR="/somewhere/logs", SPLIT="mine", EVAL_SPLIT="yours", EPOCHS="3",
        FINETUNE_EPOCHS="1", HEIGHT="96", WIDTH="320", FINETUNE_HEIGHT="128", FINETUNE_WIDTH="416", GPUS="2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for _, options, gpu in calls:
        assert (options.data_path, options.split, options.eval_split, gpu) == (
            "some data",
            "mine",
            "yours",
            "2",
        )
    sizes = [(options.height, options.width) for _, options, _ in calls]
    assert sizes == [(96, 320), (128, 416), (96, 320), (128, 416)]
    assert [options.num_epochs for _, options, _ in calls[:2]] == [3, 1]
    assert [str(options.run_dir.parent) for _, options, _ in calls[:2]] == [
        "/somewhere/logs/pretrain",
        "/somewhere/logs/finetune",
    ]


def test_main_job_passes_further_arguments_to_all_stages(main_job):
    done, calls = main_job("--weights_init", "scratch", "--png", "--batch_size", "2", "--max_steps", "3")
    assert done.returncode == 0, done.stderr
    for _, options, _ in calls:
        assert (options.weights_init, options.png, options.batch_size) == ("scratch", True, 2)
        assert options.max_steps == 3
    assert calls[1][1].learning_rate == 5e-5


def test_main_job_with_another_config(main_job):
    done, calls = main_job("--config", str(CONFIGS / "mono.yml"), "--num_layers", "34")
    assert done.returncode == 0, done.stderr
    assert {(options.use_stereo, options.depth_network) for _, options, _ in calls} == {(False, "resnet34")}


@pytest.mark.parametrize("arguments", [["--model_name", "my run"], ["--model_name=my run"]])
def test_main_job_finds_the_weights_of_a_named_run(main_job, arguments):
    _, calls = main_job(*arguments)
    assert [options.load_weights_folder for _, options, _ in calls] == [
        None,
        "logs/pretrain/my run/models/weights_best",
        "logs/pretrain/my run/models/weights_best",
        "logs/finetune/my run/models/weights_best",
    ]
    assert [options.model_name for _, options, _ in calls[:2]] == ["my run", "my run"]


def test_main_job_keeps_the_paths_between_its_stages(main_job):
    _, calls = main_job("--load_weights_folder", "W", "--log_dir", "elsewhere", "--eval_out_dir", "E")
    assert calls[0][1].load_weights_folder == "W"
    assert calls[1][1].load_weights_folder == "logs/pretrain/monodepthv2/models/weights_best"
    assert [options.log_dir for _, options, _ in calls[:2]] == ["logs/pretrain", "logs/finetune"]
    assert all(options.eval_out_dir == options.load_weights_folder for _, options, _ in calls[2:])


def test_main_job_with_stereo_scaled_evaluation(main_job):
    _, calls = main_job("--eval_stereo")
    assert all(options.eval_stereo and not options.eval_mono for _, options, _ in calls[2:])


@pytest.mark.parametrize("gpus", ["", "cpu"])
def test_main_job_without_gpu(main_job, gpus):
    _, calls = main_job(GPUS=gpus)
    assert [(options.device, gpu) for _, options, gpu in calls] == [("cpu", "none")] * 4


@pytest.mark.parametrize(
    ("variables", "gpu"),
    [
        ({"GPUS": "0,1,2,3"}, "0,1,2,3"),
        ({"GPUS": "4 5"}, "4,5"),
        ({"GPUS": "cpu", "PADDLE_NPROC_PER_NODE": "2"}, "none"),
        ({"GPUS": "0", "PADDLE_NNODES": "2"}, "0"),
    ],
)
def test_main_job_trains_in_several_processes_and_evaluates_in_one(main_job, variables, gpu):
    done, calls = main_job(**variables)
    assert done.returncode == 0, done.stderr
    assert main_job.launched == [["--log_dir", "logs/pretrain/launch"], ["--log_dir", "logs/finetune/launch"]]
    assert [script.name for script, _, _ in calls] == ["train.py"] * 2 + ["evaluate_depth.py"] * 2
    assert [used for _, _, used in calls] == [gpu] * 4
    assert calls[1][1].load_weights_folder == "logs/pretrain/monodepthv2/models/weights_best"


def test_main_job_evaluates_only_on_the_first_machine(main_job):
    done, calls = main_job(PADDLE_NNODES="2", PADDLE_RANK="1")
    assert done.returncode == 0, done.stderr
    assert [script.name for script, _, _ in calls] == ["train.py"] * 2 and len(main_job.launched) == 2


@pytest.mark.parametrize("gpus", ["0", "3", "cpu"])
def test_main_job_uses_no_launcher_on_one_device(main_job, gpus):
    main_job(GPUS=gpus)
    assert main_job.launched == []


@pytest.mark.parametrize(
    ("fail_at", "calls_made"),
    [("logs/pretrain --model_name", 1), (f"train.py --config {CONFIGS / 'mdp.yml'} --batch_size 4", 2)],
)
def test_main_job_stops_at_a_failed_stage(main_job, fail_at, calls_made):
    done, calls = main_job(FAIL_AT=fail_at)
    assert (done.returncode, len(calls)) == (7, calls_made)


def test_main_job_validates_the_options_of_finetuning_first(main_job):
    done, calls = main_job(PYTHON=sys.executable, FINETUNE_HEIGHT="321", DATA_PATH="nowhere")
    assert (done.returncode, calls) == (2, [])
    assert "321" in done.stderr and "nowhere" not in done.stderr


def test_options_script_prints_the_resolved_options():
    command = [sys.executable, str(ROOT / "options.py"), "--config", str(CONFIGS / "mono.yml"), "--height", "96"]
    shown = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (shown["height"], shown["use_stereo"], shown["frame_ids"]) == (96, False, [0, -1, 1])
