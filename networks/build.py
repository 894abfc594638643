"""Which network plays which role. A new network is a file and a line here."""

from collections.abc import Callable, Sequence

from paddle import nn

from networks.depth_decoder import DepthDecoder
from networks.intrinsics_decoder import IntrinsicsDecoder
from networks.pose_cnn import PoseCNN
from networks.pose_decoder import PoseDecoder
from networks.resnet_encoder import ResnetEncoder

Networks = dict[str, nn.Layer]


def _separate_resnet(num_layers: int, num_ch_enc: Sequence[int], num_images: int) -> Networks:
    """A pose encoder on the stacked images; for pairs, the published decoder predicts two motions and uses one."""
    pose_encoder = ResnetEncoder(num_layers, num_input_images=num_images)
    num_motions = max(2, num_images - 1)
    return {
        "pose_encoder": pose_encoder,
        "pose": PoseDecoder(pose_encoder.num_ch_enc, num_input_features=1, num_motions=num_motions),
    }


def _shared(num_layers: int, num_ch_enc: Sequence[int], num_images: int) -> Networks:
    """A decoder on the depth encoder's features of all images."""
    return {"pose": PoseDecoder(num_ch_enc, num_input_features=num_images, num_motions=num_images - 1)}


def _posecnn(num_layers: int, num_ch_enc: Sequence[int], num_images: int) -> Networks:
    """A small network on the stacked images."""
    return {"pose": PoseCNN(num_images)}


POSE_MODELS: dict[str, Callable[[int, Sequence[int], int], Networks]] = {
    "separate_resnet": _separate_resnet,
    "shared": _shared,
    "posecnn": _posecnn,
}


def build_depth_networks(num_layers: int, scales: Sequence[int]) -> Networks:
    """Encoder and depth decoder: all that predicting depth needs."""
    encoder = ResnetEncoder(num_layers)
    return {"encoder": encoder, "depth": DepthDecoder(encoder.num_ch_enc, scales)}


def build_networks(
    *,
    num_layers: int,
    num_frames: int,
    scales: Sequence[int],
    pose_model_type: str,
    pose_model_input: str,
    num_masks: int,
    learn_intrinsics: bool = False,
) -> Networks:
    """All networks of a training set-up, by role.

    Args:
        num_layers: depth of the ResNets, 18 to 152.
        num_frames: frame 0 and its temporal sources; 1 needs no pose network.
        scales: scales of the disparity.
        pose_model_type: a key of ``POSE_MODELS``.
        pose_model_input: "pairs", or "all" frames at once.
        num_masks: channels of the predictive mask; 0 for none.
        learn_intrinsics: add a network that predicts the camera from the pose network's features; PoseCNN has none.
    """
    networks = build_depth_networks(num_layers, scales)
    num_ch_enc = networks["encoder"].num_ch_enc
    if num_frames > 1:
        num_images = num_frames if pose_model_input == "all" else 2
        networks.update(POSE_MODELS[pose_model_type](num_layers, num_ch_enc, num_images))
        if learn_intrinsics:
            num_features = num_ch_enc[-1] * (num_images if pose_model_type == "shared" else 1)
            networks["intrinsics"] = IntrinsicsDecoder(num_features)
    if num_masks:
        networks["predictive_mask"] = DepthDecoder(num_ch_enc, scales, num_output_channels=num_masks)
    return networks
