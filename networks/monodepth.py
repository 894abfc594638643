"""The whole model: images of the frames in, disparities and motions out."""

from collections.abc import Hashable, Mapping, Sequence

import paddle
from paddle import Tensor, nn
from paddle.distributed.fleet.utils import recompute

from layers.geometry import transformation_from_parameters
from networks.build import build_networks
from networks.intrinsics_decoder import intrinsics_outputs


class Monodepth(nn.Layer):
    """The networks of one training set-up, each an attribute named by its role.

    Roles: ``encoder`` and ``depth`` always; ``pose`` where there are temporal sources; ``pose_encoder`` unless pose
    shares the encoder or is a PoseCNN; ``predictive_mask`` and ``intrinsics`` if asked for.

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
        learn_intrinsics: bool = False,
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
            learn_intrinsics=learn_intrinsics,
        )
        self.scales = tuple(scales)
        self.roles = tuple(networks)
        for role, network in networks.items():
            self.add_sublayer(role, network)

    def networks(self) -> dict[str, nn.Layer]:
        """Role -> network."""
        return {role: getattr(self, role) for role in self.roles}

    def forward(self, images: Mapping[int, Tensor], K: Tensor | None = None) -> dict[Hashable, Tensor]:
        """Disparities and motions of a batch.

        Args:
            images: frame id -> (B, 3, H, W) in [0, 1], augmented, for all ``frame_ids``.
            K: (B, 4, 4) of scale 0, as the dataset has it; where ``intrinsics`` are predicted, the pixels have its
                shape (fy / fx), and are square without.

        Returns:
            ("disp", s) for every scale, ("cam_T_cam", 0, f) (B, 4, 4) for every temporal source,
            ("predictive_mask", s) if there is one, and with ``intrinsics`` ("K", s) and ("inv_K", s) (B, 4, 4), pixels
            of every scale: the mean of what each pair of frames says.
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
        motions, pose_features = self._motions(pose_inputs)
        outputs.update(motions)
        if "intrinsics" in self.roles:
            outputs.update(self._predict_intrinsics(pose_features, *images[0].shape[2:], K))
        return outputs

    def motions(self, images: Mapping[int, Tensor]) -> dict[Hashable, Tensor]:
        """The motions alone, ("cam_T_cam", 0, f) as in `forward`; nothing is run that they do not need."""
        if self.pose_model_type == "shared":
            images = {f: levels[-1] for f, levels in self._features_of_all(images).items()}
        return self._motions(images)[0]

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

    def _motions(self, inputs: Mapping[int, Tensor]) -> tuple[dict[Hashable, Tensor], list]:
        """From images or, in shared mode, features: ("cam_T_cam", 0, f) for every temporal source, and what the pose
        network saw each time that it was run."""
        motions: dict[Hashable, Tensor] = {}
        if self.pose_model_input == "all" and self.temporal_sources:
            features = self._pose_features([inputs[f] for f in self.frame_ids])
            axis_angle, translation = self._predict_pose(features)
            for i, f in enumerate(self.temporal_sources):
                motions["cam_T_cam", 0, f] = _transformation(axis_angle[:, i], translation[:, i])
            return motions, [features]
        seen = []
        for f in self.temporal_sources:
            # In the order of time, so that the network always sees the camera's motion forward.
            first, second = (f, 0) if f < 0 else (0, f)
            features = self._pose_features([inputs[first], inputs[second]])
            axis_angle, translation = self._predict_pose(features)
            motions["cam_T_cam", 0, f] = _transformation(axis_angle[:, 0], translation[:, 0], invert=f < 0)
            seen.append(features)
        return motions, seen

    def _predict_pose(self, features: list[Tensor] | Tensor) -> tuple[Tensor, Tensor]:
        """Axis angle and translation, in float32 whatever the networks compute in."""
        axis_angle, translation = self.pose(features)
        return axis_angle.astype("float32"), translation.astype("float32")

    def _pose_features(self, inputs: Sequence[Tensor]) -> list[Tensor] | Tensor:
        """What the pose network takes: features of each image, or of all together; of PoseCNN the images stacked."""
        if self.pose_model_type == "shared":
            return list(inputs)
        stacked = paddle.concat(list(inputs), axis=1)
        return stacked if self.pose_model_type == "posecnn" else [self.pose_encoder(stacked)[-1]]

    def _predict_intrinsics(
        self, seen: Sequence[Sequence[Tensor]], height: int, width: int, K: Tensor | None
    ) -> dict[Hashable, Tensor]:
        """("K", s) and ("inv_K", s), the mean over what the pose network saw; in float32, as `_transformation`."""
        with paddle.amp.auto_cast(enable=False):
            aspect = None if K is None else K[:, 1, 1] / K[:, 0, 0]
            each = [self.intrinsics([f.astype("float32") for f in level], height, width, aspect) for level in seen]
            return intrinsics_outputs(sum(each) / len(each), self.scales)


def _transformation(axis_angle: Tensor, translation: Tensor, invert: bool = False) -> Tensor:
    """The rigid transform, (B, 4, 4), in float32 in the midst of mixed precision too."""
    with paddle.amp.auto_cast(enable=False):
        return transformation_from_parameters(axis_angle, translation, invert)
