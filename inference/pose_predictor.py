"""Predict camera motion from frame to frame: ``PosePredictor.from_folder(folder)``."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from common.errors import WeightsError
from datasets.batch import prepare_batch
from inference.depth_predictor import to_scaled_disp
from inference.network_weights import DEFAULT_DEPTH_RANGE, depth_range, input_size, load_networks, model_of
from serialization.weights_download import resolve_weights
from serialization.weights_folder import WeightsInfo, read_weights_info, roles_in


class PosePredictor:
    """Pose network of a model in evaluation mode.

    Args:
        model: Model built with its ``for_motion``; its ``frame_ids`` are the input frames of the pose network.
        size: (height, width) of the network input.
        min_depth, max_depth: Depth at disparity 1 and 0, scene units; only PoseCNN uses them.

    Attributes:
        frame_ids: Input frames, relative to frame 0, where the motions start.
        info: Training settings stored with the weights; None if there are none.
    """

    def __init__(
        self,
        model: nn.Layer,
        size: tuple[int, int],
        *,
        min_depth: float = DEFAULT_DEPTH_RANGE[0],
        max_depth: float = DEFAULT_DEPTH_RANGE[1],
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
        height: int | None = None,
        width: int | None = None,
        min_depth: float | None = None,
        max_depth: float | None = None,
        **settings: Any,
    ) -> "PosePredictor":
        """Build the networks of a weights folder that predict motion, and load their weights.

        Args:
            folder: Folder with the networks, or the name of published weights, as for ``DepthPredictor``.
            height, width: Input size of the network; None uses that of the weights, else 192 and 640.
            min_depth, max_depth: Scene units; None uses those of the weights, else 0.1 and 100.
            settings: Model settings (``depth_network``, ``pose_network``, ``pose_model_type``, ``pose_model_input``,
                ``frame_ids``); missing ones and None use those of the weights.

        Raises:
            WeightsError: A file is missing or damaged, or does not fit the networks.
        """
        folder = resolve_weights(folder)
        info = read_weights_info(folder)
        model_class, settings = model_of(folder, info, **settings)
        model = model_class.for_motion(**settings)
        roles = model.pose_model.roles
        _check_pose_roles(Path(folder), roles, settings.get("pose_model_type", "separate_resnet"))
        load_networks(folder, {role: model.networks()[role] for role in roles})
        nearest, farthest = depth_range(info, min_depth, max_depth)
        predictor = cls(model, input_size(info, height, width), min_depth=nearest, max_depth=farthest)
        predictor.info = info
        return predictor

    @paddle.no_grad()
    def predict(self, batch: Mapping[str, Tensor]) -> dict[int, np.ndarray]:
        """Predict the motions of a batch.

        Args:
            batch: "color_aug/F/0" (B, 3, H, W) in [0, 1], at the input size, for all ``frame_ids``.

        Returns:
            Frame id f, except 0 -> float64 (B, 4, 4), T_target_to_source from frame 0 to frame f, scene units.
        """
        if self.model.pose_model.scales_translation:
            outputs = self.model(batch)
            # Scale translations by the mean inverse depth, as the loss does.
            scale = to_scaled_disp(outputs["disp/0"], *self.depth_range).mean(axis=(1, 2))[:, np.newaxis]
        else:
            outputs, scale = self.model.motions(batch), 1.0
        motions = {}
        for f in self.frame_ids[1:]:
            motions[f] = outputs[f"T_target_to_source/{f}"].numpy().astype(np.float64)
            motions[f][:, :3, 3] *= scale
        return motions

    def predict_all(self, batches: Iterable[Mapping]) -> dict[int, np.ndarray]:
        """Predict all frames of a loader in its order: frame id -> (N, 4, 4), as in ``predict``."""
        predictions = []
        for batch in batches:
            colours = prepare_batch({f"color/{f}/0": batch[f"color/{f}/0"] for f in self.frame_ids}, scales=(0,))
            predictions.append(self.predict({f"color_aug/{f}/0": colours[f"color/{f}/0"] for f in self.frame_ids}))
        return {f: np.concatenate([motions[f] for motions in predictions]) for f in self.frame_ids[1:]}

    def targets(self, num_frames: int) -> range:
        """Return the frames of a drive, counted from 0, whose ``frame_ids`` are all in the drive."""
        return range(-min(self.frame_ids), num_frames - max(self.frame_ids))


def _check_pose_roles(folder: Path, roles: Sequence[str], pose_model_type: str) -> None:
    """Raise an error with advice if the weights folder lacks a role of the pose model; loading reports other errors."""
    held = roles_in(folder)
    missing = [role for role in roles if role not in held]
    if not held or not missing:
        return
    todo = "Pass the model that they were trained with: --pose_model_type separate_resnet, shared or posecnn"
    if "pose" in missing:
        todo = "Weights trained only on stereo pairs predict no motion; choose weights trained on video"
    raise WeightsError(
        f"{folder} has no {' and no '.join(missing)}, which --pose_model_type {pose_model_type} needs; it contains "
        f"{', '.join(sorted(held))}. {todo}."
    )
