"""evaluate_pose.py: every pose model on the synthetic world, closed-form cases, and errors."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from evo.core.metrics import APE, RPE, PoseRelation, Unit
from evo.core.trajectory import PosePath3D
from evo.tools.file_interface import read_kitti_poses_file, read_tum_trajectory_file
from PIL import Image
from scipy.spatial.transform import Rotation

import evaluate_pose
from common.errors import DataError, OptionsError, UserError, WeightsError
from common.registry import POSE_MODELS, load
from datasets.frame_table import FrameRow, write_frame_table
from datasets.lanczos import resize_lanczos
from evaluate_pose import evaluate
from evaluation.metrics.trajectories import motions_between
from evaluation.odometry import open_sequence
from inference.split_prediction import predict_motions
from layers.geometry import disp_to_depth
from networks.monodepth import Monodepth
from options import Options, parse_options
from serialization.weights_folder import save_weights
from tools.synthetic.kitti_tree import write_calibration, write_frame, write_poses
from tools.synthetic.render import PinholeCamera, StreetRenderer
from tools.synthetic.street import Street
from tools.synthetic.textures import build_atlas
from trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
DRIVE = "2000_01_01/2000_01_01_drive_0001_sync"
NUM_FRAMES = 6
SIZE = (64, 96)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Synthetic world with one street."""
    root = tmp_path_factory.mktemp("world")
    street, camera = Street((2, 0), NUM_FRAMES), PinholeCamera.like_kitti(32, 96)
    write_calibration(root / "2000_01_01", camera)
    write_poses(root / DRIVE, street)
    renderer = StreetRenderer(street, build_atlas(2), camera)
    for frame in range(NUM_FRAMES):
        write_frame(root / DRIVE, renderer, frame)
    return root


@pytest.fixture(scope="module")
def save_model(tmp_path_factory):
    """Pose model type and input -> model and its weights folder, cached."""
    made = {}

    def save(pose_model_type="separate_resnet", pose_model_input="pairs") -> tuple[Monodepth, Path]:
        key = pose_model_type, pose_model_input
        if key not in made:
            paddle.seed(4)
            model = Monodepth(scales=(0,), pose_model_type=pose_model_type, pose_model_input=pose_model_input)
            model.eval()
            folder = tmp_path_factory.mktemp("weights") / "w"
            networks = {
                role: model.networks()[role] for role in load(POSE_MODELS, pose_model_type).roles
            }  # all that is read
            save_weights(folder, networks, {"height": SIZE[0], "width": SIZE[1], "use_stereo": False})
            made[key] = model, folder
        return made[key]

    return save


@pytest.fixture
def options(world, save_model, tmp_path):
    """Options for the test drive of the synthetic world."""

    def make(**changes) -> Options:
        settings = {"eval_split": DRIVE, "data_path": str(world), "eval_out_dir": str(tmp_path / "out")}
        settings |= {"num_workers": 0, "batch_size": 4, "device": "cpu", **changes}
        return Options(**{"load_weights_folder": str(save_model()[1]), **settings})

    return make


def images_of(world) -> list[paddle.Tensor]:
    """Frames of the drive as network inputs."""
    paths = sorted((world / DRIVE / "image_02/data").iterdir())
    arrays = [resize_lanczos(Image.open(path).convert("RGB"), *SIZE) for path in paths]
    return [paddle.to_tensor(array[None].astype(np.float32) / 255) for array in arrays]


def truth_of(world) -> np.ndarray:
    return read_kitti_poses_file(world / DRIVE / "poses.txt").poses_se3


@pytest.mark.parametrize("pose_model_input", ["pairs", "all"])
@pytest.mark.parametrize("pose_model_type", ["separate_resnet", "shared", "posecnn"])
def test_predicted_motions_match_the_model(world, save_model, options, pose_model_type, pose_model_input):
    """Compare with the complete model, frame by frame, with both neighbours."""
    model, folder = save_model(pose_model_type, pose_model_input)
    names = {"pose_model_type": pose_model_type, "pose_model_input": pose_model_input}
    opt = options(load_weights_folder=str(folder), **names)
    motions = predict_motions(opt, open_sequence(opt).dataset)
    images = images_of(world)
    assert motions.shape == (NUM_FRAMES - 1, 4, 4)
    for frame in range(1, NUM_FRAMES - 1):
        with paddle.no_grad():
            outputs = model({f"color_aug/{f}/0": images[frame + f] for f in (0, -1, 1)})
        expected = {f: outputs[f"T_target_to_source/{f}"].numpy()[0] for f in (-1, 1)}
        if pose_model_type == "posecnn":
            for T in expected.values():
                T[:3, 3] *= float((1 / disp_to_depth(outputs["disp/0"], 0.1, 100.0)[1]).mean())
        np.testing.assert_allclose(motions[frame], expected[1], rtol=1e-3, atol=1e-7)
        if frame == 1 and (pose_model_type, pose_model_input) != ("posecnn", "pairs"):
            # The first motion is the inverse of the target's motion to frame -1. For PoseCNN on pairs the two differ in
            # scale, which depends on the frame where the motion starts.
            np.testing.assert_allclose(motions[0], np.linalg.inv(expected[-1]), rtol=1e-3, atol=1e-7)


def test_the_script_writes_metrics_trajectory_and_plot(world, save_model, tmp_path):
    folder, out = save_model()[1], tmp_path / "out"
    command = [sys.executable, "evaluate_pose.py", "--eval_split", DRIVE, "--data_path", world, "--num_workers", "1"]
    command += ["--load_weights_folder", folder, "--eval_out_dir", out, "--batch_size", "2", "--no_cuda"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    name = DRIVE.split("/")[1]
    assert {path.name for path in out.iterdir()} == {
        *(f"trajectory_{name}{ending}" for ending in ("_kitti.txt", "_tum.txt", ".png")),
        f"pose_metrics_{name}.json",
    }
    metrics = json.loads((out / f"pose_metrics_{name}.json").read_text())
    assert metrics["sequence"] == DRIVE and metrics["frames"] == NUM_FRAMES and metrics["t_rel"] is None
    for number in (f"{metrics['ate_5']:.4f}", f"{metrics['ate_sim3']:.3f}", f"{metrics['ate_se3']:.3f}"):
        assert number in done.stdout
    # What evo makes of the files.
    truth = PosePath3D(poses_se3=truth_of(world))
    predicted = read_kitti_poses_file(out / f"trajectory_{name}_kitti.txt")
    in_tum = read_tum_trajectory_file(out / f"trajectory_{name}_tum.txt")
    np.testing.assert_allclose(in_tum.poses_se3, predicted.poses_se3, atol=1e-6)
    np.testing.assert_allclose(in_tum.timestamps, 0.1 * np.arange(NUM_FRAMES))
    scale = predicted.align(truth, correct_scale=True)[2]
    assert scale == pytest.approx(1, rel=1e-6)  # it is at the truth's scale already
    error = APE(PoseRelation.translation_part)
    error.process_data((truth, predicted))
    assert metrics["ate_sim3"] == pytest.approx(error.get_all_statistics()["rmse"], rel=1e-5)
    with Image.open(out / f"trajectory_{name}.png") as picture:
        assert min(picture.size) >= 600 and picture.convert("L").getextrema() == (0, 255)


def test_real_sequence(kitti_odometry_sample, options, tmp_path, monkeypatch, capsys):
    """True motions of a real sequence of 60 m, 3 % too short and each turned by 0.02 degrees."""
    truth = read_kitti_poses_file(kitti_odometry_sample / "poses/50.txt").poses_se3
    motions = motions_between(np.stack(truth))
    motions[:, :3, 3] *= 0.97 / 5.4
    motions[:, :3] = Rotation.from_euler("y", 0.02, degrees=True).as_matrix() @ motions[:, :3]
    monkeypatch.setattr(evaluate_pose, "predict_motions", lambda opt, dataset: motions)
    opt = options(data_path=str(kitti_odometry_sample), eval_split="odom_50", eval_stereo=True)
    result = evaluate(opt)
    assert "51 frames, 60 m; motion scaled by 5.4" in capsys.readouterr().out
    assert result.kitti is None and result.rpe_rotation == pytest.approx(0.02, rel=1e-3)
    # The frames are 1.2 m apart, of which 3 % are missing; the rotation moves the end of each step by 0.4 mm.
    assert result.rpe_translation == pytest.approx(0.036, rel=0.02)
    assert result.sim3_scale == pytest.approx(1.03, abs=0.001)
    saved = (tmp_path / "out/pose_metrics_odom_50.json").read_text()
    assert "NaN" not in saved and json.loads(saved)["t_rel"] is None


def orthonormal(path: Path) -> PosePath3D:
    """Read poses for evo, which refuses rotations that are rounded to seven digits."""
    poses = np.stack(read_kitti_poses_file(path).poses_se3)
    poses[:, :3, :3] = Rotation.from_matrix(poses[:, :3, :3]).as_matrix()
    return PosePath3D(poses_se3=list(poses))


@pytest.mark.slow
def test_trained_on_another_drive(stereo_drive, kitti_odometry_sample, tmp_path):
    """Three steps on one real drive, and all metrics of the motions on another one, as evo computes them."""
    training = f"--data_path {stereo_drive} --split kitti_sample --height 64 --width 192 --batch_size 2 --max_steps 3"
    training += " --use_stereo --separate_stereo --weights_init scratch --num_workers 0 --device cpu --compile off"
    trainer = Trainer.from_options(parse_options([*training.split(), "--log_dir", str(tmp_path)]))
    trainer.train()
    weights = str(trainer.opt.run_dir / "models/weights_best")
    settings = {"data_path": str(kitti_odometry_sample), "eval_split": "odom_50", "eval_stereo": True}
    result = evaluate(Options(load_weights_folder=weights, num_workers=0, device="cpu", **settings))
    assert result.scale == pytest.approx(5.4) and result.kitti is None
    truth = orthonormal(kitti_odometry_sample / "poses/50.txt")
    for score, metric, scaled in (
        (result.ate_sim3, APE(PoseRelation.translation_part), True),
        (result.ate_se3, APE(PoseRelation.translation_part), False),
        (result.rpe_translation, RPE(PoseRelation.translation_part, 1, Unit.frames), None),
        (result.rpe_rotation, RPE(PoseRelation.rotation_angle_deg, 1, Unit.frames), None),
    ):
        predicted = orthonormal(Path(weights) / "trajectory_odom_50_kitti.txt")
        if scaled is not None:
            predicted.align(truth, correct_scale=scaled)
        metric.process_data((truth, predicted))
        assert score == pytest.approx(metric.get_all_statistics()["rmse"], rel=1e-4), metric


def test_scaling(world, options, monkeypatch):
    """Predict the true motions in scene units of 5.4 m."""
    motions = motions_between(np.stack(truth_of(world)))
    motions[:, :3, 3] /= 5.4
    monkeypatch.setattr(evaluate_pose, "predict_motions", lambda opt, dataset: motions)
    for changes in ({}, {"eval_stereo": True}, {"disable_median_scaling": True, "pred_depth_scale_factor": 5.4}):
        result = evaluate(options(**changes))
        assert result.ate_5 == pytest.approx(0, abs=1e-6) and result.ate_sim3 == pytest.approx(0, abs=1e-6)
        assert result.scale == pytest.approx(5.4)
        assert (result.ate_se3 < 1e-6) == bool(changes)


def odometry(root: Path, num_frames: int, poses: int | None) -> Path:
    """Sequence 09 with grey images and ``poses`` poses one metre apart."""
    folder = root / "sequences/09/image_2"
    folder.mkdir(parents=True)
    for frame in range(num_frames):
        Image.new("RGB", (48, 16), (128, 128, 128)).save(folder / f"{frame:06d}.jpg")
    if poses:
        (root / "poses").mkdir()
        (root / "poses/09.txt").write_text("".join(f"1 0 0 0 0 1 0 0 0 0 1 {i}\n" for i in range(poses)))
    return root


def test_an_odometry_sequence(options, tmp_path, monkeypatch):
    data = odometry(tmp_path / "data", 121, 121)
    T = np.eye(4)
    T[2, 3] = -1.1
    monkeypatch.setattr(evaluate_pose, "predict_motions", lambda opt, dataset: np.tile(T, (len(dataset) - 1, 1, 1)))
    result = evaluate(options(eval_split="odom_9", data_path=str(data), eval_stereo=False, disable_median_scaling=True))
    assert result.kitti.t_rel == pytest.approx(10.1) and result.kitti.segments == 2
    metrics = json.loads((tmp_path / "out/pose_metrics_odom_9.json").read_text())
    assert metrics["by_length"]["100"]["t_rel"] == pytest.approx(10.1)


def test_no_eval_writes_only_the_trajectory(options, tmp_path):
    data = odometry(tmp_path / "data", 6, None)
    with pytest.raises(DataError, match=r"poses/09\.txt not found"):
        evaluate(options(eval_split="odom_9", data_path=str(data)))
    assert evaluate(options(eval_split="odom_9", data_path=str(data), no_eval=True)) is None
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"trajectory_odom_9{ending}" for ending in ("_kitti.txt", "_tum.txt", ".png")
    }


def test_missing_frames_are_reported(options, tmp_path):
    data = odometry(tmp_path / "data", 6, 8)
    with pytest.raises(DataError, match="9 has 6 images, but true poses of 8 frames"):
        evaluate(options(eval_split="odom_9", data_path=str(data)))
    (data / "sequences/09/image_2/000002.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of the 6 frames of 9 are missing.*000002\.jpg"):
        evaluate(options(eval_split="odom_9", data_path=str(data)))
    with pytest.raises(DataError, match=r"No \.png images .*--png"):
        evaluate(options(eval_split="odom_9", data_path=str(data), png=True))
    with pytest.raises(DataError, match=r"No \.jpg images .*eigen.*odom_9.*DATE/DRIVE"):
        evaluate(options(eval_split="eigen"))


def raw_drive(root: Path, frames, monkeypatch) -> dict:
    """Images of a drive; frame N is N grey levels bright. Options; motions are not predicted but 1 m per image."""
    folder = root / "day/drive/image_02/data"
    folder.mkdir(parents=True)
    for frame in frames:
        Image.new("RGB", (48, 16), (frame,) * 3).save(folder / f"{frame:010d}.jpg")
    T = np.eye(4)
    T[2, 3] = -1
    monkeypatch.setattr(evaluate_pose, "predict_motions", lambda opt, dataset: np.tile(T, (len(dataset) - 1, 1, 1)))
    return {"eval_split": "day/drive", "data_path": str(root), "no_eval": True}


@pytest.mark.parametrize("frames", [range(100, 107), [0, 1, 2, 5, 6, 9], [100, 101, 150, 151, 152]])
def test_no_eval_accepts_any_start_and_gaps(options, tmp_path, monkeypatch, capsys, frames):
    """Neighbours are the next images; without recorded times, the frame number gives the time."""
    frames = list(frames)
    changes = raw_drive(tmp_path / "data", frames, monkeypatch)
    sequence = open_sequence(options(**changes))
    inner = sequence.dataset.replace(lines=sequence.dataset.lines[1:-1], frame_ids=(0, -1, 1))
    paths = [[int(Path(path).stem) for path in inner.frame_paths(line)] for line in inner.lines]
    assert paths == [list(of) for of in zip(frames[1:-1], frames, frames[2:], strict=False)]
    evaluate(options(**changes))
    times = read_tum_trajectory_file(tmp_path / "out/trajectory_drive_tum.txt").timestamps
    np.testing.assert_allclose(times, 0.1 * np.array(frames))
    printed = capsys.readouterr().out
    assert "assume 10 frames per second" in printed and ("gaps" in printed) == (frames[-1] - frames[0] >= len(frames))
    with pytest.raises(DataError, match=r"are missing.*--no_eval"):
        evaluate(options(**{**changes, "no_eval": False}))


def test_motions_across_gaps_use_the_next_image(world, options, tmp_path):
    """Predict with the real loader and networks: a renumbered drive has the motions of the original."""
    folder = tmp_path / "data" / DRIVE / "image_02/data"
    folder.mkdir(parents=True)
    for new, path in zip(
        (100, 101, 103, 110, 111, 112), sorted((world / DRIVE / "image_02/data").iterdir()), strict=True
    ):
        (folder / f"{new:010d}.jpg").write_bytes(path.read_bytes())
    motions = []
    for data in (world, tmp_path / "data"):
        opt = options(data_path=str(data), no_eval=True)
        motions.append(predict_motions(opt, open_sequence(opt).dataset))
    np.testing.assert_array_equal(*motions)


@pytest.mark.parametrize("part", ["image_02", "oxts"])
def test_tum_times_are_recorded_times(options, tmp_path, monkeypatch, capsys, part):
    changes = raw_drive(tmp_path / "data", range(2, 8), monkeypatch)
    path = tmp_path / "data/day/drive" / part / "timestamps.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"2011-09-26 13:02:{25 + 0.1037 * i:012.9f}\n" for i in range(8)))
    evaluate(options(**changes))
    times = read_tum_trajectory_file(tmp_path / "out/trajectory_drive_tum.txt").timestamps
    np.testing.assert_allclose(times, 0.1037 * np.arange(2, 8), atol=1e-6)
    assert f"Times of the trajectory (TUM format): {path}" in capsys.readouterr().out
    path.write_text("2011-09-26 13:02:25\n")  # fewer lines than frames
    evaluate(options(**changes))
    assert "timestamps.txt has no time for 6 of the 6 frames, the first is 2" in capsys.readouterr().out


def test_times_of_odometry(options, tmp_path, monkeypatch):
    data = odometry(tmp_path / "data", 6, None)
    (data / "sequences/09/times.txt").write_text("".join(f"{0.2 * i:e}\n" for i in range(6)))
    monkeypatch.setattr(evaluate_pose, "predict_motions", lambda opt, dataset: np.tile(np.eye(4), (5, 1, 1)))
    evaluate(options(eval_split="odom_9", data_path=str(data), no_eval=True))
    times = read_tum_trajectory_file(tmp_path / "out/trajectory_odom_9_tum.txt").timestamps
    np.testing.assert_allclose(times, 0.2 * np.arange(6), atol=1e-6)


@pytest.mark.parametrize("seconds", [True, False])
def test_times_of_imported_videos(options, tmp_path, monkeypatch, seconds):
    folder = tmp_path / "data/drive"
    (folder / "left").mkdir(parents=True)
    times, numbers = [0, 0.21, 0.4, 0.83, 1.0, 1.2], [0, 1, 2, 4, 5, 6]
    for number in numbers:
        Image.new("RGB", (48, 16)).save(folder / f"left/{number:010d}.jpg")
    rows = [
        FrameRow(number, 2 * number, time if seconds else None, None)
        for number, time in zip(numbers, times, strict=True)
    ]
    write_frame_table(folder / "frames.csv", rows, numbers)
    monkeypatch.setattr(evaluate_pose, "predict_motions", lambda opt, dataset: np.tile(np.eye(4), (5, 1, 1)))
    evaluate(options(eval_split="drive", data_path=str(tmp_path / "data"), no_eval=True, dataset="folder"))
    found = read_tum_trajectory_file(tmp_path / "out/trajectory_drive_tum.txt").timestamps
    np.testing.assert_allclose(found, times if seconds else 0.1 * np.array(numbers), atol=1e-6)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"0\n1\n1\n", "line 3"),
        (b"0\nnan\n2\n", "line 2"),
        (b"0\n\n2\n", "cannot be read"),
        (b"inf\n1\n", "line 1|line 2"),
        (b"2011-09-26 13:02:26\n2011-09-26 13:02:25\n", "line 2"),
        (b"2011-09-26 13:02:26\nNaT\n", "line 2"),
        (b"2011-99-26 13:02:26\n", "cannot be read"),
        (b"0\n" + b"9" * 5000 + b"\n", "line 2"),
        (b"0\n1\x00\n", "cannot be read"),
    ],
)
def test_damaged_times_are_refused_before_the_work(options, tmp_path, monkeypatch, content, words):
    changes = raw_drive(tmp_path / "data", range(6), monkeypatch)
    (tmp_path / "data/day/drive/image_02/timestamps.txt").write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        open_sequence(options(**changes))
    assert "timestamps.txt" in str(error.value) and "Copy the file again" in str(error.value)
    assert len(str(error.value)) < 500


def test_too_few_frames(options, tmp_path):
    data = odometry(tmp_path / "data", 4, 4)
    with pytest.raises(DataError, match=r"9 has 4 frames.* at least 5"):
        evaluate(options(eval_split="odom_9", data_path=str(data)))


def test_weights_without_the_pose_model(options, save_model, tmp_path):
    stereo = Monodepth(scales=(0,), frame_ids=(0,))
    save_weights(tmp_path / "stereo", stereo.networks(), {"height": 64, "width": 96, "use_stereo": True})
    with pytest.raises(WeightsError, match=r"no pose_encoder and no pose,.*contains depth, encoder\..*stereo pairs"):
        evaluate(options(load_weights_folder=str(tmp_path / "stereo")))
    with pytest.raises(WeightsError, match=r"no pose_encoder, .*contains encoder, pose\..*--pose_model_type"):
        evaluate(options(load_weights_folder=str(save_model("shared")[1])))
    with pytest.raises(WeightsError, match=r"does not match.*--pose_model_type, --pose_model_input, --frame_ids"):
        evaluate(options(pose_model_input="all"))
    with pytest.raises(WeightsError, match="not found"):
        evaluate(options(load_weights_folder=str(tmp_path / "none")))


def test_a_mistyped_option_is_reported_without_a_traceback(tmp_path):
    command = [sys.executable, str(ROOT / "evaluate_pose.py"), "--eval_split", "odom_9"]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and re.fullmatch(r"error: .*--load_weights_folder\n", done.stderr)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"post_process": True}, "--post_process"),
        ({"ext_disp_to_eval": "d.npy"}, "--ext_disp_to_eval"),
        ({"save_pred_disps": True}, "--save_pred_disps"),
        ({"eval_stereo": True, "pred_depth_scale_factor": 2.0}, "--eval_stereo ignores --pred_depth_scale_factor"),
        ({"pose_model_input": "all", "frame_ids": (0, -2, 2)}, r"frame_ids: got \(0, -2, 2\)"),
    ],
)
def test_contradicting_options(changes, words):
    with pytest.raises(OptionsError, match=words):
        Options(load_weights_folder="W", **changes).check_for_pose_evaluation()
    Options(load_weights_folder="W").check_for_pose_evaluation()


def test_unwritable_output_is_reported_before_the_work(options, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("evaluate_pose.predict_motions", lambda *_: pytest.fail("predicted before the check"))
    with pytest.raises(UserError, match="cannot be written"):
        evaluate(options(eval_out_dir=str(tmp_path / "file/out")))
