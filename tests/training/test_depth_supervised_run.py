"""Training by known depth alone: what is loaded and built, what is frozen, and a resumed run."""

from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError, OptionsError
from options import Options
from tools.synthetic.streets.world import StreetsWorld
from tools.synthetic.world import generate
from trainer import Trainer
from training.distributed_context import DistributedContext
from training.setup import build_components, build_data

SIZE = {"height": 64, "width": 96}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Three scenes of four images, rendered with few materials to paint."""
    folder = tmp_path_factory.mktemp("worlds") / "world"
    generate(StreetsWorld(**SIZE, frames=12, seed=3), folder, num_workers=0)
    return folder


@pytest.fixture
def options(world, tmp_path):
    def make(**changes) -> Options:
        settings = {
            **{"data_path": str(world), "split": "synthetic", "dataset": "kitti_depth", **SIZE, "batch_size": 2},
            **{"log_dir": str(tmp_path), "num_workers": 0, "weights_init": "scratch", "device": "cpu"},
            **{"depth_network": "efficientnet_lite0", "compile": "off", "kernels": "off", "keep_checkpoints": 5},
            **{"frame_ids": (0,), "supervise_depth": 1.0, "log_frequency": 1, **changes},
        }
        return Options(**settings, explicitly_set=frozenset(settings))

    return make


def test_only_images_and_depth_are_loaded(options):
    sample = build_data(options(), "train").dataset[0]
    assert set(sample) == {"name", "color/0/0", "color_aug/0/0", "map/depth"}
    depth = sample["map/depth"]
    assert depth.shape == (1, 64, 96) and depth.min() > 0 and depth.max() == pytest.approx(255.996, abs=1e-3)
    components = build_components(options(), DistributedContext())
    assert set(components.model.networks()) == {"encoder", "depth"}
    assert set(components.compute_loss.terms) == {"smoothness", "depth"}


def test_depth_is_mirrored_with_the_image(options):
    plain, loader = build_data(options(), "val").dataset, build_data(options(), "train").dataset
    train = loader.replace(lines=plain.lines)
    mirrored = {}
    for epoch in range(30):
        sample = train[0, epoch]
        is_plain = np.array_equal(sample["map/depth"], plain[0]["map/depth"])
        expected = plain[0] if is_plain else {name: plain[0][name][..., ::-1] for name in ("color/0/0", "map/depth")}
        np.testing.assert_array_equal(sample["map/depth"], expected["map/depth"])
        np.testing.assert_array_equal(sample["color/0/0"], expected["color/0/0"])
        mirrored[not is_plain] = True
    assert set(mirrored) == {False, True}


def test_a_split_without_depth_is_refused(options):
    with pytest.raises(DataError, match="--supervise_depth needs ground truth, but no training line has any"):
        build_data(options(dataset="kitti"), "train")


def test_more_stages_than_the_encoder_has_are_refused(options):
    with pytest.raises(OptionsError, match="--freeze_encoder: got 6, allowed: 0 to 5"):
        build_components(options(freeze_encoder=6), DistributedContext())


@pytest.mark.slow
def test_frozen_stages_stay_and_a_resumed_run_is_the_same(options, tmp_path):
    whole = Trainer.from_options(options(max_steps=2, checkpoint_frequency=1, model_name="whole", freeze_encoder=2))
    before = {name: value.numpy() for name, value in whole.model.state_dict().items()}
    whole.train()
    after = {name: value.numpy() for name, value in whole.model.state_dict().items()}
    same = {name for name in before if np.array_equal(before[name], after[name])}
    # The stem and the first three blocks end at a quarter of the size; the depth decoder and the last block learn.
    assert {
        name for name in before if name.startswith(("encoder.stem.", "encoder.blocks.0.", "encoder.blocks.2."))
    } <= same
    assert not any(name.startswith(("depth.", "encoder.blocks.3.expand.conv", "encoder.blocks.15.")) for name in same)
    cut = Trainer.from_options(options(max_steps=1, model_name="cut", freeze_encoder=2))
    cut.train()
    resumed = Trainer.from_options(options(max_steps=2, model_name="cut", freeze_encoder=2, resume="auto"))
    resumed.train()
    for name, value in resumed.model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), after[name], err_msg=name)
