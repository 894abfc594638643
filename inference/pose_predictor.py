"""Camera motion: ``PosePredictor.from_folder(folder)`` predicts how the camera moves from frame to frame."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor

from common.errors import WeightsError
from datasets.batch import prepare_batch
from inference.depth_predictor import to_scaled_disp
from inference.network_weights import input_size, load_networks
from networks.monodepth import Monodepth
from serialization.weights_folder import WeightsInfo, read_weights_info, roles_in

# What predicting motion needs of a model; PoseCNN's counts in the frame's mean depth.
POSE_ROLES = {
    "separate_resnet": ("pose_encoder", "pose"),
    "shared": ("encoder", "pose"),
    "posecnn": ("encoder", "depth", "pose"),
}


class PosePredictor:
    """The pose network of a model in evaluation mode: how the camera moves from frame to frame.

    Args:
        model: the networks; its ``frame_ids`` are what the pose network sees.
        size: (height, width) of the images to be given.
        min_depth, max_depth: what disparity 1 and 0 stand for, scene units; PoseCNN alone needs them.

    Attributes:
        frame_ids: frames to give, relative to the one that motions start from, which is 0.
        info: what the weights were trained for; None where they do not say, or come from no folder.
    """

    def __init__(
        self, model: Monodepth, size: tuple[int, int], *, min_depth: float = 0.1, max_depth: float = 100.0
    ) -> None:
        self.model = model
        self.size = size
        self.depth_range = (min_depth, max_depth)
        self.frame_ids = model.frame_ids
        self.info: WeightsInfo | None = None
        model.eval()

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        num_layers: int = 18,
        pose_model_type: str = "separate_resnet",
        pose_model_input: str = "pairs",
        frame_ids: Sequence[int] = (0, -1, 1),
        height: int | None = None,
        width: int | None = None,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
    ) -> "PosePredictor":
        """Loads the networks that predicting motion needs from a weights folder.

        Args:
            folder: holds the model's ``POSE_ROLES`` in a format of ``serialization.weights_folder``.
            num_layers, pose_model_type, pose_model_input, frame_ids, min_depth, max_depth: as in training.
            height, width: of the images; None takes the weights' own, and 192 and 640 where they do not say.

        Raises:
            WeightsError: something is missing, damaged, or does not fit.
        """
        info = read_weights_info(folder)
        roles = POSE_ROLES[pose_model_type]
        _check_pose_roles(Path(folder), roles, pose_model_type)
        model = Monodepth(
            num_layers=num_layers,
            # Of pairs, one is enough: it is what the camera does forward in time.
            frame_ids=frame_ids if pose_model_input == "all" else (0, 1),
            scales=(0,),
            pose_model_type=pose_model_type,
            pose_model_input=pose_model_input,
        )
        load_networks(folder, {role: model.networks()[role] for role in roles}, num_layers)
        predictor = cls(model, input_size(info, height, width), min_depth=min_depth, max_depth=max_depth)
        predictor.info = info
        return predictor

    @paddle.no_grad()
    def predict(self, images: Mapping[int, Tensor]) -> dict[int, np.ndarray]:
        """Motions of a batch.

        Args:
            images: frame id -> (B, 3, H, W) in [0, 1], of the predictor's size, for all ``frame_ids``.

        Returns:
            Frame id f, but for 0 -> float64 (B, 4, 4), T_target_to_source from frame 0 to frame f, scene units.
        """
        if self.model.pose_model_type == "posecnn":
            outputs = self.model(images)
            # As the loss takes them: times the mean inverse depth.
            scale = to_scaled_disp(outputs["disp", 0], *self.depth_range).mean(axis=(1, 2))[:, np.newaxis]
        else:
            outputs, scale = self.model.motions(images), 1.0
        motions = {}
        for f in self.frame_ids[1:]:
            motions[f] = outputs["cam_T_cam", 0, f].numpy().astype(np.float64)
            motions[f][:, :3, 3] *= scale
        return motions

    def predict_all(self, batches: Iterable[Mapping]) -> dict[int, np.ndarray]:
        """As ``predict``, of all frames of a loader, in its order: frame id -> (N, 4, 4)."""
        predictions = []
        for batch in batches:
            colours = prepare_batch({("color", f, 0): batch["color", f, 0] for f in self.frame_ids}, scales=(0,))
            predictions.append(self.predict({f: colours["color", f, 0] for f in self.frame_ids}))
        return {f: np.concatenate([motions[f] for motions in predictions]) for f in self.frame_ids[1:]}

    def targets(self, num_frames: int) -> range:
        """Which frames of a drive, counted from 0, have all of ``frame_ids`` in it."""
        return range(-min(self.frame_ids), num_frames - max(self.frame_ids))


def _check_pose_roles(folder: Path, roles: Sequence[str], pose_model_type: str) -> None:
    """Says what to do where a folder of weights lacks what a pose model needs; other faults are told on loading."""
    held = roles_in(folder)
    missing = [role for role in roles if role not in held]
    if not held or not missing:
        return
    todo = "name the model that they were trained with: --pose_model_type separate_resnet, shared or posecnn"
    if "pose" in missing:
        todo = "weights trained on stereo pairs alone predict no motion; name weights that were trained on video"
    raise WeightsError(
        f"{folder} has no {' and no '.join(missing)}, which --pose_model_type {pose_model_type} needs; it holds "
        f"{', '.join(sorted(held))}: {todo}."
    )
