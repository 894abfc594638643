"""The model of Monodepth2: a batch in; disparities, motions and, if asked for, intrinsics out."""

from collections.abc import Mapping, Sequence

import paddle
from paddle import Tensor, nn
from paddle.distributed.fleet.utils import recompute as recomputed

from common.registry import POSE_MODELS, load
from layers.blocks import use_operators
from layers.geometry import transformation_from_parameters
from networks.build import DEFAULT_NETWORK, build_depth_network, pose_encoder_name
from networks.depth_decoder import DepthDecoder
from networks.intrinsics_decoder import IntrinsicsDecoder, intrinsics_outputs


class Monodepth(nn.Layer):
    """The networks of one training set-up, each an attribute named by its role.

    Roles: ``encoder`` and ``depth`` always; ``pose`` where there are temporal sources; ``pose_encoder`` unless pose
    shares the encoder or is a PoseCNN; ``predictive_mask`` and ``intrinsics`` if asked for.

    A model is any layer with this interface, listed in ``common.registry.MODELS``: the constructor takes options by
    their names, ``forward`` maps a batch to outputs, ``networks`` names what is saved, and ``for_depth`` and
    ``depth_frames`` define how depth alone is predicted.

    Args:
        depth_network: a key of ``DEPTH_NETWORKS``.
        pose_network: a key of ``POSE_ENCODERS``; None takes the depth network's encoder where there is one.
        frame_ids: frame 0 first, then the temporal sources; without "s".
        scales: scales of the disparity; scale s has 1 / 2**s of the input size.
        pose_model_type: a key of ``POSE_MODELS``.
        pose_model_input: "pairs", or "all" frames at once.
        predictive_mask: predict a mask with one channel per source of the loss.
        use_stereo: the loss has the stereo frame as a source, too.
        learn_intrinsics: predict the intrinsics from the pose network's features.
        recompute: recompute the depth decoder's features in the backward pass instead of storing them.
    """

    depth_frames: tuple[int, ...] = (0,)
    """Frames that disparity is predicted from."""

    def __init__(
        self,
        *,
        depth_network: str = DEFAULT_NETWORK,
        pose_network: str | None = None,
        frame_ids: Sequence[int] = (0, -1, 1),
        scales: Sequence[int] = (0, 1, 2, 3),
        pose_model_type: str = "separate_resnet",
        pose_model_input: str = "pairs",
        predictive_mask: bool = False,
        use_stereo: bool = False,
        learn_intrinsics: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.frame_ids = tuple(frame_ids)
        self.temporal_sources = self.frame_ids[1:]
        self.scales = tuple(scales)
        self.pose_model = load(POSE_MODELS, pose_model_type)
        self.pose_model_input = pose_model_input
        self.recompute = recompute
        self.encoder, self.depth = build_depth_network(depth_network, self.scales)
        self.roles = ["encoder", "depth"]
        num_ch_enc = self.encoder.num_ch_enc
        if self.temporal_sources:
            num_images = len(self.frame_ids) if pose_model_input == "all" else 2
            encoder_name = pose_encoder_name(pose_network, depth_network)
            for role, network in self.pose_model.build(encoder_name, num_ch_enc, num_images).items():
                self._add(role, network)
            if learn_intrinsics:
                pose_encoder = getattr(self, "pose_encoder", self.encoder)
                images = num_images if self.pose_model.reads_features else 1
                self._add("intrinsics", IntrinsicsDecoder(pose_encoder.num_ch_enc[-1] * images))
        if predictive_mask:
            num_sources = len(self.temporal_sources) + use_stereo
            self._add("predictive_mask", DepthDecoder(num_ch_enc, self.scales, num_sources, self.encoder.strides))
        use_operators(self)

    def _add(self, role: str, network: nn.Layer) -> None:
        self.add_sublayer(role, network)
        self.roles.append(role)

    @classmethod
    def for_depth(cls, **settings) -> "Monodepth":
        """Build only the networks that predict depth, at the finest scale.

        Args:
            settings: those of the whole model, as its constructor takes them.
        """
        return cls(**{**settings, "frame_ids": (0,), "scales": (0,), "predictive_mask": False})

    @classmethod
    def for_motion(cls, **settings) -> "Monodepth":
        """Build a model whose ``pose_model.roles`` predict motion; pairs need only the frame after the target."""
        frame_ids = settings.get("frame_ids", (0, -1, 1)) if settings.get("pose_model_input") == "all" else (0, 1)
        minimal = {"frame_ids": frame_ids, "scales": (0,), "predictive_mask": False, "learn_intrinsics": False}
        return cls(**{**settings, **minimal})

    def networks(self) -> dict[str, nn.Layer]:
        """Role -> network."""
        return {role: getattr(self, role) for role in self.roles}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Predict disparities and motions.

        Args:
            batch: "color_aug/F/0" (B, 3, H, W) in [0, 1] for all ``frame_ids``; with ``intrinsics`` also "K/0"
                (B, 4, 4) of the dataset, for the pixel aspect ratio fy / fx (1 without it).

        Returns:
            "disp/S" (B, 1, H / 2**S, W / 2**S) in [0, 1] for every scale; "T_target_to_source/F" (B, 4, 4), from frame
            0 to every temporal source; "predictive_mask/S" if there is one; with ``intrinsics``, "K/S" and "inv_K/S"
            (B, 4, 4) in pixels of every scale, averaged over the pairs of frames.
        """
        if self.pose_model.reads_features and self.temporal_sources:
            features = self._features_of_all(batch)
            pose_inputs = {f: features[f][-1] for f in self.frame_ids}
        else:
            features = {0: self.encode_target(batch)}
            pose_inputs = {f: batch[f"color_aug/{f}/0"] for f in self.frame_ids}
        outputs = {f"disp/{s}": disp for s, disp in self._decode(features[0]).items()}
        if "predictive_mask" in self.roles:
            outputs.update({f"predictive_mask/{s}": mask for s, mask in self.predictive_mask(features[0]).items()})
        motions, pose_features = self._predict_motions(pose_inputs)
        outputs.update(motions)
        if "intrinsics" in self.roles:
            height, width = batch["color_aug/0/0"].shape[2:]
            outputs.update(self._predict_intrinsics(pose_features, height, width, batch.get("K/0")))
        return outputs

    def encode_target(self, batch: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """Return the features that the disparity of frame 0 is decoded from, finest first."""
        return self.encoder(batch["color_aug/0/0"])

    def disparities(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Predict "disp/S" as in ``forward``, from the ``depth_frames`` alone."""
        return {f"disp/{s}": disp for s, disp in self._decode(self.encode_target(batch)).items()}

    def motions(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Predict "T_target_to_source/F" as in ``forward``, and run only the networks that this needs."""
        if self.pose_model.reads_features:
            inputs = {f: levels[-1] for f, levels in self._features_of_all(batch).items()}
        else:
            inputs = {f: batch[f"color_aug/{f}/0"] for f in self.frame_ids}
        return self._predict_motions(inputs)[0]

    def _decode(self, features: Sequence[Tensor]) -> Mapping[int, Tensor]:
        if not (self.recompute and self.training):
            return self.depth(features)
        # Paddle's recomputation takes and returns tensors, not dicts.
        disps = recomputed(lambda *levels: tuple(self.depth(levels)[s] for s in self.depth.scales), *features)
        return dict(zip(self.depth.scales, disps, strict=True))

    def _features_of_all(self, batch: Mapping[str, Tensor]) -> dict[int, list[Tensor]]:
        """Return the encoder's features of every frame, finest first."""
        stacked = self.encoder(paddle.concat([batch[f"color_aug/{f}/0"] for f in self.frame_ids], axis=0))
        by_scale = [level.split(len(self.frame_ids), axis=0) for level in stacked]
        return {f: [level[i] for level in by_scale] for i, f in enumerate(self.frame_ids)}

    def _predict_motions(self, inputs: Mapping[int, Tensor]) -> tuple[dict[str, Tensor], list]:
        """Return "T_target_to_source/F" for every temporal source, and what each run of the pose network saw.

        Args:
            inputs: frame -> its image (B, 3, H, W) or, if the pose model reads features, its coarsest features.
        """
        motions: dict[str, Tensor] = {}
        if self.pose_model_input == "all" and self.temporal_sources:
            features = self._pose_features([inputs[f] for f in self.frame_ids])
            axis_angle, translation = self._predict_pose(features)
            for i, f in enumerate(self.temporal_sources):
                motions[f"T_target_to_source/{f}"] = _transformation(axis_angle[:, i], translation[:, i])
            return motions, [features]
        seen = []
        for f in self.temporal_sources:
            # In temporal order, so that the network always sees the camera's motion forward.
            first, second = (f, 0) if f < 0 else (0, f)
            features = self._pose_features([inputs[first], inputs[second]])
            axis_angle, translation = self._predict_pose(features)
            motions[f"T_target_to_source/{f}"] = _transformation(axis_angle[:, 0], translation[:, 0], invert=f < 0)
            seen.append(features)
        return motions, seen

    def _pose_features(self, inputs: Sequence[Tensor]) -> list[Tensor] | Tensor:
        return self.pose_model.features(self.networks(), inputs)

    def _predict_pose(self, features: list[Tensor] | Tensor) -> tuple[Tensor, Tensor]:
        """Return axis angle and translation, in float32 also under mixed precision."""
        axis_angle, translation = self.pose(features)
        return axis_angle.astype("float32"), translation.astype("float32")

    def _predict_intrinsics(
        self, seen: Sequence[Sequence[Tensor]], height: int, width: int, K: Tensor | None
    ) -> dict[str, Tensor]:
        """Return "K/S" and "inv_K/S", averaged over what the pose network saw; in float32, as ``_transformation``."""
        with paddle.amp.auto_cast(enable=False):
            aspect = None if K is None else K[:, 1, 1] / K[:, 0, 0]
            each = [self.intrinsics([f.astype("float32") for f in level], height, width, aspect) for level in seen]
            return intrinsics_outputs(sum(each) / len(each), self.scales)


def _transformation(axis_angle: Tensor, translation: Tensor, invert: bool = False) -> Tensor:
    """Return the rigid transform, (B, 4, 4), in float32 also under mixed precision."""
    with paddle.amp.auto_cast(enable=False):
        return transformation_from_parameters(axis_angle, translation, invert)
