"""Networks in ONNX Runtime: equal to the layers, kept in the cache, and what happens where that is impossible."""

import sys

import numpy as np
import paddle
import pytest

from inference import fast_network
from inference.depth_predictor import DepthPredictor
from inference.export.model_writers import write_paddle
from inference.export.traced_network import CoreModel
from layers.kernels import ops
from networks.monodepth import Monodepth
from serialization.weights_folder import save_weights

IMAGES = [np.random.default_rng(seed).integers(0, 256, (50, 70, 3), dtype=np.uint8) for seed in range(3)]


@pytest.fixture(scope="module")
def networks():
    paddle.seed(5)
    return Monodepth.for_depth()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Empty cache; the folder of its models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/monodepth-paddle/onnx"


@pytest.fixture
def translations(monkeypatch):
    """List that grows with each translation."""
    made, translate = [], fast_network.to_onnx
    monkeypatch.setattr(fast_network, "to_onnx", lambda *args: made.append(1) or translate(*args))
    return made


def predictor(networks, **settings):
    return DepthPredictor(networks, (64, 96), **{"engine": "auto", **settings})


def assert_equal_results(networks, predictor):
    """Compare with the layers."""
    for post_process in (False, True):
        found = predictor(IMAGES, post_process=post_process)
        expected = DepthPredictor(networks, (64, 96))(IMAGES, post_process=post_process)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.scaled_disp, other.scaled_disp, rtol=1e-4)


def test_results_equal_those_of_the_layers_in_batches_of_any_size(networks, cache):
    fast = predictor(networks)
    assert fast.fast_network is not None
    assert_equal_results(networks, fast)
    np.testing.assert_allclose(fast(IMAGES[0]).depth, fast(IMAGES)[0].depth, rtol=1e-5)


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "efficientnet_lite0", "convnext_tiny", "lite_mono_tiny"])
def test_other_networks_are_translated(name, cache):
    paddle.seed(5)
    networks = Monodepth.for_depth(depth_network=name)
    for weight in networks.parameters():  # some start at 1e-6, which hides what they multiply
        if weight.ndim == 1:
            weight.set_value(weight + 0.1 * paddle.rand(weight.shape))
    fast = predictor(networks)
    assert fast.fast_network is not None
    assert_equal_results(networks, fast)


class Operators:
    """Stand-in for the compiled operators; no engine has them."""

    def __getattr__(self, name: str):
        raise AssertionError(f"{name} was used")


@pytest.fixture
def operators():
    """Enable ``Operators``; in place, because functions that an earlier test has traced hold the list."""
    held = ops._enabled.copy()
    ops._enabled[:] = [Operators()]
    yield
    ops._enabled[:] = held


def test_networks_are_translated_while_a_training_uses_the_operators(networks, cache, monkeypatch, tmp_path, operators):
    with ops.disabled():
        expected = DepthPredictor(networks, (64, 96))(IMAGES)
    monkeypatch.setattr(fast_network, "_compare", lambda *_: None)
    fast = predictor(networks)
    assert fast.fast_network is not None
    for one, other in zip(fast(IMAGES), expected, strict=True):
        np.testing.assert_allclose(one.scaled_disp, other.scaled_disp, rtol=1e-4)
    write_paddle(CoreModel(fast), tmp_path / "model")
    assert b"monodepth_" not in (tmp_path / "model.json").read_bytes()


def test_the_layers_run_unless_the_weights_come_from_a_folder(networks, cache, tmp_path):
    assert DepthPredictor(networks, (64, 96)).fast_network is None
    save_weights(tmp_path / "w", networks.networks(), {"height": 64, "width": 96, "use_stereo": False})
    assert DepthPredictor.from_folder(tmp_path / "w").fast_network is not None
    assert DepthPredictor.from_folder(tmp_path / "w", engine="paddle").fast_network is None
    with pytest.raises(ValueError, match="engine: got 'onnx', allowed: auto, paddle"):
        DepthPredictor(networks, (64, 96), engine="onnx")


def test_the_cache_depends_on_weights_and_settings(networks, cache, translations):
    for _ in range(2):
        assert predictor(networks).fast_network is not None
    assert len(translations) == len(list(cache.glob("*.bin"))) == 1
    bias = networks.depth.decoder[-1].conv.bias
    before = bias.numpy()
    try:
        bias.set_value(before + 1)
        changed = predictor(networks)
        assert_equal_results(networks, changed)
    finally:
        bias.set_value(before)
    assert predictor(networks, max_depth=50).fast_network is not None
    assert len(translations) == len(list(cache.glob("*.bin"))) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
        lambda content: fast_network._checksum(b"no model") + b"no model",
    ],
    ids=["truncated", "empty", "changed", "no model"],
)
def test_a_damaged_file_is_replaced(networks, cache, translations, damage):
    assert predictor(networks).fast_network is not None
    (path,) = cache.glob("*.bin")
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert_equal_results(networks, predictor(networks))
    assert len(translations) == 2 and len(path.read_bytes()) == len(content)
    assert predictor(networks).fast_network is not None
    assert len(translations) == 2


def test_an_unwritable_or_locked_cache_does_not_matter(networks, cache, translations, capsys):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file instead of a folder")
    assert_equal_results(networks, predictor(networks))
    cache.unlink()
    with fast_network.lock_folder(cache / "lock"):
        assert predictor(networks).fast_network is not None
    assert len(translations) == 2 and not list(cache.glob("*.bin")) and not capsys.readouterr().err


def test_the_oldest_models_are_deleted(networks, cache, monkeypatch):
    monkeypatch.setattr(fast_network, "KEPT_MODELS", 2)
    monkeypatch.setattr(fast_network, "_compare", lambda *_: None)
    first, _, third = (f"{fast_network._key(predictor(networks, max_depth=n))}.bin" for n in (10, 20, 30))
    for depth in (10, 20, 10, 30):
        assert predictor(networks, max_depth=depth).fast_network is not None
    assert {path.name for path in cache.glob("*.bin")} == {first, third}


def test_without_onnx_runtime_the_layers_predict(networks, cache, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert_equal_results(networks, predictor(networks))
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1 and "Falling back" in printed and "pip install onnxruntime" in printed


def test_networks_without_a_translation_and_wrong_ones_predict_by_their_layers(networks, cache, monkeypatch, capsys):
    def add_sums(model, inputs, outputs):
        return {name: disp.cumsum(axis=1) for name, disp in outputs.items()}  # one channel: the same values

    hook = networks.register_forward_post_hook(add_sums)
    try:
        assert_equal_results(networks, predictor(networks))
    finally:
        hook.remove()
    assert "pd_op.cumsum" in capsys.readouterr().err
    monkeypatch.setattr(fast_network, "onnx_session", lambda *_: lambda images: np.ones((len(images), 64, 96)))
    assert_equal_results(networks, predictor(networks))
    assert "the translated networks differ from the original ones by" in capsys.readouterr().err
    assert not list(cache.glob("*.bin"))


def test_other_devices_use_the_layers(networks, cache, monkeypatch, capsys):
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")
    assert predictor(networks).fast_network is None and not capsys.readouterr().err
