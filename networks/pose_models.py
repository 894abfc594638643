"""Pose models: the networks of each ``--pose_model_type`` and their inputs (paper, section 3.3 and supplementary)."""

from collections.abc import Mapping, Sequence

import paddle
from paddle import Tensor, nn

from networks.build import build_pose_encoder
from networks.pose_cnn import PoseCNN
from networks.pose_decoder import PoseDecoder

Networks = dict[str, nn.Layer]


class PoseModel:
    """The networks that predict camera motion, by role.

    Attributes:
        roles: networks of the whole model that motion needs.
        reads_features: the inputs are the depth encoder's coarsest features instead of images.
        scales_translation: the loss multiplies the translation by the mean inverse depth (Wang et al., 2018).
        has_features: ``features`` returns feature maps, from which intrinsics can be predicted.
    """

    roles: tuple[str, ...]
    reads_features = False
    scales_translation = False
    has_features = True

    @staticmethod
    def build(encoder_name: str, num_ch_enc: Sequence[int], num_images: int) -> Networks:
        """Build the networks by role; ``pose`` maps ``features`` to axis angle and translation.

        Args:
            encoder_name: a key of ``POSE_ENCODERS``.
            num_ch_enc: channels of the depth encoder's features, finest first.
            num_images: images seen at once.
        """
        raise NotImplementedError

    @staticmethod
    def features(networks: Mapping[str, nn.Layer], inputs: Sequence[Tensor]) -> list[Tensor] | Tensor:
        """Return what ``pose`` takes, from the images (B, 3, H, W), or features, of the frames seen at once."""
        raise NotImplementedError


class SeparatePoseModel(PoseModel):
    """A pose encoder on the stacked images. For pairs, the published decoder predicts two motions and uses one."""

    roles = ("pose_encoder", "pose")

    @staticmethod
    def build(encoder_name: str, num_ch_enc: Sequence[int], num_images: int) -> Networks:
        """As ``PoseModel.build``."""
        pose_encoder = build_pose_encoder(encoder_name, num_images)
        num_motions = max(2, num_images - 1)
        decoder = PoseDecoder(pose_encoder.num_ch_enc, num_input_features=1, num_motions=num_motions)
        return {"pose_encoder": pose_encoder, "pose": decoder}

    @staticmethod
    def features(networks: Mapping[str, nn.Layer], inputs: Sequence[Tensor]) -> list[Tensor] | Tensor:
        """As ``PoseModel.features``."""
        return [networks["pose_encoder"](paddle.concat(list(inputs), axis=1))[-1]]


class SharedPoseModel(PoseModel):
    """A decoder on the depth encoder's features of all images."""

    roles = ("encoder", "pose")
    reads_features = True

    @staticmethod
    def build(encoder_name: str, num_ch_enc: Sequence[int], num_images: int) -> Networks:
        """As ``PoseModel.build``."""
        return {"pose": PoseDecoder(num_ch_enc, num_input_features=num_images, num_motions=num_images - 1)}

    @staticmethod
    def features(networks: Mapping[str, nn.Layer], inputs: Sequence[Tensor]) -> list[Tensor] | Tensor:
        """As ``PoseModel.features``."""
        return list(inputs)


class PoseCNNModel(PoseModel):
    """A small network on the stacked images. Its translation is in units of the frame's predicted mean depth."""

    roles = ("encoder", "depth", "pose")
    scales_translation = True
    has_features = False

    @staticmethod
    def build(encoder_name: str, num_ch_enc: Sequence[int], num_images: int) -> Networks:
        """As ``PoseModel.build``."""
        return {"pose": PoseCNN(num_images)}

    @staticmethod
    def features(networks: Mapping[str, nn.Layer], inputs: Sequence[Tensor]) -> list[Tensor] | Tensor:
        """As ``PoseModel.features``."""
        return paddle.concat(list(inputs), axis=1)
