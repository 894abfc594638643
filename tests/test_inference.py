"""Predicting: post-processing against the reference, and the predictor's own behaviour."""

import numpy as np
import paddle
import pytest

from errors import WeightsError
from inference import DepthPredictor, post_process_disparity
from networks.build import build_depth_networks
from serialization.pdparams import read_pdparams, write_pdparams
from serialization.weights_folder import save_weights


@pytest.fixture(scope="module")
def predictor():
    paddle.seed(1)
    return DepthPredictor(**build_depth_networks(18, (0, 1, 2, 3)), size=(64, 96))


@pytest.fixture
def folder(predictor, tmp_path):
    """The predictor's weights, saved."""
    networks = {"encoder": predictor.encoder, "depth": predictor.depth}
    save_weights(tmp_path / "w", networks, {"height": 64, "width": 96, "use_stereo": False})
    return tmp_path / "w"


def test_post_processing_is_the_reference(load_reference):
    arrays = load_reference("evaluation.npz")
    disp = arrays["pred_disp"]
    result = post_process_disparity(disp, disp[:, :, ::-1] * 1.1)
    np.testing.assert_allclose(result, arrays["post_processed"], rtol=1e-6)


def test_prediction_is_scaled_disparity_at_the_input_size(predictor):
    disps = predictor.predict(paddle.rand([2, 3, 64, 96]))
    assert disps.dtype == np.float32 and disps.shape == (2, 64, 96)
    assert (disps >= 0.01).all() and (disps <= 10).all()


def test_post_processing_of_a_mirror_image_mirrors_the_prediction(predictor):
    images = paddle.rand([1, 3, 64, 96])
    disps = predictor.predict(images, post_process=True)
    mirrored = predictor.predict(images.flip(3), post_process=True)
    np.testing.assert_allclose(mirrored[:, :, ::-1], disps, rtol=1e-4)


def test_folder_gives_weights_and_size(predictor, folder):
    loaded = DepthPredictor.from_folder(folder)
    assert loaded.size == (64, 96)
    images = paddle.rand([1, 3, 64, 96])
    np.testing.assert_array_equal(loaded.predict(images), predictor.predict(images))
    assert DepthPredictor.from_folder(folder, height=128).size == (128, 96)
    (folder / "weights.json").unlink()
    assert DepthPredictor.from_folder(folder).size == (192, 640)


def test_weights_trained_with_other_scales_predict(tmp_path):
    networks = build_depth_networks(18, (3, 0))
    save_weights(tmp_path / "w", networks, {"height": 64, "width": 96, "use_stereo": False})
    own = DepthPredictor(**networks, size=(64, 96))
    images = paddle.rand([1, 3, 64, 96])
    loaded = DepthPredictor.from_folder(tmp_path / "w")
    np.testing.assert_array_equal(loaded.predict(images), own.predict(images))


def test_weights_of_a_part_are_refused(folder):
    path = folder / "depth.pdparams"
    arrays = read_pdparams(path)
    del arrays["decoder.10.conv.weight"]
    write_pdparams(path, arrays)
    with pytest.raises(WeightsError, match=r"lacks 1 of the parameters of depth.*decoder\.10\.conv\.weight"):
        DepthPredictor.from_folder(folder)


def test_names_that_match_nothing_are_told_and_the_coarser_outputs_are_not(folder):
    assert DepthPredictor.from_folder(folder).left_out == ()
    path = folder / "encoder.pdparams"
    write_pdparams(path, {**read_pdparams(path), "stranger.weight": np.ones(3, np.float32)})
    assert DepthPredictor.from_folder(folder).left_out == ("encoder: stranger.weight",)
