"""DepthPredictor, and post-processing against the reference."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from common.errors import DataError, WeightsError
from inference.depth_predictor import DepthPredictor, mirror_disagreement, post_process_disparity
from networks.monodepth import Monodepth
from serialization.pdparams import read_pdparams, write_pdparams
from serialization.weights_folder import save_weights


@pytest.fixture(scope="module")
def predictor():
    paddle.seed(1)
    return DepthPredictor(Monodepth(frame_ids=(0,)), (64, 96))


@pytest.fixture
def folder(predictor, tmp_path):
    """Saved weights of the predictor, without a manifest, so that tests may edit them."""
    networks = predictor.model.networks()
    save_weights(tmp_path / "w", networks, {"height": 64, "width": 96, "use_stereo": False})
    (tmp_path / "w" / "manifest.json").unlink()
    return tmp_path / "w"


def test_post_processing_matches_the_reference(load_reference):
    arrays = load_reference("evaluation.npz")
    disp = arrays["pred_disp"]
    result = post_process_disparity(disp, disp[:, :, ::-1] * 1.1)
    np.testing.assert_allclose(result, arrays["post_processed"], rtol=1e-6)


def test_prediction_is_scaled_disparity_at_the_input_size(predictor):
    disps = predictor.predict({"color_aug/0/0": paddle.rand([2, 3, 64, 96])})
    assert disps.dtype == np.float32 and disps.shape == (2, 64, 96)
    assert (disps >= 0.01).all() and (disps <= 10).all()


def test_post_processing_of_a_mirror_image_mirrors_the_prediction(predictor):
    images = paddle.rand([1, 3, 64, 96])
    disps = predictor.predict({"color_aug/0/0": images}, post_process=True)
    mirrored = predictor.predict({"color_aug/0/0": images.flip(3)}, post_process=True)
    np.testing.assert_allclose(mirrored[:, :, ::-1], disps, rtol=1e-4)


def test_uncertainty_is_the_disagreement_with_the_mirrored_image(predictor):
    """By hand from two predictions; post-processing changes the disparity alone, and takes no further prediction."""
    image = noise(64, 96)
    plain, mirrored = predictor(image).scaled_disp, predictor(image[:, ::-1]).scaled_disp[:, ::-1]
    uncertain = predictor(image, uncertainty=True)
    np.testing.assert_allclose(uncertain.uncertainty, np.abs(plain - mirrored), atol=1e-5)
    np.testing.assert_allclose(uncertain.scaled_disp, plain, atol=1e-5)
    batches = []
    forward = predictor.model.forward
    predictor.model.forward = lambda batch: batches.append(len(batch["color_aug/0/0"])) or forward(batch)
    try:
        both = predictor(image, post_process=True, uncertainty=True)
    finally:
        predictor.model.forward = forward
    assert batches == [2]
    np.testing.assert_array_equal(both.uncertainty, uncertain.uncertainty)
    np.testing.assert_array_equal(both.scaled_disp, predictor(image, post_process=True).scaled_disp)
    assert predictor(image).uncertainty is None


def test_disagreement_by_hand():
    found = mirror_disagreement(np.array([[[1.0, 2.0]]]), np.array([[[1.5, 1.0]]]))
    assert found.tolist() == [[[0.5, 1.0]]]


def test_folder_defines_weights_and_size(predictor, folder):
    loaded = DepthPredictor.from_folder(folder)
    assert loaded.size == (64, 96)
    images = paddle.rand([1, 3, 64, 96])
    np.testing.assert_array_equal(
        loaded.predict({"color_aug/0/0": images}), predictor.predict({"color_aug/0/0": images})
    )
    assert DepthPredictor.from_folder(folder, height=128).size == (128, 96)
    (folder / "weights.json").unlink()
    assert DepthPredictor.from_folder(folder).size == (192, 640)


def test_weights_trained_with_other_scales_predict(tmp_path):
    model = Monodepth(frame_ids=(0,), scales=(3, 0))
    save_weights(tmp_path / "w", model.networks(), {"height": 64, "width": 96, "use_stereo": False})
    own = DepthPredictor(model, (64, 96))
    images = paddle.rand([1, 3, 64, 96])
    loaded = DepthPredictor.from_folder(tmp_path / "w")
    np.testing.assert_array_equal(loaded.predict({"color_aug/0/0": images}), own.predict({"color_aug/0/0": images}))


def test_incomplete_weights_are_an_error(folder):
    path = folder / "depth.pdparams"
    arrays = read_pdparams(path)
    del arrays["decoder.10.conv.weight"]
    write_pdparams(path, arrays)
    with pytest.raises(WeightsError, match=r"lacks 1 parameters of depth.*decoder\.10\.conv\.weight"):
        DepthPredictor.from_folder(folder)


def test_unexpected_parameters_are_reported_except_coarser_outputs(folder):
    assert DepthPredictor.from_folder(folder).left_out == ()
    path = folder / "encoder.pdparams"
    write_pdparams(path, {**read_pdparams(path), "stranger.weight": np.ones(3, np.float32)})
    assert DepthPredictor.from_folder(folder).left_out == ("encoder: stranger.weight",)


def noise(height, width, seed=0):
    """uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_images_of_any_size_are_predicted_at_their_size(predictor):
    image = noise(50, 131)
    prediction = predictor(image)
    # Resized by Lanczos to 64 x 96, predicted, and the disparity resized back linearly, pixel borders on borders.
    resized = np.asarray(Image.fromarray(image).resize((96, 64), Image.Resampling.LANCZOS))
    colours = paddle.to_tensor(resized.transpose(2, 0, 1)[np.newaxis].astype(np.float32) / 255)
    disp = predictor.predict({"color_aug/0/0": colours})[0]
    y, x = ((np.arange(n) + 0.5) * m / n - 0.5 for n, m in ((50, 64), (131, 96)))
    along_x = np.stack([np.interp(x, np.arange(96), row) for row in disp])
    expected = np.stack([np.interp(y, np.arange(64), column) for column in along_x.T], axis=1)
    assert prediction.scaled_disp.dtype == prediction.depth.dtype == np.float32
    np.testing.assert_allclose(prediction.scaled_disp, expected, rtol=1e-3)
    np.testing.assert_allclose(prediction.depth, 1 / expected, rtol=1e-3)
    assert not prediction.metric


def test_a_list_of_images_of_any_sizes(predictor):
    images = [noise(50, 131), noise(64, 96, 1), noise(7, 1, 2), noise(40, 60, 3)[:, ::-1]]
    for image, prediction in zip(images, predictor(images), strict=True):
        assert prediction.depth.shape == image.shape[:2]
        np.testing.assert_allclose(prediction.scaled_disp, predictor(image).scaled_disp, rtol=1e-5)
    assert predictor([]) == []


def test_post_processing_of_an_image(predictor):
    image = noise(64, 96)
    plain, blended = predictor(image), predictor(image, post_process=True)
    mirrored = predictor(image[:, ::-1]).scaled_disp[:, ::-1]
    middle = slice(40, 56)
    both = (plain.scaled_disp + mirrored)[:, middle] / 2
    np.testing.assert_allclose(blended.scaled_disp[:, middle], both, rtol=1e-4)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 5)), np.zeros((4, 5, 3)), np.zeros((4, 5, 4), np.uint8), np.zeros((0, 5, 3), np.uint8), [[1, 2]]],
)
def test_invalid_arrays_are_an_error(predictor, image):
    with pytest.raises(DataError, match=r"uint8 \(height, width, 3\)"):
        predictor([image])


def test_depth_is_in_metres_where_the_scale_is_known(predictor, tmp_path):
    networks = predictor.model.networks()
    image = noise(64, 96)
    for use_stereo, scale, factor, metric in (
        (False, None, 1.0, False),
        (True, None, 5.4, True),
        (True, 2.0, 2.0, True),
        (False, 2.0, 2.0, True),
    ):
        save_weights(tmp_path / "w", networks, {"height": 64, "width": 96, "use_stereo": use_stereo})
        prediction = DepthPredictor.from_folder(tmp_path / "w", scale=scale)(image)
        assert prediction.metric == metric
        np.testing.assert_allclose(prediction.depth * prediction.scaled_disp, factor, rtol=1e-6)


def test_checksum_depends_on_the_parameters(folder):
    before = DepthPredictor.from_folder(folder).checksum()
    assert DepthPredictor.from_folder(folder, height=128).checksum() == before
    path = folder / "depth.pdparams"
    arrays = read_pdparams(path)
    arrays["decoder.10.conv.bias"] = arrays["decoder.10.conv.bias"] + 1e-3
    write_pdparams(path, arrays)
    assert DepthPredictor.from_folder(folder).checksum() != before


def test_the_package_exports_both_predictors_without_importing_paddle():
    code = (
        "import sys, inference\n"
        "assert 'paddle' not in sys.modules\n"
        "from inference import DepthPredictor, PosePredictor\n"
        "from inference.depth_predictor import DepthPredictor as depth\n"
        "assert DepthPredictor is depth and PosePredictor.__name__ == 'PosePredictor'\n"
        "assert not hasattr(inference, 'Predictor')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
