"""Build networks by name. The names are in ``common.registry``: a new network is a file and a line there."""

from collections.abc import Sequence

from paddle import nn

from common.registry import DEPTH_NETWORKS, POSE_ENCODERS, load

DEFAULT_NETWORK = "resnet18"


def build_depth_network(name: str, scales: Sequence[int]) -> tuple[nn.Layer, nn.Layer]:
    """Build the encoder and decoder of a depth network.

    Args:
        name: a key of ``DEPTH_NETWORKS``.
        scales: scales of the disparity; scale s has 1 / 2**s of the input size.

    Returns:
        ``encoder``: (B, 3, H, W) in [0, 1] -> features, finest first; it has ``num_ch_enc`` (their channels) and
        ``strides`` (input size over feature size). ``decoder``: features -> {scale: (B, 1, H / 2**s, W / 2**s) in
        [0, 1]}; it has ``scales``.

    Raises:
        ValueError: the decoder cannot produce one of the scales.
    """
    return load(DEPTH_NETWORKS, name)(name, scales)


def build_pose_encoder(name: str, num_input_images: int) -> nn.Layer:
    """Build an encoder of stacked images, (B, 3 * num_input_images, H, W); ``name`` is a key of ``POSE_ENCODERS``."""
    return load(POSE_ENCODERS, name)(name, num_input_images)


def pose_encoder_name(pose_network: str | None, depth_network: str) -> str:
    """Return the pose encoder's name: the one given, else the depth network's where it can encode pairs."""
    return pose_network or (depth_network if depth_network in POSE_ENCODERS else DEFAULT_NETWORK)
