"""evaluate_depth.py on small handmade splits: source of the ground truth, scaling, and errors."""

import io
import json
import os
import pickle
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.command_help import DEPTH_EVALUATION
from common.errors import DataError, OptionsError, UserError
from evaluate_depth import evaluate, main
from evaluation.disparity_files import benchmark_ids
from evaluation.metrics.further_metrics import BENCHMARK_NAMES
from evaluation.metrics.sparsification import SPARSIFICATION_NAMES
from evaluation.result_tables import METRIC_GROUPS
from networks.monodepth import Monodepth
from options import OPTION_FIELDS, Options
from serialization.weights_folder import save_weights

SIZE = (40, 60)
NAMES = ("a/first 0 l", "a/second 5 r", "b/third 7 l")


@pytest.fixture
def case(tmp_path):
    """Split of three frames with exported ground truth; options and disparities are configurable."""
    random = np.random.default_rng(3)
    truths = random.uniform(2, 60, (3, *SIZE)).astype(np.float32)

    class Case:
        """Options, disparities and ground truth that a test may change before evaluating."""

        split = tmp_path / "mine"
        disparities = (1 / truths / 3).astype(np.float32)

        def export(self, kind="lidar", axis="legacy", depths=truths) -> None:
            arrays = {str(i): depth for i, depth in enumerate(depths)}
            np.savez(self.split / "gt_depths.npz", kind=kind, axis=axis, **arrays)

        def evaluate(self, disparities=None, **changes):
            path = tmp_path / "predicted.npy"
            np.save(path, self.disparities if disparities is None else disparities)
            settings = {"eval_split": str(self.split), "ext_disp_to_eval": str(path), "data_path": str(tmp_path)}
            scaling = {} if "eval_stereo" in changes else {"eval_mono": True}
            opt = Options(**{**settings, **scaling, **changes})
            opt.check_for_evaluation()
            return evaluate(opt)

    Case.split.mkdir()
    (Case.split / "test_files.txt").write_text("\n".join(NAMES) + "\n")
    case = Case()
    case.export()
    return case


def test_scaled_ground_truth_is_perfect_after_median_scaling(case, tmp_path):
    metrics = case.evaluate()
    assert metrics["abs_rel"] == pytest.approx(0, abs=1e-5) and metrics["a1"] == 1.0
    saved = {**metrics, "split": "mine", "crop": "eigen", "cap": 80.0}
    for name in ("metrics.json", "metrics_mine.json"):
        assert json.loads((tmp_path / name).read_text()) == saved


def test_metric_sets_of_a_file_of_other_code(case, tmp_path, capsys):
    """Depths twice too far without scaling: errors by hand, in the table, the summary and the frames."""
    settings = {"disable_median_scaling": True, "eval_crop": "none", "eval_max_depth": 200.0}
    case.evaluate(case.disparities * 1.5, metrics="benchmark", **settings)  # 1 / (2 true depth)
    summary = json.loads((tmp_path / "scores_mine/summary.json").read_text())
    assert summary["details"]["benchmark/abs_error_rel"]["mean"] == pytest.approx(100, rel=1e-4)
    assert summary["details"]["benchmark/sq_error_rel"]["mean"] == pytest.approx(100, rel=1e-4)
    assert summary["details"]["benchmark/silog"]["mean"] == pytest.approx(0, abs=1e-2)
    assert set(summary["details"]) == {f"benchmark/{name}" for name in BENCHMARK_NAMES}
    printed = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines() if "/" in line[:12]}
    assert float(printed["benchmark/abs_error_rel"]) == pytest.approx(100, abs=1e-2)
    case.evaluate(case.disparities * 1.5, metrics="all", **settings)
    header = (tmp_path / "scores_mine/frames.csv").read_text().splitlines()[0].split(",")
    assert {name.split("/")[0] for name in header if "/" in name} == {*METRIC_GROUPS} - {"cloud"}  # no calibration
    case.evaluate(case.disparities * 1.5, **settings)
    assert "/" not in (tmp_path / "scores_mine/frames.csv").read_text().splitlines()[0]


def test_alignment_of_a_file_of_other_code(case, tmp_path, capsys):
    """Disparities with a shift, and frames of different scale: perfect by the alignment that removes just that."""
    shifted = (case.disparities + 0.02).astype(np.float32)
    assert case.evaluate(shifted)["abs_rel"] > 1e-2 < case.evaluate(shifted, eval_alignment="lstsq")["abs_rel"]
    assert case.evaluate(shifted, eval_alignment="affine")["abs_rel"] < 1e-3
    assert "least-squares fit of scale and shift of disparity" in capsys.readouterr().out
    assert "ratio,shift" in (tmp_path / "scores_mine/frames.csv").read_text().splitlines()[0]
    scales = case.disparities * np.array([1, 2, 4], np.float32)[:, None, None]  # median ratios 1/3, 2/3 and 4/3
    assert case.evaluate(scales, eval_alignment="lstsq")["abs_rel"] < 1e-5
    # With the factor of the second frame the first is twice too deep and the third half as deep; below the cap, that is
    # an abs_rel of (1 + 0 + 1 / 2) / 3.
    means = case.evaluate(scales, eval_alignment_scope="dataset", eval_max_depth=200.0, eval_crop="none")
    assert means["abs_rel"] == pytest.approx(0.5, abs=1e-5)
    assert "median scaling, one for all frames; factor on depth 0.6667" in capsys.readouterr().out
    summary = json.loads((tmp_path / "scores_mine/summary.json").read_text())
    assert summary["alignment"] == {"ratio": pytest.approx(2 / 3), "shift": 0} and summary["scale"] is None


def test_edges_need_dense_ground_truth(case, capsys):
    sparse = np.zeros((3, *SIZE), np.float32)
    sparse[:, ::10] = 5
    case.export(depths=sparse)
    case.evaluate(metrics="all")
    printed = capsys.readouterr().out
    assert "Depth edges are not scored: less than 50%" in printed and "edges/accuracy" not in printed


def test_published_results_of_another_protocol_are_not_compared(case, capsys):
    case.evaluate(compare_published=True)
    printed = capsys.readouterr().out
    assert "No published result has the protocol of this one: split mine (published: eigen)" in printed


def test_each_split_keeps_its_metrics(case, tmp_path):
    """Scoring another split leaves the first one's file, and ``metrics.json`` names the latest."""
    case.evaluate()
    first = (tmp_path / "metrics_mine.json").read_bytes()
    case.split.rename(tmp_path / "other")
    case.evaluate(case.disparities**0.5, eval_split=str(tmp_path / "other"), eval_crop="none")
    assert (tmp_path / "metrics_mine.json").read_bytes() == first
    latest = json.loads((tmp_path / "metrics.json").read_text())
    assert (latest["split"], latest["crop"]) == ("other", "none")
    assert latest == json.loads((tmp_path / "metrics_other.json").read_text())


def test_every_table_states_crop_and_cap(case, tmp_path, capsys):
    case.evaluate()
    stated = "crop eigen (54% of the image), cap 80 m"
    printed = capsys.readouterr().out.splitlines()
    assert printed[printed.index(stated) + 1].split()[0] == "abs_rel"
    for name in ("table.md", "table.tex"):
        assert stated in (tmp_path / "scores_mine" / name).read_text()
    case.evaluate(eval_crop="none", eval_max_depth=50.0)
    assert "\ncrop none (all pixels), cap 50 m\n" in capsys.readouterr().out


def test_scaling_by_a_factor(case):
    assert case.evaluate(pred_depth_scale_factor=1 / 3, disable_median_scaling=True)["abs_rel"] < 1e-5
    # The prediction is 3 times too deep; clipped to 80 m it errs by 2 where the truth is below 80 / 3.
    stereo = case.evaluate(case.disparities * 3 * 5.4, eval_stereo=True)
    assert stereo["abs_rel"] == pytest.approx(0, abs=1e-5)


def test_improved_ground_truth_is_scored_without_a_crop(case, capsys):
    case.export(kind="improved", axis="camera")
    case.evaluate()
    assert "crop none" in capsys.readouterr().out
    case.export()
    case.evaluate()
    assert "crop eigen" in capsys.readouterr().out
    case.evaluate(eval_crop="none")
    assert "crop none" in capsys.readouterr().out


def test_exported_ground_truth_of_another_axis_is_not_used(case):
    case.export(axis="camera")
    case.evaluate(gt_depth="camera")
    with pytest.raises(DataError, match="3 frames has valid ground truth"):
        case.evaluate(gt_depth="legacy")  # then it comes from the dataset, which has no lidar here


def test_exported_lidar_is_not_used_for_improved_ground_truth(case, tmp_path, capsys):
    for i, name in enumerate(NAMES):
        folder, frame, side = name.split()
        camera = "image_02" if side == "l" else "image_03"
        path = tmp_path / folder / "proj_depth/groundtruth" / camera / f"{int(frame):010d}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.full(SIZE, 256 * (5 + i), np.uint16)).save(path)
    improved = np.stack([np.full(SIZE, 1 / (5 + i), np.float32) for i in range(3)])
    metrics = case.evaluate(improved, dataset="kitti_depth", disable_median_scaling=True)
    assert metrics["abs_rel"] == pytest.approx(0, abs=1e-6)
    printed = capsys.readouterr().out
    assert "gt_depths.npz contains lidar depth" in printed and "crop none" in printed


def test_output_folder(case, tmp_path):
    case.evaluate(eval_out_dir=str(tmp_path / "out"))
    assert (tmp_path / "out/metrics.json").is_file()


def test_frames_without_ground_truth_are_reported(case, capsys):
    depths = [np.zeros(SIZE, np.float32), *np.full((2, *SIZE), 5, np.float32)]
    case.export(depths=depths)
    case.evaluate()
    printed = capsys.readouterr().out
    assert "2 frames," in printed and f"Skipping 1 frames without valid ground truth: {NAMES[0]}" in printed


@pytest.mark.parametrize(
    ("disparities", "words"),
    [
        (np.ones((2, 4, 6), np.float32), ["2 disparities", "3 test frames"]),
        (np.ones((3, 4), np.float32), ["(3, 4)", "frames, height, width"]),
        (np.ones((3, 4, 6), np.int64), ["int64", "float32"]),
        (np.full((3, 4, 6), np.nan, np.float32), [NAMES[0], "finite"]),
        (-np.ones((3, 4, 6), np.float32), [NAMES[0], "positive"]),
        (np.ones((3, 0, 6), np.float32), [NAMES[0], "(0, 6)"]),
        (np.full((3, 4, 6), 1e-40, np.float32), [NAMES[0], "positive"]),  # 1 / value overflows float32
        (np.full((3, 4, 6), 1e40), [NAMES[0], "finite"]),  # overflows float32
    ],
)
def test_bad_disparities(case, disparities, words):
    with pytest.raises(DataError) as error:
        case.evaluate(disparities)
    for word in words:
        assert word in str(error.value)


def npy_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def archive() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, disps=np.ones((3, 4, 6), np.float32))
    return stream.getvalue()


WRONG_KINDS = {
    "empty": (b"", "not a .npy file"),
    "text": (b"not an array", "not a .npy file"),
    "cut off": (b"\x93NUMPY\x01\x00", "cannot be read"),
    "archive": (archive(), r"an .npz or .zip archive; save one of its arrays"),
    "pickle": (pickle.dumps([1]), "a pickle"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "huge": (npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999, 99999, 99999)}"), "cannot be read"),
    "overflow": (npy_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**30}, 3, 4)}}"), "cannot be"),
    "nested": (npy_header("(" * 9000 + ")" * 9000), "cannot be read"),
    "folder": (None, "it is a folder or device"),
    "pipe": (None, "it is a folder or device"),
}


@pytest.mark.parametrize("kind", WRONG_KINDS)
@pytest.mark.parametrize("option", ["--ext_disp_to_eval", "--eval_eigen_to_benchmark"])
def test_wrong_kinds_of_files_take_one_sentence(case, tmp_path, monkeypatch, kind, option):
    """For disparities, and for the list published with the benchmark split; within bounded time and memory."""
    content, words = WRONG_KINDS[kind]
    path = tmp_path / "wrong.npy"
    if option == "--eval_eigen_to_benchmark":
        path = tmp_path / "eigen_to_benchmark_ids.npy"
        monkeypatch.setattr("evaluation.disparity_files.find_split", lambda *_: tmp_path)
    if content is not None:
        path.write_bytes(content)
    else:
        (Path.mkdir if kind == "folder" else os.mkfifo)(path)

    def read() -> str:
        with pytest.raises(DataError, match=words) as error:
            if option == "--ext_disp_to_eval":
                case.evaluate(ext_disp_to_eval=str(path))
            else:
                benchmark_ids(Options(eval_eigen_to_benchmark=True))
        return str(error.value)

    message = read()  # also imports what is imported where it is used, which should not count
    tracemalloc.start()
    try:
        read()
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert message.startswith(f"{option} {path} cannot be read: ") and len(message) < 600
    assert "Pass " in message and "\n" not in message


@pytest.mark.parametrize("place", ["file/out", "file", "/proc/out"])
def test_unwritable_output_is_reported_before_the_work(with_images, tmp_path, monkeypatch, place):
    (tmp_path / "file").touch()
    monkeypatch.setattr("evaluate_depth.predict_split", lambda *_: pytest.fail("predicted before the check"))
    with pytest.raises(UserError, match="cannot be written"):
        evaluate(with_images.replace(eval_out_dir=str(tmp_path / place)))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name == "out") == []


def test_pickled_prediction_file_is_refused(case, tmp_path):
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{}, None], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        case.evaluate(ext_disp_to_eval=str(path))


def test_ground_truth_with_a_wrong_number_of_frames(case):
    case.export(depths=np.ones((2, *SIZE), np.float32))
    with pytest.raises(DataError, match=r"gt_depths\.npz contains 2 depth maps, .* 3 test frames"):
        case.evaluate()


def test_eigen_disparities_on_the_benchmark_frames(case, tmp_path):
    (tmp_path / "splits/benchmark").mkdir(parents=True)
    (tmp_path / "splits/benchmark/test_files.txt").write_text("a 0 l\n")
    all_frames = np.concatenate([np.ones((2, *SIZE), np.float32), case.disparities])
    np.save(tmp_path / "splits/benchmark/eigen_to_benchmark_ids.npy", np.array([2, 3, 4]))
    metrics = case.evaluate(all_frames, eval_eigen_to_benchmark=True)
    assert metrics["abs_rel"] == pytest.approx(0, abs=1e-5)
    with pytest.raises(DataError, match="Eigen test frame 4"):
        case.evaluate(all_frames[:4], eval_eigen_to_benchmark=True)


def test_weights_or_disparities_are_required(monkeypatch):
    monkeypatch.setattr("sys.argv", ["evaluate_depth.py", "--eval_mono"])
    with pytest.raises(OptionsError, match="load_weights_folder"):
        main()


def test_eval_stereo_with_monocular_weights_prints_a_note(case, tmp_path, capsys):
    networks = Monodepth.for_depth().networks()
    save_weights(tmp_path / "w", networks, {"height": 64, "width": 96, "use_stereo": False})
    for name in NAMES:
        folder, frame, side = name.split()
        path = tmp_path / folder / f"image_0{2 if side == 'l' else 3}/data/{int(frame):010d}.jpg"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (60, 40)).save(path)
    settings = {"eval_split": str(case.split), "load_weights_folder": str(tmp_path / "w"), "data_path": str(tmp_path)}
    evaluate(Options(**settings, num_workers=0, eval_stereo=True))
    assert "trained without stereo pairs" in capsys.readouterr().out
    evaluate(Options(**settings, num_workers=0, eval_mono=True, no_eval=True, save_pred_disps=True))
    printed = capsys.readouterr().out
    assert "without stereo" not in printed and "abs_rel" not in printed
    assert np.load(tmp_path / "w/disps_mine_split.npy").shape == (3, 64, 96)


@pytest.fixture
def with_images(case, tmp_path):
    """Options for untrained weights, and images of the frames, without calibration."""
    save_weights(tmp_path / "w", Monodepth.for_depth().networks(), {"height": 64, "width": 96, "use_stereo": False})
    for name in NAMES:
        folder, frame, side = name.split()
        path = tmp_path / folder / f"image_0{2 if side == 'l' else 3}/data/{int(frame):010d}.jpg"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (60, 40)).save(path)
    return Options(
        **{"eval_split": str(case.split), "load_weights_folder": str(tmp_path / "w"), "data_path": str(tmp_path)},
        **{"num_workers": 0, "eval_mono": True, "eval_details": True},
    )


def test_weights_and_their_saved_disparities_give_identical_scores(with_images, tmp_path):
    by_weights = with_images.replace(save_pred_disps=True)
    evaluate(by_weights)
    disps = tmp_path / "w" / "disps_mine_split.npy"
    changes = {"load_weights_folder": None, "ext_disp_to_eval": str(disps), "eval_out_dir": str(tmp_path / "out")}
    evaluate(with_images.replace(**changes))
    folders = tmp_path / "w/scores_mine", tmp_path / "out/scores_mine"
    files = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert (
        files[0]
        == files[1]
        == [
            *("best_1.png", "frames.csv", "summary.json", "table.md", "table.tex"),
            *("worst_1.png", "worst_2.png", "worst_3.png"),
        ][1:]
    )  # three frames are all the worst
    for name in ("frames.csv", "worst_1.png"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    summary = json.loads((folders[0] / "summary.json").read_text())
    metrics = json.loads((tmp_path / "w/metrics.json").read_text())
    assert {name: value["mean"] for name, value in summary["metrics"].items()} == pytest.approx(
        {name: metrics[name] for name in summary["metrics"]}, rel=1e-12
    )
    assert summary["details"]["aligned/abs_rel"]["mean"] <= 1 and "cloud/f_score" not in summary["details"]


def test_uncertainty_of_weights_is_scored(with_images, tmp_path, capsys):
    """Next to the same metrics as without it; the prediction is described in the summary."""
    opt = with_images.replace(eval_details=False)
    expected = evaluate(opt)
    assert "uncertainty/" not in capsys.readouterr().out
    assert evaluate(opt.replace(uncertainty=True)) == pytest.approx(expected, rel=1e-5)
    assert "uncertainty/ause_abs_rel" in capsys.readouterr().out
    summary = json.loads((tmp_path / "w/scores_mine/summary.json").read_text())
    assert set(summary["details"]) == {f"uncertainty/{name}" for name in SPARSIFICATION_NAMES}
    assert summary["prediction"] == {"depth_network": "resnet18", "height": 64, "width": 96, "post_process": False}
    assert summary["split"] == "mine" and summary["ground_truth"]["axis"] == "legacy"


def test_options_that_are_read_are_those_in_the_help(with_images, tmp_path, monkeypatch):
    """Except ``seed``, for a loader that does not shuffle, and ``kitti_mean_intrinsics``, without intrinsics."""
    read = set()

    def get(self, name):
        caller = Path(sys._getframe(1).f_code.co_filename).name
        if name in OPTION_FIELDS and "option" not in caller and caller != "dataclasses.py":  # a copy is no use
            read.add(name)
        return object.__getattribute__(self, name)

    monkeypatch.setattr(Options, "__getattribute__", get)
    evaluate(with_images)
    shown = {name for name, field in OPTION_FIELDS.items() if DEPTH_EVALUATION.shows(name, field.metadata["group"])}
    assert read - {"seed", "kitti_mean_intrinsics"} <= shown and "batch_size" in read


def test_a_missing_image_is_reported_before_predicting(with_images, tmp_path, capsys):
    (tmp_path / "a/second/image_03/data/0000000005.jpg").unlink()
    with pytest.raises(DataError, match=rf"1 of the 3 test frames are missing, the first is '{NAMES[1]}'"):
        evaluate(with_images)
    assert "Predicting" not in capsys.readouterr().out


def test_training_frames_are_not_scored(with_images, case, tmp_path):
    (case.split / "train_files.txt").write_text("a/first 1 l\n")
    (tmp_path / "opt.json").write_text(json.dumps(Options(split=str(case.split), data_path=str(tmp_path)).as_dict()))
    with pytest.raises(DataError, match="1 of the 3 frames to score"):  # as a neighbour
        evaluate(with_images)
    assert not (tmp_path / "w/metrics.json").exists()
    assert evaluate(with_images.replace(eval_trained_frames=True)) is not None


def test_eval_max_depth_sets_the_cap(case, capsys):
    # No truth is as near as 1 m.
    with pytest.raises(DataError, match=r"0\.001 to 1 m"):
        case.evaluate(eval_max_depth=1.0)
    assert case.evaluate(eval_max_depth=50.0)["abs_rel"] < 1e-5
    assert "cap 50 m" in capsys.readouterr().out


def test_eigen_to_benchmark_needs_the_benchmark_split(case, tmp_path):
    (tmp_path / "splits/benchmark").mkdir(parents=True)
    (tmp_path / "splits/benchmark/test_files.txt").write_text("image 0\n")
    np.save(tmp_path / "splits/benchmark/eigen_to_benchmark_ids.npy", np.array([0, 2]))
    with pytest.raises(DataError, match=r"2 frames, .* 3 test frames.*--eval_split eigen_benchmark"):
        case.evaluate(eval_eigen_to_benchmark=True)
