"""Options: defaults, precedence, types, validation and serialisation."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.command_line import OptionParser
from common.errors import OptionsError
from options import OPTION_FIELDS, Options, parse_options, parse_tool_options

ROOT = Path(__file__).resolve().parents[1]
# fmt: off
DEFAULTS = {
    "config": None, "type": "MonoDepthv2", "model_name": "monodepthv2", "log_dir": "logs", "device": "auto",
    "seed": 120,
    "data_path": "data/kitti", "dataset": "kitti", "split": "eigen_zhou", "png": False, "height": 192,
    "width": 640, "frame_ids": (0, -1, 1), "use_stereo": False, "kitti_mean_intrinsics": False,
    "crop_scale": 1.0, "crop_aspect": 1.0, "corrupt_training": 0.0,
    "mask_dir": None, "num_workers": 4, "cache": "none", "cache_dir": "data/cache",
    "depth_network": "resnet18", "pose_network": None, "scales": (0, 1, 2, 3), "pose_model_type": "separate_resnet",
    "pose_model_input": "pairs", "learn_intrinsics": False,
    "min_depth": 0.1, "max_depth": 100.0, "disparity_smoothness": 1e-3, "velocity_weight": 0.0,
    "depth_hints": None, "depth_hint_weight": 1.0,
    "supervise_depth": 0.0,
    "pseudo_labels": None, "pseudo_label_weight": 0.1, "pseudo_label_late_weight": None,
    "pseudo_label_late_epoch": None,
    "v1_multiscale": False, "avg_reprojection": False, "disable_automasking": False, "predictive_mask": False,
    "no_ssim": False, "separate_stereo": False,
    "batch_size": 12, "learning_rate": 1e-4, "num_epochs": 20, "max_steps": None, "scheduler_step_size": 15,
    "freeze_encoder": 0, "freeze_bn": False, "compile": "auto", "scale_lr": False, "sync_bn": False,
    "distributed_timeout": 600.0,
    "kernels": "auto", "amp": "off",
    "grad_accumulation": 1, "clip_grad_norm": None, "recompute": False,
    "optimizer": "adam", "weight_decay": None, "pose_learning_rate": None, "lr_schedule": "step",
    "min_learning_rate": 0.0, "warmup_epochs": 0.0, "drop_path": 0.0, "ema_decay": None,
    "weights_init": "pretrained", "initial_disparity": None, "load_weights_folder": None, "resume": None,
    "models_to_load": ("encoder", "depth", "pose_encoder", "pose"),
    "log_frequency": 50, "visualdl_frequency": 500, "watchdog": "warn", "save_frequency": 1,
    "checkpoint_frequency": 1000, "keep_checkpoints": 2,
    "eval_split": "eigen", "eval_mono": False, "eval_stereo": False, "disable_median_scaling": False,
    "pred_depth_scale_factor": 1.0, "post_process": False, "gt_depth": "legacy", "eval_crop": "auto",
    "ext_disp_to_eval": None, "save_pred_disps": False, "no_eval": False, "eval_eigen_to_benchmark": False,
    "eval_out_dir": None, "eval_max_depth": 80.0, "eval_details": False, "metrics": "eigen",
    "corruptions": ("none",), "corruptions_baseline": None, "eval_trained_frames": False,
    "eval_alignment": "median", "eval_alignment_scope": "image", "uncertainty": False, "compare_published": False,
}
# fmt: on
GROUPS = ("run", "data", "networks", "loss", "ablations", "optimisation", "weights", "log", "evaluation")
CHOICES = {
    "cache": {"none", "ram", "disk"},
    "compile": {"auto", "on", "off"},
    "kernels": {"auto", "on", "off"},
    "amp": {"off", "fp16", "bf16"},
    "optimizer": {"adam", "adamw"},
    "lr_schedule": {"step", "cosine"},
    "type": {"MonoDepthv2"},
    "device": {"auto", "gpu", "cpu", "xpu"},
    "dataset": {"kitti", "kitti_odom", "kitti_depth", "folder", "cityscapes", "make3d", "nyuv2", "nuscenes", "ddad"},
    "depth_network": {
        *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
        *("mobilenet_v3_large", "efficientnet_lite0", "convnext_tiny"),
        *("lite_mono", "lite_mono_small", "lite_mono_tiny", "lite_mono_8m"),
    },
    "pose_network": {
        *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
        *("mobilenet_v3_large", "efficientnet_lite0", "convnext_tiny"),
    },
    "scales": {0, 1, 2, 3},
    "pose_model_type": {"posecnn", "separate_resnet", "shared"},
    "pose_model_input": {"pairs", "all"},
    "models_to_load": {"encoder", "depth", "pose_encoder", "pose", "predictive_mask", "intrinsics"},
    "watchdog": {"warn", "stop", "off"},
    "gt_depth": {"legacy", "camera"},
    "eval_crop": {"auto", "eigen", "garg", "none", "eigen_2014"},
    "metrics": {"eigen", "benchmark", "all"},
    "eval_alignment": {"median", "lstsq", "affine"},
    "eval_alignment_scope": {"image", "dataset"},
}


def parse(line: str) -> Options:
    return parse_options(line.split())


@pytest.fixture
def config(tmp_path):
    """Write a config and return its path."""

    def write(text: str, name: str = "experiment.yml") -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_every_option_has_its_default_and_choices():
    options = parse_options([])
    got = {name: getattr(options, name) for name in OPTION_FIELDS}
    assert got == DEFAULTS
    assert {name: type(value) for name, value in got.items()} == {n: type(v) for n, v in DEFAULTS.items()}
    choices = {name: field.metadata["choices"] for name, field in OPTION_FIELDS.items()}
    assert {name: set(values) for name, values in choices.items() if values} == CHOICES
    assert options.explicitly_set == frozenset()


def test_help_shows_groups_options_and_defaults(capsys):
    with pytest.raises(SystemExit) as exit_:
        parse_options(["--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    for name in (*DEFAULTS, "no_cuda"):
        assert f"--{name}" in shown
    for group in (
        "run",
        "data",
        "networks",
        "loss",
        "ablations",
        "optimisation",
        "weights",
        "log",
        "evaluation",
    ):
        assert f"\n{group}:\n" in shown
    text = " ".join(shown.split())
    assert "(default: 0 -1 1)" in text
    assert "eigen and garg are the same crop" in text


@pytest.mark.parametrize(
    ("command", "some", "others", "limit"),
    [
        ("train.py", "learning_rate use_stereo resume gt_depth no_cuda", "eval_split eval_crop", 260),
        ("evaluate_depth.py", "eval_crop depth_network num_layers no_cuda", "learning_rate frame_ids resume", 150),
        ("evaluate_pose.py", "pose_network frame_ids no_eval no_cuda", "eval_crop post_process learning_rate", 110),
        ("tools/evaluate_baselines.py", "split eval_split eval_crop", "no_cuda load_weights_folder height", 70),
    ],
)
def test_each_command_shows_its_options(command, some, others, limit):
    """With a summary and an example. All options are accepted nevertheless."""
    done = subprocess.run(
        [sys.executable, command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    shown = set(re.findall(r"--(\w+)", done.stdout.partition("\noptions:")[2]))
    assert set(some.split()) <= shown and not shown & set(others.split())
    assert done.stdout.count("\n") < limit and f"python {command} --" in done.stdout
    text = " ".join(done.stdout.split())
    own = {name for name in ("height", "width", "depth_network", "min_depth", "max_depth") if name in shown}
    assert text.count("(default: the weights' own)") >= len(own) or command == "train.py"
    assert ("(default: 192)" in text) == (command == "train.py")


def test_lite_mono_has_the_scales_of_its_decoder():
    assert parse("--depth_network lite_mono_tiny").scales == (0, 1, 2)
    assert parse("--depth_network lite_mono_tiny --scales 0").scales == (0,)
    assert parse("--depth_network convnext_tiny").scales == (0, 1, 2, 3)


def test_commands_of_the_predecessor(monkeypatch):
    monkeypatch.chdir(ROOT)
    pretrain = parse("--config configs/monodepthv2/mdp.yml --use_stereo --data_path D --log_dir L")
    assert pretrain.use_stereo and (pretrain.data_path, pretrain.log_dir) == ("D", "L")
    finetune = parse(
        "--config configs/monodepthv2/mdp.yml --data_path D --height 320 --width 1024 --use_stereo "
        "--log_dir L --load_weights_folder W --batch_size 4 --num_epochs 2 --learning_rate 5e-5"
    )
    assert (finetune.height, finetune.width, finetune.load_weights_folder) == (320, 1024, "W")
    assert (finetune.batch_size, finetune.num_epochs, finetune.learning_rate) == (4, 2, 5e-5)
    evaluation = parse(
        "--type MonoDepthv2 --load_weights_folder W --eval_mono --data_path D --num_workers 4 --height 192 --width 640"
    )
    evaluation.check_for_evaluation()
    assert evaluation.explicitly_set == {
        "type", "load_weights_folder", "eval_mono", "data_path", "num_workers", "height", "width"
    }  # fmt: skip


def test_command_line_above_config_above_base(config):
    config("height: 96\nwidth: 320\nbatch_size: 2\nuse_stereo: true\n", "base.yml")
    path = config("base: base.yml\nwidth: 416\nbatch_size: 3\n")
    options = parse_options(["--config", path, "--batch_size", "4", "--no-use_stereo"])
    assert (options.height, options.width, options.batch_size, options.use_stereo) == (96, 416, 4, False)
    assert options.explicitly_set == {"config", "height", "width", "batch_size", "use_stereo"}
    assert options.config == path


def test_base_is_relative_to_its_own_file(config):
    config("seed: 7\n", "base.yml")
    config("base: ../base.yml\nheight: 96\n", "inner/middle.yml")
    options = parse_options(["--config", config("base: inner/middle.yml\n")])
    assert (options.seed, options.height) == (7, 96)


def test_circular_base(config):
    config("base: experiment.yml\n", "other.yml")
    with pytest.raises(OptionsError, match="own base"):
        parse_options(["--config", config("base: other.yml\n")])


def test_empty_config(config):
    assert parse_options(["--config", config("# nothing yet\n")]).explicitly_set == {"config"}


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--heigth", "96"], "--heigth; the nearest is --height"),
        (["--learning-rate=1e-3"], "--learning-rate; the nearest is --learning_rate"),
        (["--no-use-stereo"], "--use_stereo"),
        (["--nocuda"], "--no_cuda"),
        (["--batch", "4"], "--batch; the nearest is --batch_size"),  # no abbreviations
        (["--height", "96", "320"], "unexpected argument 320"),
    ],
)
def test_unknown_option_names_the_nearest(argv, named):
    with pytest.raises(OptionsError, match=re.escape(named)):
        parse_options(argv)


@pytest.mark.parametrize("argv", [["--batch_size", "few"], ["--num_layers", "20"], ["--height"]])
def test_wrong_value_on_the_command_line(argv):
    with pytest.raises(OptionsError, match=argv[0]):
        parse_options(argv)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("heigth: 96", ["heigth", "height"]),
        ("config: other.yml", ["unknown key config"]),
        ("3: 4", ["unknown key 3"]),
        ("batch_size: twelve", ["batch_size", "'twelve'", "an integer of at least 1"]),
        ("batch_size: 4.0", ["batch_size", "4.0", "an integer"]),
        ("batch_size: true", ["batch_size", "True", "an integer"]),
        ("batch_size: 0", ["batch_size", "got 0", "at least 1"]),
        ("batch_size: null", ["batch_size", "None", "an integer"]),
        ("learning_rate: fast", ["learning_rate", "'fast'", "a number above 0"]),
        ("learning_rate: .nan", ["learning_rate", "nan", "a number"]),
        ("learning_rate: true", ["learning_rate", "True", "a number"]),
        ("png: 1", ["png", "got 1", "true or false"]),
        ("model_name: 18", ["model_name", "got 18", "text"]),
        ("model_name: ''", ["model_name", "got ''", "text"]),
        ("num_layers: 20", ["num_layers", "got 20", "18, 34, 50, 101, 152"]),
        ("dataset: waymo", ["dataset", "'waymo'", "kitti, kitti_odom, kitti_depth, folder"]),
        ("frame_ids: 0", ["frame_ids", "got 0", "a list"]),
        ("frame_ids: []", ["frame_ids", "[]", "a list"]),
        ("frame_ids: [0, s]", ["frame_ids", "'s'", "an integer"]),
        ("scales: [0, 4]", ["scales", "got 4", "0, 1, 2, 3"]),
        ("scales: [0, 0]", ["scales", "once"]),
        ("base: [a.yml]", ["base", "path"]),
        ("- height", ["list"]),
        ("height: [", ["cannot be read"]),
    ],
)
def test_wrong_config(config, text, words):
    path = config(text)
    with pytest.raises(OptionsError) as error:
        parse_options(["--config", path])
    for word in (path, *words):
        assert word in str(error.value)


def test_missing_config(tmp_path, config):
    missing = str(tmp_path / "missing.yml")
    with pytest.raises(OptionsError, match=re.escape(missing)):
        parse_options(["--config", missing])
    with pytest.raises(OptionsError, match=re.escape(missing)):
        parse_options(["--config", config("base: missing.yml")])


def test_valid_config_values(config):
    text = "learning_rate: 1e-4\nmax_depth: 80\nmax_steps: null\nload_weights_folder: null\nscales: [0, 2]\n"
    options = parse_options(["--config", config(text)])
    assert (options.learning_rate, options.max_depth, options.max_steps) == (1e-4, 80.0, None)
    assert isinstance(options.max_depth, float)
    assert options.scales == (0, 2)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--height 100", ["height", "100", "96 or 128"]),
        ("--height 0", ["height", "at least 64"]),
        ("--width 650", ["width", "650", "640 or 672"]),
        ("--frame_ids 1 0", ["frame_ids", "begin with 0"]),
        ("--frame_ids 0 1 1", ["frame_ids", "once"]),
        ("--frame_ids 0", ["frame_ids", "use_stereo"]),
        ("--scales 1 2", ["scales", "0"]),
        ("--min_depth 5 --max_depth 5", ["min_depth", "max_depth"]),
        ("--min_depth 0", ["min_depth", "above 0"]),
        ("--learning_rate nan", ["learning_rate", "above 0"]),
        ("--num_workers -1", ["num_workers", "at least 0"]),
        ("--num_epochs 0", ["num_epochs", "at least 1"]),
        ("--max_steps 0", ["max_steps", "at least 1"]),
        ("--log_frequency 0", ["log_frequency", "at least 1"]),
        ("--predictive_mask", ["predictive_mask", "disable_automasking"]),
        ("--models_to_load predictive_mask", ["models_to_load", "predictive_mask"]),
        ("--sync_bn --freeze_bn", ["sync_bn", "freeze_bn"]),
        ("--separate_stereo", ["separate_stereo", "use_stereo"]),
        ("--separate_stereo --use_stereo --frame_ids 0", ["separate_stereo", "frame_ids"]),
        ("--models_to_load depth intrinsics", ["models_to_load", "learn_intrinsics"]),
        ("--depth_network lite_mono --scales 0 3", ["--scales", "(0, 3)", "--depth_network lite_mono: 0 1 2"]),
        ("--learn_intrinsics --pose_model_type posecnn", ["learn_intrinsics", "separate_resnet or shared"]),
        ("--learn_intrinsics --use_stereo --frame_ids 0", ["learn_intrinsics", "frame_ids"]),
        ("--velocity_weight 0.05 --pose_model_type posecnn", ["velocity_weight", "separate_resnet or shared"]),
        ("--velocity_weight 0.05 --use_stereo", ["velocity_weight", "use_stereo"]),
        ("--frame_ids 0", ["only the target frame", "--use_stereo", "--supervise_depth"]),
        ("--frame_ids 0 --supervise_depth 1 --predictive_mask --disable_automasking", ["predictive_mask", "frame_ids"]),
        ("--velocity_weight -1", ["velocity_weight", "at least 0"]),
        ("--eval_mono --eval_stereo", ["eval_mono", "eval_stereo"]),
        ("--weight_decay 0.01", ["weight_decay", "--optimizer adamw"]),
        ("--weight_decay -1 --optimizer adamw", ["weight_decay", "at least 0"]),
        ("--pose_learning_rate 1e-5 --frame_ids 0 --use_stereo", ["pose_learning_rate", "frame_ids"]),
        ("--min_learning_rate 1e-6", ["min_learning_rate", "--lr_schedule cosine"]),
        ("--lr_schedule cosine --min_learning_rate 1e-4", ["min_learning_rate 0.0001", "learning_rate 0.0001"]),
        ("--warmup_epochs 2 --num_epochs 2", ["warmup_epochs 2.0", "num_epochs 2"]),
        ("--drop_path 1", ["drop_path", "got 1.0", "at least 0 and below 1"]),
        ("--ema_decay 1", ["ema_decay", "got 1.0", "above 0 and below 1"]),
        ("--depth_hints DIR", ["depth_hints", "use_stereo"]),
        ("--pseudo_labels DIR --pseudo_label_late_weight 0", ["pseudo_label_late_epoch", "both"]),
        ("--pseudo_label_late_epoch 3 --pseudo_label_late_weight 0", ["no effect", "--pseudo_labels"]),
        ("--corrupt_training 1.5", ["corrupt_training", "1.5", "from 0 to 1"]),
        ("--corruptions fogg", ["'fogg'", "nearest is fog;", "all, none, or some of brightness, dark"]),
        ("--corruptions fog all", ["fog all", "all alone"]),
        ("--corruptions none snow", ["none snow", "none alone"]),
        ("--crop_scale 1.5", ["crop_scale", "1.5", "at most 1"]),
        ("--crop_scale 0.5 --cache ram", ["crop_scale", "--cache"]),
        ("--crop_aspect 1.3 --learn_intrinsics", ["crop_aspect", "--learn_intrinsics"]),
    ],
)
def test_contradicting_options(line, words):
    with pytest.raises(OptionsError) as error:
        parse(line)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        "--frame_ids 0 --use_stereo --pose_model_type posecnn",
        "--frame_ids 0 -2 -1 1 2 --pose_model_input all --use_stereo",
        "--predictive_mask --disable_automasking --models_to_load depth predictive_mask",
        "--separate_stereo --use_stereo --avg_reprojection --v1_multiscale --no_ssim",
        "--dataset kitti_odom --use_stereo",
        "--optimizer adamw --weight_decay 0 --lr_schedule cosine --min_learning_rate 1e-6 --warmup_epochs 0.5",
        "--pose_learning_rate 1e-3 --drop_path 0.9 --ema_decay 0.999",
        "--frame_ids 0 --supervise_depth 1",
        "--learn_intrinsics --velocity_weight 0.05 --pose_model_type shared --models_to_load depth intrinsics",
    ],
)
def test_compatible_options(line):
    parse(line)


def test_all_contradictions_are_reported_at_once():
    with pytest.raises(OptionsError) as error:
        parse("--height 100 --predictive_mask")
    assert "height" in str(error.value) and "disable_automasking" in str(error.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--load_weights_folder W", ["eval_mono", "eval_stereo"]),
        ("--eval_mono", ["load_weights_folder", "ext_disp_to_eval"]),
        ("--eval_mono --load_weights_folder W --ext_disp_to_eval F.npy", ["load_weights_folder"]),
        ("--eval_mono --ext_disp_to_eval F.npy --post_process", ["post_process"]),
        ("--eval_mono --ext_disp_to_eval F.npy --save_pred_disps", ["save_pred_disps"]),
        ("--eval_mono --ext_disp_to_eval F.npy --corruptions all", ["corruptions", "load_weights_folder"]),
        (
            "--eval_mono --load_weights_folder W --corruptions fog --no_eval --save_pred_disps",
            ["corruptions", "no_eval"],
        ),
        (
            "--eval_stereo --load_weights_folder W --corruptions fog --eval_split benchmark",
            ["corruptions", "benchmark"],
        ),
        (
            "--eval_mono --load_weights_folder W --corruptions fog --eval_alignment_scope dataset",
            ["corruptions", "eval_alignment_scope"],
        ),
        ("--eval_mono --load_weights_folder W --corruptions_baseline B", ["corruptions_baseline", "--corruptions all"]),
        ("--eval_mono --load_weights_folder W --no_eval", ["no_eval", "save_pred_disps"]),
        ("--eval_stereo --load_weights_folder W --eval_alignment median", ["eval_alignment", "eval_stereo"]),
        (
            "--eval_mono --disable_median_scaling --load_weights_folder W --eval_alignment_scope dataset",
            ["eval_alignment_scope", "disable_median_scaling"],
        ),
        ("--eval_mono --ext_disp_to_eval F.npy --uncertainty", ["uncertainty", "prediction"]),
        ("--eval_mono --load_weights_folder W --no_eval --save_pred_disps --uncertainty", ["uncertainty", "no_eval"]),
        ("--eval_stereo --load_weights_folder W --eval_split benchmark --compare_published", ["compare_published"]),
        ("--eval_stereo --load_weights_folder W --pred_depth_scale_factor 2", ["pred_depth_scale_factor"]),
        (
            "--eval_mono --load_weights_folder W --eval_eigen_to_benchmark --eval_split mine",
            ["eigen_benchmark", "mine"],
        ),
    ],
)
def test_invalid_evaluation_options(line, words):
    options = parse(line)
    with pytest.raises(OptionsError) as error:
        options.check_for_evaluation()
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        "--eval_mono --load_weights_folder W",
        "--eval_stereo --load_weights_folder W --post_process",
        "--eval_mono --load_weights_folder W --no_eval --save_pred_disps",
        "--eval_mono --ext_disp_to_eval F.npy --eval_eigen_to_benchmark",
        "--eval_mono --load_weights_folder W --eval_eigen_to_benchmark",
        "--eval_mono --load_weights_folder W --eval_alignment affine --eval_alignment_scope dataset",
        "--eval_stereo --load_weights_folder W --post_process --uncertainty",
        "--eval_mono --disable_median_scaling --pred_depth_scale_factor 5.4 --load_weights_folder W",
    ],
)
def test_valid_evaluation_options(line):
    parse(line).check_for_evaluation()


def test_no_cuda_is_device_cpu():
    options = parse_options(["--no_cuda"])
    assert options.device == "cpu"
    assert options.explicitly_set == {"device"}


def test_derived_values(tmp_path):
    options = parse(f"--frame_ids 0 -1 2 --use_stereo --split {tmp_path}/mine/ --log_dir L")
    assert options.all_frames == (0, -1, 2, "s")
    assert options.source_frames == (-1, 2, "s")
    assert options.replace(use_stereo=False).source_frames == (-1, 2)
    assert (options.split_name, options.eval_split_name) == ("mine", "eigen")
    assert options.run_dir.parts == ("L", "monodepthv2")
    assert options.corruption_names == () and parse("--corruptions snow fog").corruption_names == ("snow", "fog")
    assert len(parse("--corruptions all").corruption_names) == 18


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse_options([]).height = 96


def test_replace_checks_anew():
    options = parse_options(["--width", "320"])
    changed = options.replace(height=96, frame_ids=[0, 1])
    assert (changed.height, changed.frame_ids, changed.explicitly_set) == (96, (0, 1), {"width"})
    assert options.height == 192
    with pytest.raises(OptionsError, match="multiples of 32"):
        options.replace(height=100)


def test_as_dict_and_load(tmp_path):
    options = parse("--use_stereo --scales 0 1 --learning_rate 5e-5 --max_steps 3")
    path = tmp_path / "opt.json"
    path.write_text(json.dumps(options.as_dict()))
    content = json.loads(path.read_text())
    assert set(content) == set(DEFAULTS)
    assert (content["scales"], content["max_steps"], content["height"]) == ([0, 1], 3, 192)
    assert Options.load(path) == options
    assert Options.load(path).explicitly_set == frozenset()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["No such file"]),
        ("{", ["line 1"]),
        ("[]", ["list"]),
        ('{"heigth": 96}', ["heigth", "height"]),
    ],
)
def test_load_reports_invalid_files(tmp_path, text, words):
    path = tmp_path / "opt.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(OptionsError) as error:
        Options.load(path)
    for word in (str(path), *words):
        assert word in str(error.value)


def test_a_mistyped_option_is_reported_before_a_missing_one():
    parser = OptionParser()
    parser.add_argument("--split", required=True)
    parser.add_argument("--source")
    for line in (["--splti", "eigen"], ["--splti=eigen"]):
        with pytest.raises(OptionsError, match="unknown option --splti; the nearest is --split "):
            parser.parse_args(line)
    with pytest.raises(OptionsError, match="required: --split"):
        parser.parse_args(["--source", "there"])
    assert parser.parse_args(["--split=eigen"]).split == "eigen"


def test_num_layers_is_an_alias_of_depth_network(config):
    assert parse("--num_layers 50").depth_network == "resnet50"
    assert "depth_network" in parse("--num_layers 50").explicitly_set
    assert parse(f"--config {config('num_layers: 34')}").depth_network == "resnet34"
    assert parse(f"--config {config('num_layers: 34')} --depth_network resnet50").depth_network == "resnet50"


def tool_parser() -> OptionParser:
    parser = OptionParser()
    parser.add_argument("--out", required=True)
    return parser


def test_a_tool_accepts_the_options_of_training_besides_its_own():
    own, options = parse_tool_options(tool_parser(), ["--height", "96", "--out", "x", "--depth_network", "lite_mono"])
    assert vars(own) == {"out": "x"}
    assert (options.height, options.scales) == (96, (0, 1, 2))
    assert options.explicitly_set == {"height", "depth_network"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--out x --ot y", "unknown option --ot; the nearest is --out "),
        ("--out x --heigth 96", "unknown option --heigth; the nearest is --height "),
        ("--out x --hei 96", "unknown option --hei; the nearest is --height "),  # no abbreviations
        ("--height 96", "--out"),
        ("--out x y", "unexpected argument y"),
    ],
)
def test_a_tool_refuses_what_is_neither_its_own_nor_of_training(words, message):
    with pytest.raises(OptionsError, match=re.escape(message)):
        parse_tool_options(tool_parser(), words.split())
