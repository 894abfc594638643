"""The whole validation split: loss, depth errors where there is ground truth, and which of two results is better."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import paddle

from datasets.batch import prepare_batch
from evaluation.depth_metrics import METRIC_NAMES
from evaluation.depth_protocol import DepthProtocol, evaluate_frame
from inference import to_scaled_disp
from layers.self_supervised_loss import SelfSupervisedLoss
from networks.monodepth import Monodepth
from training.pictures import batch_pictures


@dataclass(frozen=True)
class Validation:
    """What one pass over the validation split gave.

    Attributes:
        scalars: loss, its parts, and the depth errors: median-scaled under their own names and, with a stereo
            factor, scaled by it alone under ``stereo/NAME``.
        depth_frames: how many frames had ground truth.
        pictures: name -> uint8 (H, W, 3), of the first batch.
    """

    scalars: dict[str, float]
    depth_frames: int
    pictures: dict[str, np.ndarray]

    @property
    def criterion(self) -> float:
        """What decides which weights are best, less is better: abs_rel, or the loss where no frame has ground truth."""
        return self.scalars["abs_rel" if self.depth_frames else "loss"]


@paddle.no_grad()
def validate(
    model: Monodepth, compute_loss: SelfSupervisedLoss, batches: Iterable, stereo_factor: float | None = None
) -> Validation:
    """Runs the model on every batch, in evaluation mode; the caller sets training mode again.

    Args:
        batches: collated, with "depth_gt".
        stereo_factor: metres in a scene unit, for weights trained with stereo pairs; None without.
    """
    model.eval()
    compute_loss.eval()
    protocols = {"": DepthProtocol()}
    if stereo_factor:
        protocols["stereo/"] = DepthProtocol(median_scaling=False, scale_factor=stereo_factor)
    sums: dict[str, float] = {}
    count, pictures = 0, {}
    depth_errors: dict[str, list[np.ndarray]] = {prefix: [] for prefix in protocols}
    for raw in batches:
        batch = prepare_batch(raw, compute_loss.scales, compute_loss.v1_multiscale)
        outputs = model({f: batch["color_aug", f, 0] for f in model.frame_ids})
        losses, maps = compute_loss(batch, outputs)
        size = len(batch["name"])
        count += size
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + size * value.item()
        pictures = pictures or batch_pictures(batch, outputs, maps)
        scaled_disps = to_scaled_disp(outputs["disp", 0], *compute_loss.depth_range)
        for disp, gt, name in zip(scaled_disps, batch["depth_gt"], batch["name"], strict=True):
            for prefix, protocol in protocols.items():
                score = None if gt is None else evaluate_frame(disp, np.asarray(gt), protocol, name)
                if score is not None:
                    depth_errors[prefix].append(score.metrics)
    scalars = {name: value / count for name, value in sums.items()}
    for prefix, rows in depth_errors.items():
        if rows:
            means = np.mean(rows, axis=0)
            scalars.update((prefix + name, float(mean)) for name, mean in zip(METRIC_NAMES, means, strict=True))
    return Validation(scalars, len(depth_errors[""]), pictures)
