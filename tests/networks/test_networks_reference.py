"""Networks against numbers of their public implementations, for weights made by a rule from the parameters' names.

The numbers are in NETWORKS_REFERENCE_DIR. Any set of the same form is accepted: other frames, another salt.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import paddle
import pytest

from layers.blocks import IMAGENET_MEAN, IMAGENET_STD
from networks.build import build_depth_network
from networks.cost import count_parameters
from serialization.backbone import read_backbone
from serialization.matching import load_into
from serialization.naming import to_paddle
from serialization.pretrained import EFFICIENTNET_PACKAGE, installed_file
from serialization.published_names import to_own_names

# Name in the reference -> name in the registry.
LITE_MONOS = {f"lite-mono{suffix}": f"lite_mono{suffix.replace('-', '_')}" for suffix in ("", "-small", "-tiny", "-8m")}
ENCODERS = {
    "mobilenetv3_large": "mobilenet_v3_large",
    "convnext_tiny": "convnext_tiny",
    "timm_convnext_tiny": "convnext_tiny",
    "efficientnet_lite0": "efficientnet_lite0",
}
# Largest error allowed, as a share of the array's largest value.
TOLERANCES = {"mobilenetv3_large": 3e-4}
DISP_STEPS = {0: 4, 1: 2, 2: 1}


class Reference(NamedTuple):
    """Content of the folder."""

    meta: dict
    layouts: dict[str, dict[str, list[int]]]
    arrays: dict[str, np.ndarray]
    weight: Callable[[str, str, str, tuple[int, ...]], np.ndarray]

    def weights(self, network: str) -> dict[str, np.ndarray]:
        """Generate the weights of a network, with Paddle's buffer names and layouts."""
        return to_paddle(
            {
                name: np.array(0)
                if name.endswith("num_batches_tracked")
                else self.weight(self.meta["salt"], network, name, tuple(shape))
                for name, shape in self.layouts[network].items()
            }
        )

    def images(self) -> paddle.Tensor:
        """Return the frames as (2, 3, H, W) in [0, 1]."""
        return paddle.to_tensor(self.arrays["images"].astype("float32") / 255)

    def check_features(self, network: str, features: list[paddle.Tensor], images: paddle.Tensor) -> None:
        """Compare channels, strides, statistics and corners."""
        assert [f.shape[1] for f in features] == self.meta["channels"][network]
        assert [images.shape[3] // f.shape[3] for f in features] == self.meta["strides"][network]
        for i, feature in enumerate(features):
            f = feature.numpy()
            found = {"mean": f.mean((2, 3)), "std": f.std((2, 3)), "corner": f[:, :8, :4, :4]}
            for key, value in found.items():
                self.check(f"{network}/feature{i}/{key}", value, TOLERANCES.get(network, 1e-4))

    def check(self, key: str, found: np.ndarray, tolerance: float) -> None:
        """Compare to an array, relative to its largest value."""
        expected = self.arrays[key]
        assert found.shape == expected.shape, key
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max(), key


@pytest.fixture(scope="module")
def reference(networks_reference_dir, weight_by_rule) -> Reference:
    meta, layouts = (json.loads((networks_reference_dir / name).read_text()) for name in ("meta.json", "layouts.json"))
    with np.load(networks_reference_dir / "networks.npz") as arrays:
        return Reference(meta, layouts, dict(arrays), weight_by_rule)


def load_completely(network: paddle.nn.Layer, arrays: dict[str, np.ndarray]) -> None:
    report = load_into(network, arrays, "rule")
    assert not report.missing and not report.unexpected
    network.eval()


def as_seen_by(encoder: paddle.nn.Layer, images: paddle.Tensor) -> paddle.Tensor:
    """Return the images for which the encoder's normalisation gives ImageNet's, which the reference used."""
    theirs = [paddle.to_tensor(v).reshape([1, 3, 1, 1]) for v in (IMAGENET_MEAN, IMAGENET_STD)]
    ours = [paddle.to_tensor(v).reshape([1, 3, 1, 1]) for v in (encoder.image_mean, encoder.image_std)]
    return (images - theirs[0]) / theirs[1] * ours[1] + ours[0]


@pytest.mark.parametrize("network", LITE_MONOS)
def test_lite_mono(reference, network):
    """Features, disparities, gradient norms and the number of parameters."""
    encoder, decoder = build_depth_network(LITE_MONOS[network], (0, 1, 2))
    load_completely(encoder, reference.weights(f"{network}.encoder"))
    load_completely(decoder, reference.weights(f"{network}.depth"))
    assert count_parameters(encoder) + count_parameters(decoder) == reference.meta["parameters"][network]
    images = reference.images()
    features = encoder(images)
    disps = decoder(features)
    reference.check_features(network, features, images)
    for scale, step in DISP_STEPS.items():
        reference.check(f"{network}/disp{scale}", disps[scale].numpy()[..., ::step, ::step], 1e-4)
    loss = sum(disp.mean() for disp in disps.values()) + sum((f**2).mean() for f in features)
    loss.backward()
    by_name = dict(encoder.named_parameters())
    norms = {name: float(by_name[name].grad.norm()) for name in reference.meta["gradient_norms"][network]}
    assert norms == pytest.approx(reference.meta["gradient_norms"][network], rel=1e-3)


@pytest.mark.parametrize("network", ENCODERS)
def test_encoder(reference, network):
    """Features, for each publisher's names."""
    encoder, _ = build_depth_network(ENCODERS[network], (0,))
    load_completely(encoder, to_own_names(ENCODERS[network], reference.weights(network)))
    images = reference.images()
    with paddle.no_grad():
        features = encoder(as_seen_by(encoder, images))
    reference.check_features(network, features, images)


def test_published_imagenet_weights(reference):
    """The weights of the installed package, by our reader and with our normalisation."""
    path = installed_file(EFFICIENTNET_PACKAGE)
    if path is None:
        pytest.skip(f"the package {EFFICIENTNET_PACKAGE} is not installed")
    encoder, _ = build_depth_network("efficientnet_lite0", (0,))
    load_completely(encoder, read_backbone(path, "efficientnet_lite0"))
    images = reference.images()
    with paddle.no_grad():
        features = encoder(images)
    reference.check_features("efficientnet_lite0_imagenet", features, images)
