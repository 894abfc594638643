"""evaluate_depth.py --corruptions: files, agreement with the clean evaluation, a baseline, and a trained model."""

import json
from pathlib import Path

import numpy as np
import paddle
import pytest

from common.errors import DataError
from datasets.corruptions import SEVERITIES
from evaluate_depth import evaluate
from evaluation.corruption_scores import read_corruptions
from evaluation.metrics.depth_metrics import METRIC_NAMES
from networks.monodepth import Monodepth
from options import Options
from serialization.weights_folder import save_weights
from tools.synthetic.world import World, generate
from trainer import Trainer


def options(data: Path, weights: Path, out: Path, split: str, **changes) -> Options:
    settings = {
        **{"data_path": str(data), "load_weights_folder": str(weights), "eval_out_dir": str(out)},
        **{"eval_split": split, "eval_mono": True, "num_workers": 0, "device": "cpu", **changes},
    }
    opt = Options(**settings, explicitly_set=frozenset(settings))
    opt.check_for_evaluation()
    return opt


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Untrained networks."""
    paddle.seed(8)
    folder = tmp_path_factory.mktemp("weights") / "w"
    save_weights(folder, Monodepth.for_depth().networks(), {"height": 64, "width": 96, "use_stereo": True})
    return folder


@pytest.fixture
def split(sample_lines, tmp_path) -> str:
    """Two test frames of the real drive, as a split of their own."""
    (tmp_path / "two").mkdir()
    (tmp_path / "two/test_files.txt").write_text("\n".join(sample_lines["test"][:2]))
    return str(tmp_path / "two")


def test_scores_and_baseline(stereo_drive, weights, split, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    evaluate(options(stereo_drive, weights, first, split, corruptions=("pixelate", "contrast")))
    scores = read_corruptions(first, "two")
    assert scores.names == ("pixelate", "contrast") and np.isfinite(scores.corrupted).all()
    clean = json.loads((first / "metrics_two.json").read_text())
    np.testing.assert_allclose(scores.clean, [clean[name] for name in METRIC_NAMES], rtol=1e-3)
    table = (first / "scores_two/corruptions.md").read_text().splitlines()
    assert table[2].startswith("| pixelate |") and table[-1].startswith("| mean |")
    assert "pass --corruptions_baseline" in capsys.readouterr().out
    baseline = {"corruptions": ("contrast",), "corruptions_baseline": str(first)}
    evaluate(options(stereo_drive, weights, second, split, **baseline))
    again = read_corruptions(second, "two")
    np.testing.assert_array_equal(again.corrupted[0], scores.corrupted[1])  # without the other corruption
    assert again.errors == pytest.approx([1]) and again.baseline == str(first)
    assert f"(mCE) 100.0 % of {first}" in capsys.readouterr().out
    with pytest.raises(DataError, match="scored with protocol"):
        evaluate(options(stereo_drive, weights, second, split, eval_max_depth=50.0, **baseline))
    with pytest.raises(DataError, match=r"has no scores_two/corruptions\.json"):
        evaluate(options(stereo_drive, weights, second, split, **{**baseline, "corruptions_baseline": str(tmp_path)}))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_error_of_a_trained_model_grows_with_severity(tmp_path):
    """Averaged over all corruptions; trained by known depth, which is quick."""
    size = {"height": 64, "width": 96}
    generate(World(**size, frames=120, seed=3), tmp_path / "world", num_workers=2)
    settings = {
        **{"data_path": str(tmp_path / "world"), "split": "synthetic", "dataset": "kitti_depth", **size},
        **{"log_dir": str(tmp_path), "num_workers": 0, "weights_init": "scratch", "device": "cpu", "num_epochs": 5},
        **{"frame_ids": (0,), "supervise_depth": 1.0, "batch_size": 8, "learning_rate": 3e-4},
    }
    opt = Options(**settings, explicitly_set=frozenset(settings))
    Trainer.from_options(opt).train()
    data = {"split": "synthetic", "dataset": "kitti_depth", "corruptions": ("all",)}
    evaluate(options(tmp_path / "world", opt.run_dir / "models/weights_best", tmp_path / "out", **data))
    scores = read_corruptions(tmp_path / "out", "synthetic")
    means = [scores.clean[0], *scores.abs_rel.mean(axis=0)]
    assert len(means) == 1 + len(SEVERITIES) and (np.diff(means) > 0).all(), means
