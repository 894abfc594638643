"""Shapes, sizes and training behaviour of the encoders and decoders that are built by name."""

import numpy as np
import paddle
import pytest

from common.registry import DEPTH_NETWORKS, DEPTH_SCALES, POSE_ENCODERS
from layers.channel_attention import fourier_codes
from layers.drop_path import set_drop_path
from networks.build import build_depth_network, build_pose_encoder
from networks.cost import count_macs, count_parameters
from networks.lite_mono import VARIANTS

NEW_NETWORKS = [name for name in DEPTH_NETWORKS if not name.startswith("resnet")]


@pytest.mark.parametrize("name", NEW_NETWORKS)
@pytest.mark.parametrize("size", [(64, 96), (224, 64)])
def test_any_multiple_of_32_works(name, size):
    """Features have the declared channels and strides, disparities the size of their scale."""
    scales = DEPTH_SCALES.get(name, (0, 1, 2, 3))
    encoder, decoder = build_depth_network(name, scales)
    with paddle.no_grad():
        features = encoder(paddle.rand([2, 3, *size]))
        disps = decoder(features)
    assert [f.shape for f in features] == [
        [2, channels, size[0] // stride, size[1] // stride]
        for channels, stride in zip(encoder.num_ch_enc, encoder.strides, strict=True)
    ]
    assert {s: disp.shape for s, disp in disps.items()} == {s: [2, 1, *(side >> s for side in size)] for s in scales}
    assert all(float(disp.min()) > 0 and float(disp.max()) < 1 for disp in disps.values())


@pytest.mark.parametrize("name", [name for name in POSE_ENCODERS if name in NEW_NETWORKS])
def test_pose_encoders_see_two_images(name):
    features = build_pose_encoder(name, 2)(paddle.rand([1, 6, 64, 96]))
    assert features[-1].shape[2:] == [2, 3]


def test_lite_monos_decoder_names_its_scales():
    with pytest.raises(ValueError, match=r"scales: got \(0, 3\), allowed: 0 to 2"):
        build_depth_network("lite_mono", (0, 3))


@pytest.mark.parametrize(
    ("name", "height", "last"),
    [
        ("lite_mono", 192, (1, 2, 3, 1, 2, 3, 2, 4, 6)),
        ("lite_mono", 224, (1, 2, 5, 1, 2, 5, 2, 4, 10)),
        ("lite_mono_small", 320, (1, 2, 5, 2, 4, 10)),
        ("lite_mono_tiny", 96, (1, 2, 3, 2, 4, 6)),
        ("lite_mono_8m", 320, (1, 2, 3, 1, 2, 3, 2, 4, 6)),
    ],
)
def test_dilations_follow_the_height(name, height, last):
    first = (1, 2, 5) if 5 in last else (1, 2, 3)
    assert VARIANTS[name].dilations(height) == [first, first, last]


def test_all_but_the_unused_norms_of_lite_mono_learn():
    encoder, decoder = build_depth_network("lite_mono_tiny", (0, 1, 2))
    sum(disp.mean() for disp in decoder(encoder(paddle.rand([1, 3, 64, 64]))).values()).backward()
    frozen = {name for name, p in encoder.named_parameters() if p.stop_gradient and "_mean" not in name}
    unused = {name for name in frozen if "_variance" not in name}
    # 3 + 3 + 6 dilated blocks, each with a weight and a bias.
    assert len(unused) == 24 and all(".norm." in name for name in unused)
    assert all(p.grad is not None for p in encoder.parameters() if not p.stop_gradient)


@pytest.mark.parametrize(("name", "blocks"), [("lite_mono", 18), ("lite_mono_small", 15), ("convnext_tiny", 18)])
def test_every_block_can_be_dropped(name, blocks):
    assert set_drop_path(build_depth_network(name, (0,))[0], 0.2) == blocks


def test_fourier_codes():
    """Channels 2i and 2i + 1: sine and cosine of 2 pi position / n / 10000^(i / 16), y before x."""
    codes = fourier_codes(2, 4).numpy()
    assert codes.shape == (1, 64, 2, 4)
    np.testing.assert_allclose(codes[0, :2, 0, 3], [0, -1], atol=1e-5)  # y: 1 of 2
    np.testing.assert_allclose(codes[0, 32:34, 1, 0], [1, 0], atol=1e-5)  # x: 1 of 4
    angle = 2 * np.pi * 3 / 4 / 10000 ** (5 / 16)
    np.testing.assert_allclose(codes[0, 42:44, 0, 2], [np.sin(angle), np.cos(angle)], atol=1e-5)


# Millions of parameters, and GMACs at 640x192: published for Lite-Mono, counted by others for the rest.
COSTS = {
    **{
        "lite_mono_tiny": (2.1, 2.8),
        "lite_mono_small": (2.5, 4.7),
        "lite_mono": (3.1, 5.0),
        "lite_mono_8m": (8.8, 11.2),
    },
    **{"efficientnet_lite0": (5.2, 3.5), "resnet18": (14.3, 8.0)},
}


@pytest.mark.parametrize("name", COSTS)
def test_cost(name):
    encoder, decoder = build_depth_network(name, DEPTH_SCALES.get(name, (0, 1, 2, 3)))
    network = paddle.nn.LayerList([encoder, decoder])
    with paddle.no_grad():
        macs = count_macs(network, lambda: decoder(encoder(paddle.zeros([1, 3, 192, 640]))))
    assert (round(count_parameters(network) / 1e6, 1), round(macs / 1e9, 1)) == COSTS[name]
    assert not any(layer._forward_post_hooks for layer in network.sublayers())
