"""Validation: loss, depth metrics where there is ground truth, and the metric that selects the best weights."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from datasets.batch import prepare_batch
from datasets.build import dataset_class
from datasets.cameras import Camera
from evaluation.ground_truth import protocol_from
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.depth_protocol import DepthProtocol
from evaluation.split_scores import score_frame
from inference.depth_predictor import to_scaled_disp
from layers.self_supervised_loss import SelfSupervisedLoss
from options import Options
from training.distributed_context import DistributedContext
from training.log_images import batch_pictures

INTRINSICS = {"fx": (0, 0), "fy": (1, 1), "cx": (0, 2), "cy": (1, 2)}  # name -> row and column in K


@dataclass(frozen=True)
class Validation:
    """Result of one pass over the validation split.

    Attributes:
        scalars: the loss and its parts; median-scaled depth metrics by their names; for stereo training, stereo-scaled
            metrics as ``stereo/NAME``; learned intrinsics as ``intrinsics/NAME`` for the names of ``INTRINSICS``,
            averaged, in pixels of the networks' input.
        depth_frames: number of frames with ground truth.
        pictures: name -> uint8 (H, W, 3), of the first batch.
    """

    scalars: dict[str, float]
    depth_frames: int
    pictures: dict[str, np.ndarray]

    @property
    def intrinsics(self) -> tuple[float, ...] | None:
        """Learned fx, fy, cx and cy in pixels of the networks' input; None if they are not learned."""
        names = [f"intrinsics/{name}" for name in INTRINSICS]
        return tuple(self.scalars[name] for name in names) if names[0] in self.scalars else None

    @property
    def selection_metric(self) -> float:
        """Metric that selects the best weights, lower is better: abs_rel, or the loss without ground truth."""
        return self.scalars["abs_rel" if self.depth_frames else "loss"]

    def __str__(self) -> str:
        line = f"validation loss {self.scalars['loss']:.4f}"
        if self.depth_frames:
            line += f", abs_rel {self.scalars['abs_rel']:.3f} on {self.depth_frames} frames with ground truth"
        if "stereo/abs_rel" in self.scalars:
            line += f" ({self.scalars['stereo/abs_rel']:.3f} stereo-scaled)"
        if "velocity" in self.scalars:
            line += f", displacement error {self.scalars['velocity']:.3f} m"
        shares = [f"{name[7:]} {share:.0%}" for name, share in self.scalars.items() if name.startswith("source/")]
        return f"{line}; pixels by source: {', '.join(shares)}" if shares else line


def validation_protocols(opt: Options) -> dict[str, DepthProtocol]:
    """Build the protocols that score depth in validation, with the ground truth, crop and cap of the evaluation.

    Returns:
        Prefix of the metrics' names -> protocol: "" is median-scaled and selects the best weights; "stereo/" is
        stereo-scaled, for stereo training.
    """
    dataset = dataset_class(opt.dataset)
    scalings = {"": "median", **({"stereo/": "stereo"} if opt.use_stereo else {})}
    kind = dataset.GROUND_TRUTH
    return {prefix: protocol_from(opt, dataset, kind, scaling) for prefix, scaling in scalings.items()}


@paddle.no_grad()
def validate(
    model: nn.Layer,
    compute_loss: SelfSupervisedLoss,
    batches: Iterable,
    protocols: Mapping[str, DepthProtocol],
    context: DistributedContext | None = None,
) -> Validation:
    """Validate the model in evaluation mode; the caller restores training mode.

    Args:
        model, compute_loss: the networks and their loss.
        batches: this process's collated batches, with "depth_gt"; with N processes, every N-th batch of the split.
        protocols: from ``validation_protocols``.
        context: the processes that validate together. All return the same scalars, equal to those of a single process.
    """
    model.eval()
    compute_loss.eval()
    own: list[dict[str, Any]] = []
    pictures: dict[str, np.ndarray] = {}
    for raw in batches:
        batch = prepare_batch(raw, compute_loss.scales, compute_loss.synthesise_views.v1_multiscale)
        outputs = model(batch)
        losses, maps = compute_loss(batch, outputs)
        pictures = pictures or batch_pictures(batch, outputs, maps)
        depth_errors: dict[str, list[list[float]]] = {prefix: [] for prefix in protocols}
        scaled_disps = to_scaled_disp(outputs["disp/0"], *compute_loss.depth_range)
        for disp, gt, name in zip(scaled_disps, batch["depth_gt"], batch["name"], strict=True):
            for prefix, protocol in protocols.items():
                score = score_frame(disp, None if gt is None else np.asarray(gt), protocol, name)
                if score is not None:
                    depth_errors[prefix].append(list(map(float, score.metrics)))
        scalars = {name: value.item() for name, value in {**losses, **_learned_intrinsics(outputs)}.items()}
        own.append({"size": len(batch["name"]), "losses": scalars, "depth_errors": depth_errors})
    by_round = itertools.zip_longest(*(context or DistributedContext()).gather(own))
    return _summarise([result for round_ in by_round for result in round_ if result is not None], pictures)


def _summarise(results: list[dict[str, Any]], pictures: dict[str, np.ndarray]) -> Validation:
    """Average over the frames of all batches, in the order of the split."""
    count = sum(result["size"] for result in results)
    scalars = {
        name: sum(result["size"] * result["losses"][name] for result in results) / count
        for name in results[0]["losses"]
    }
    depth_frames = 0
    for prefix in results[0]["depth_errors"]:
        rows = [row for result in results for row in result["depth_errors"][prefix]]
        if rows:
            means = np.mean(rows, axis=0)
            scalars.update((prefix + name, float(mean)) for name, mean in zip(METRIC_NAMES, means, strict=True))
        if not prefix:
            depth_frames = len(rows)
    return Validation(scalars, depth_frames, pictures)


def _learned_intrinsics(outputs: Mapping) -> dict[str, Tensor]:
    """Return ``intrinsics/NAME`` -> mean over the batch; empty if intrinsics are not learned."""
    if "K/0" not in outputs:
        return {}
    K = outputs["K/0"].mean(axis=0)
    return {f"intrinsics/{name}": K[i, j] for name, (i, j) in INTRINSICS.items()}


def describe_intrinsics(intrinsics: Sequence[float], height: int, width: int) -> str:
    """Describe learned intrinsics (fx, fy, cx, cy in pixels of height x width) and their field of view in degrees."""
    fx, fy, cx, cy = intrinsics
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    across, down = Camera(K, (height, width), np.zeros(9), "learned").view
    return (
        f"Learned intrinsics at {width}x{height}: fx {fx:.1f}, fy {fy:.1f}, cx {cx:.1f}, cy {cy:.1f} pixels; "
        f"horizontal FOV {across:.1f} degrees, vertical FOV {down:.1f} degrees"
    )
