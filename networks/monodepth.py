"""The whole model: images of the frames in, disparities and motions out."""

from collections.abc import Hashable, Mapping, Sequence

import paddle
from paddle import Tensor, nn
from paddle.distributed.fleet.utils import recompute

from layers.geometry import transformation_from_parameters
from networks.build import build_networks


class Monodepth(nn.Layer):
    """The networks of one training set-up, each an attribute named by its role.

    Roles: ``encoder`` and ``depth`` always; ``pose`` where there are temporal sources; ``pose_encoder`` unless pose
    shares the encoder or is a PoseCNN; ``predictive_mask`` if asked for.

    Args:
        frame_ids: frame 0 first, then the temporal sources; without "s".
        num_sources: sources of the loss, the stereo frame counted.
        recompute_decoder: keep none of the depth decoder's features for the backward pass, which makes them again.
        See ``networks.build.build_networks`` for the others.
    """

    def __init__(
        self,
        *,
        num_layers: int = 18,
        frame_ids: Sequence[int] = (0, -1, 1),
        scales: Sequence[int] = (0, 1, 2, 3),
        pose_model_type: str = "separate_resnet",
        pose_model_input: str = "pairs",
        predictive_mask: bool = False,
        num_sources: int = 2,
        recompute_decoder: bool = False,
    ) -> None:
        super().__init__()
        self.recompute_decoder = recompute_decoder
        self.frame_ids = tuple(frame_ids)
        self.temporal_sources = self.frame_ids[1:]
        self.pose_model_type = pose_model_type
        self.pose_model_input = pose_model_input
        networks = build_networks(
            num_layers=num_layers,
            num_frames=len(self.frame_ids),
            scales=scales,
            pose_model_type=pose_model_type,
            pose_model_input=pose_model_input,
            num_masks=num_sources if predictive_mask else 0,
        )
        self.roles = tuple(networks)
        for role, network in networks.items():
            self.add_sublayer(role, network)

    def networks(self) -> dict[str, nn.Layer]:
        """Role -> network."""
        return {role: getattr(self, role) for role in self.roles}

    def forward(self, images: Mapping[int, Tensor]) -> dict[Hashable, Tensor]:
        """Disparities and motions of a batch.

        Args:
            images: frame id -> (B, 3, H, W) in [0, 1], augmented, for all ``frame_ids``.

        Returns:
            ("disp", s) for every scale, ("cam_T_cam", 0, f) (B, 4, 4) for every temporal source, and
            ("predictive_mask", s) if there is one.
        """
        if self.pose_model_type == "shared" and self.temporal_sources:
            features = self._features_of_all(images)
            pose_inputs = {f: features[f][-1] for f in self.frame_ids}
        else:
            features = {0: self.encoder(images[0])}
            pose_inputs = images
        outputs = {("disp", s): disp for s, disp in self._decode(features[0]).items()}
        if "predictive_mask" in self.roles:
            outputs.update((("predictive_mask", s), mask) for s, mask in self.predictive_mask(features[0]).items())
        outputs.update(self._motions(pose_inputs))
        return outputs

    def motions(self, images: Mapping[int, Tensor]) -> dict[Hashable, Tensor]:
        """The motions alone, ("cam_T_cam", 0, f) as in `forward`; nothing is run that they do not need."""
        if self.pose_model_type == "shared":
            return self._motions({f: levels[-1] for f, levels in self._features_of_all(images).items()})
        return self._motions(images)

    def _decode(self, features: Sequence[Tensor]) -> Mapping[int, Tensor]:
        if not (self.recompute_decoder and self.training):
            return self.depth(features)
        # Tensors in, tensors out, as Paddle's recomputation takes and gives them.
        disps = recompute(lambda *levels: tuple(self.depth(levels)[s] for s in self.depth.scales), *features)
        return dict(zip(self.depth.scales, disps, strict=True))

    def _features_of_all(self, images: Mapping[int, Tensor]) -> dict[int, list[Tensor]]:
        """The encoder's features of every frame, finest first."""
        stacked = self.encoder(paddle.concat([images[f] for f in self.frame_ids], axis=0))
        by_scale = [level.split(len(self.frame_ids), axis=0) for level in stacked]
        return {f: [level[i] for level in by_scale] for i, f in enumerate(self.frame_ids)}

    def _motions(self, inputs: Mapping[int, Tensor]) -> dict[Hashable, Tensor]:
        """("cam_T_cam", 0, f) for every temporal source, from images or, in shared mode, features."""
        motions = {}
        if self.pose_model_input == "all" and self.temporal_sources:
            axis_angle, translation = self._predict_pose([inputs[f] for f in self.frame_ids])
            for i, f in enumerate(self.temporal_sources):
                motions["cam_T_cam", 0, f] = _transformation(axis_angle[:, i], translation[:, i])
            return motions
        for f in self.temporal_sources:
            # In the order of time, so that the network always sees the camera's motion forward.
            first, second = (f, 0) if f < 0 else (0, f)
            axis_angle, translation = self._predict_pose([inputs[first], inputs[second]])
            motions["cam_T_cam", 0, f] = _transformation(axis_angle[:, 0], translation[:, 0], invert=f < 0)
        return motions

    def _predict_pose(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Axis angle and translation, in float32 whatever the networks compute in."""
        axis_angle, translation = self._run_pose_network(inputs)
        return axis_angle.astype("float32"), translation.astype("float32")

    def _run_pose_network(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        if self.pose_model_type == "shared":
            return self.pose(inputs)
        stacked = paddle.concat(list(inputs), axis=1)
        if self.pose_model_type == "posecnn":
            return self.pose(stacked)
        return self.pose([self.pose_encoder(stacked)[-1]])


def _transformation(axis_angle: Tensor, translation: Tensor, invert: bool = False) -> Tensor:
    """The rigid transform, (B, 4, 4), in float32 in the midst of mixed precision too."""
    with paddle.amp.auto_cast(enable=False):
        return transformation_from_parameters(axis_angle, translation, invert)
