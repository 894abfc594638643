"""Lockstep steps, the data of both sides, and the original itself where it is available."""

import shutil

import numpy as np
import pytest

from common.environment import cpu_threads
from common.errors import DataError, OptionsError
from options import parse_options
from tools.compare_with_original import parse_command_line
from tools.original import data
from tools.original.checkout import Checkout
from tools.original.comparison import check_options, compare, original_arguments, run_steps
from tools.original.data import generate_world, lockstep_batches, score_with_both
from tools.original.sides import read_batch
from tools.original.verdict import judge_losses, judge_scores

TINY = ["--height", "64", "--width", "96", "--batch_size", "2", "--num_workers", "0", "--use_stereo"]


@pytest.fixture
def options(stereo_drive):
    """Return tiny options on a real drive."""
    return parse_options([*TINY, "--data_path", str(stereo_drive), "--split", "kitti_sample"])


def test_command_line():
    checkout, steps, opt = parse_command_line(["monodepth2", "--steps", "3", "--height", "192"])
    assert (str(checkout), steps) == ("monodepth2", 3)
    assert (opt.height, opt.width, opt.batch_size) == (192, 320, 4)
    for words, message in {
        ("monodepth2", "--steps", "0"): "--steps: got 0, expected an integer of at least 1",
        ("monodepth2", "--step", "3"): "unknown option --step; the nearest is --steps",
        ("monodepth2", "--height", "100"): "--height: got 100, allowed: multiples of 32",
        (): "required: CHECKOUT",
    }.items():
        with pytest.raises(OptionsError, match=message):
            parse_command_line(list(words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--depth_network", "lite_mono"], "--depth_network lite_mono: the original has ResNets only"),
        (["--separate_stereo", "--use_stereo"], "--separate_stereo True: the original has no counterpart"),
        (["--optimizer", "adamw"], "--optimizer adamw: the original has no counterpart. Omit the option"),
        (["--device", "gpu"], "--device gpu: the comparison runs on the CPU"),
    ],
)
def test_options_without_counterpart_are_refused(words, message):
    with pytest.raises(OptionsError, match=message):
        check_options(parse_options(words))
    check_options(parse_options(["--num_layers", "50", "--no_ssim", "--kernels", "off"]))


def test_arguments_of_the_original():
    words = ["--num_layers", "50", "--no_ssim", "--frame_ids", "0", "1", "--learning_rate", "0.001"]
    arguments = " ".join(original_arguments(parse_options(words)))
    for expected in ("--num_layers 50", "--no_ssim", "--frame_ids 0 1", "--learning_rate 0.001", "--scales 0 1 2 3"):
        assert expected in arguments
    assert "--use_stereo" not in arguments and "depth_network" not in arguments


class FakeSide:
    """Answers a step with a multiple of the batch's mean."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def ask(self, name: str, batch_file: str) -> tuple[float, float]:
        assert name == "step"
        return self.factor * float(read_batch(batch_file)["color/0/0"].mean()), self.factor


def test_all_sides_see_the_same_batches(tmp_path):
    batches = ({"color/0/0": np.full((1, 2), i)} for i in range(10))
    losses, seconds = run_steps({"ours": FakeSide(2.0), "original": FakeSide(1.0)}, batches, 3, tmp_path / "b.npz")
    assert losses["ours"].tolist() == [0, 2, 4] and losses["original"].tolist() == [0, 1, 2]
    assert seconds["ours"].tolist() == [2, 2, 2]
    assert next(batches)["color/0/0"][0, 0] == 3  # no batch is lost


def test_batches_are_reproducible_and_not_augmented(options):
    batches, again = lockstep_batches(options), lockstep_batches(options)
    first, second = next(batches), next(batches)
    assert (first["color/0/0"] != second["color/0/0"]).any()
    for key, array in next(again).items():
        assert (array == first[key]).all()
    assert (first["color/0/0"] == first["color_aug/0/0"]).all()
    assert {"color/s/0", "color/-1/0", "K/3", "inv_K/0", "stereo_T"} <= set(first)
    batches.close()
    again.close()


def test_missing_split_is_named(options):
    with pytest.raises(DataError, match="Split 'nosuch' not found"):
        next(lockstep_batches(options.replace(split="nosuch")))


def test_data_that_the_original_does_not_know_is_refused(options, monkeypatch):
    batch = {"color/0/0": np.zeros(1), "distortion": np.zeros(1), "name": []}

    class Loader:
        batch_sampler = type("Sampler", (), {"set_epoch": lambda self, epoch: None})()

        def __iter__(self):
            return iter([batch])

        def close(self):
            pass

    monkeypatch.setattr(data, "build_loader", lambda *arguments, **keywords: Loader())
    with pytest.raises(DataError, match="The samples have distortion, which the original does not know"):
        next(lockstep_batches(options))


class RecordingOriginal:
    """Stands in for the original's process: records what it is to score."""

    def __init__(self) -> None:
        self.asked = []

    def ask(self, *question):
        _, disps, splits, split, mode = question
        depths = np.load(f"{splits}/{split}/gt_depths.npz", allow_pickle=True)["data"]
        self.asked.append((np.load(disps), depths, split, mode))
        return [[0.5] * 7] * len(depths)


def test_both_score_the_same_disparities(options, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "predict_frames", lambda opt, dataset: np.full((len(dataset), 8, 16), 0.1, np.float32))
    original = RecordingOriginal()
    scores = score_with_both(options, original, tmp_path)
    count = len(scores.ours["median"])
    assert count > 3 and np.isfinite(scores.ours["median"]).all()
    for disps, depths, split, _ in original.asked:
        assert disps.shape == (count, 8, 16) and len(depths) == count and split == "eigen"
    assert [mode for *_, mode in original.asked] == ["mono", "stereo"]
    # 10 m and 54 m everywhere: only the first is scaled by the median.
    depth = original.asked[0][1][0]
    rows, columns = (
        slice(*(np.array(shares) * size).astype(int))  # the Eigen crop
        for shares, size in zip(((0.40810811, 0.99189189), (0.03594771, 0.96405229)), depth.shape, strict=True)
    )
    seen = depth[rows, columns]
    seen = seen[(seen > 1e-3) & (seen < 80)]
    assert scores.ours["stereo"][0][0] == pytest.approx(np.mean(np.abs(seen - 54) / seen), rel=1e-5)
    assert scores.ours["median"][0][0] == pytest.approx(np.mean(np.abs(seen - np.median(seen)) / seen), rel=1e-5)


def test_without_test_frames_there_are_no_scores(options, tmp_path):
    (tmp_path / "train_files.txt").touch()
    assert score_with_both(options.replace(split=str(tmp_path)), RecordingOriginal(), tmp_path) is None


def test_generated_world(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "WORLD_FRAMES", 9)
    opt = generate_world(parse_options(TINY), tmp_path / "world")
    batches = lockstep_batches(opt.replace(batch_size=1))
    assert next(batches)["color/s/0"].shape == (1, 3, 64, 96)
    batches.close()


@pytest.mark.slow
def test_original_agrees(original_checkout, options):
    result = compare(options, original_checkout, steps=3)
    losses, scores = judge_losses(result), judge_scores(result.scores)
    assert losses.agrees, losses
    assert scores.agrees, scores
    assert result.threads["repeated"] != result.threads["original"] == cpu_threads()
    assert min(result.peak_memory_mb.values()) > 100


@pytest.mark.slow
def test_another_loss_is_noticed(original_checkout, options, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(original_checkout, changed, ignore=shutil.ignore_patterns(".git"))
    code = (changed / "trainer.py").read_text(encoding="utf-8")
    assert code.count("0.85 *") == 1
    (changed / "trainer.py").write_text(code.replace("0.85 *", "0.851 *"), encoding="utf-8")
    verdict = judge_losses(compare(options, changed, steps=1))
    assert not verdict.agrees and "step 1" in verdict.reason


def test_checkout_of_the_original_is_accepted(original_checkout):
    assert Checkout(original_checkout).parsed_options(original_arguments(parse_options(TINY))).height == 64
