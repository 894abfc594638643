"""Model outputs (disparity, warped images, masks) and ground truth for a few fixed frames."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle

from common.atomic_files import resolve_complete_dir
from common.errors import DataError
from datasets.batch import prepare_batch
from datasets.build import dataset_class, dataset_from
from datasets.loader import collate
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine, find_split, read_split_lines
from evaluation.frame_details import DENSE_SHARE
from evaluation.ground_truth import protocol_from
from evaluation.metrics.disparity_maps import resize_disparity
from inference.depth_predictor import mirror_disagreement, to_scaled_disp
from layers.self_supervised_loss import SelfSupervisedLoss
from networks.monodepth import Monodepth
from options import Options
from serialization.weights_folder import load_weights, roles_in
from tools.reporting.baseline_scores import EvalSplit, evenly_spaced
from training.log_images import to_uint8
from training.setup import build_loss, build_model

DEPTH_ROLES = ("encoder", "depth")  # required; without other roles only the warped images are missing


@dataclass(frozen=True)
class Truth:
    """Ground truth of a frame.

    Attributes:
        depth: float32 (h, w) in metres, 0 where unknown.
        valid: bool (h, w), pixels that are scored.
    """

    depth: np.ndarray
    valid: np.ndarray

    @property
    def dense(self) -> bool:
        """Whether the depth map is dense rather than sparse lidar."""
        return bool((self.depth > 0).mean() > DENSE_SHARE)


@dataclass(frozen=True)
class FrameOutputs:
    """Model outputs for one frame.

    Attributes:
        name: Split line.
        image: uint8 (H, W, 3), at network size.
        scaled_disp: float32 (H, W), 1 / depth, depth in scene units.
        K: (3, 3) intrinsics, in pixels of ``image``.
        warped: Source -> uint8 (H, W, 3), warped into the target view; empty if source frames or pose weights are
            missing.
        masks: Name -> float32 (H, W) in [0, 1].
        note: Why outputs are missing, or "".
        truth: Ground truth; None if there is none.
        uncertainty: float32 (H, W), ``mirror_disagreement``; None without ``--uncertainty``.
    """

    name: str
    image: np.ndarray
    scaled_disp: np.ndarray
    K: np.ndarray
    warped: dict[int | str, np.ndarray]
    masks: dict[str, np.ndarray]
    note: str
    truth: Truth | None
    uncertainty: np.ndarray | None = None


def run_frames(opt: Options, test: EvalSplit | None, count: int) -> tuple[list[FrameOutputs], str]:
    """Run the model on evenly spaced frames of the test split, or of the training's validation split.

    Args:
        opt: Options; ``load_weights_folder`` holds the weights.
        test: Test frames; None if there is no test split.
        count: Number of frames.

    Returns:
        The outputs, and the split part they are from ("test" or "val"); or an empty list and the reason.

    Raises:
        WeightsError: The weights of the depth networks are missing or damaged, or weights do not fit the networks.
    """
    # The velocity loss would require speeds, which the outputs shown here do not depend on.
    model, compute_loss = build_model(opt), build_loss(opt.replace(velocity_weight=0.0))
    note = _load(model, Path(str(opt.load_weights_folder)))
    model.eval()
    compute_loss.eval()
    reasons = []
    for part in ("test", "val"):
        try:
            lines, depth_of = _lines_of(opt, test, part)
            dataset = _dataset(opt, lines, opt.all_frames)
            shown = evenly_spaced([i for i in range(len(lines)) if _images_exist(dataset, lines[i], 1)], count)
            if not shown:
                raise DataError(f"No images of the {part} split found in {opt.data_path}")
            return [_run_frame(opt, model, compute_loss, dataset, i, depth_of(i), note) for i in shown], part
        except DataError as error:
            reasons.append(str(error))
    return [], "; ".join(reasons)


def _load(model: Monodepth, weights: Path) -> str:
    """Load all available weights. Return a note on absent or incomplete pose weights, or ""."""
    networks = model.networks()
    weights = resolve_complete_dir(weights.absolute())
    needed = [role for role in networks if role in DEPTH_ROLES or role in roles_in(weights)]
    reports = load_weights(weights, networks, needed)
    absent = [role for role in networks if role not in DEPTH_ROLES and (role not in reports or reports[role].missing)]
    return f"No warped images: the weights contain no complete {', '.join(absent)}." if absent else ""


def _lines_of(
    opt: Options, test: EvalSplit | None, part: str
) -> tuple[list[SplitLine], Callable[[int], np.ndarray | None]]:
    """Return the lines of a split part, and a function from line number to ground truth."""
    if part == "test":
        if test is None:
            raise DataError("No test split")
        return test.dataset.lines, test.truth.__getitem__
    lines = read_split_lines(find_split(opt.split, opt.data_path), "val")
    dataset = _dataset(opt, lines, (0,))
    return lines, lambda i: dataset.ground_truth(lines[i])


def _dataset(opt: Options, lines: Sequence[SplitLine], frame_ids: Sequence[int | str]) -> MonoDataset:
    return dataset_from(opt, lines, frame_ids=frame_ids, scales=opt.scales)


def _images_exist(dataset: MonoDataset, line: SplitLine, count: int | None = None) -> bool:
    """Return whether the images of a split line, or the first ``count`` of them, exist."""
    return all(Path(path).is_file() for path in dataset.frame_paths(line)[:count])


@paddle.no_grad()
def _run_frame(
    opt: Options,
    model: Monodepth,
    compute_loss: SelfSupervisedLoss,
    dataset: MonoDataset,
    index: int,
    depth: np.ndarray | None,
    note: str,
) -> FrameOutputs:
    line = dataset.lines[index]
    if not note and not _images_exist(dataset, line):
        note = "No warped images: source frames of this frame are missing."
    frames = _dataset(opt, [line], (0,) if note else dataset.frame_ids)
    batch = prepare_batch(collate([frames[0]]), opt.scales, opt.v1_multiscale)
    warped, masks = {}, {}
    if note:
        outputs = model.disparities(batch)
    else:
        outputs = model(batch)
        maps = compute_loss(batch, outputs)[1]
        warped = {f: to_uint8(maps[f"warped/{f}"][0]) for f in opt.source_frames}
        masks = _masks(opt, outputs, maps)
    scaled_disp = to_scaled_disp(outputs["disp/0"], *compute_loss.depth_range)[0]
    truth = _truth(opt, line, depth)
    K = outputs.get("K/0", batch["K/0"])[0, :3, :3].numpy()
    uncertainty = None
    if opt.uncertainty:
        flipped = {key: images.flip(3) for key, images in batch.items() if key.startswith("color")}
        mirrored = to_scaled_disp(model.disparities(flipped)["disp/0"], *compute_loss.depth_range)[0, :, ::-1]
        uncertainty = mirror_disagreement(scaled_disp, mirrored)
    image = to_uint8(batch["color/0/0"][0])
    return FrameOutputs(str(line), image, scaled_disp, K, warped, masks, note, truth, uncertainty)


def _masks(opt: Options, outputs: Mapping, maps: Mapping) -> dict[str, np.ndarray]:
    """Return name -> mask (H, W) in [0, 1], the mask used by the loss; empty if it uses none."""
    if opt.predictive_mask:
        return {"Predictive mask": outputs["predictive_mask/0"][0].mean(axis=0).numpy()}
    return {} if opt.disable_automasking else {"Auto-mask": maps["auto_mask"][0, 0].numpy()}


def _truth(opt: Options, line: SplitLine, depth: np.ndarray | None) -> Truth | None:
    """Return the improved or rendered depth map if it exists, otherwise the ground truth used for scoring."""
    if opt.dataset != "kitti_odom":
        maps = dataset_from(opt, [line], kind=dataset_class("kitti_depth"))
        improved = maps.ground_truth(line)
        if improved is not None:
            return Truth(improved, protocol_from(opt, type(maps), "improved").valid_mask(improved))
    if depth is None:
        return None
    dataset = dataset_class(opt.dataset)
    return Truth(depth, protocol_from(opt, dataset, dataset.GROUND_TRUTH).valid_mask(depth))


@dataclass(frozen=True)
class MetricDepth:
    """Scale and range for displaying depth.

    Attributes:
        factor: Scene units -> display unit.
        unit: "m", or a description.
        near: Lower end of the displayed range, in ``unit``.
        far: Upper end of the displayed range, in ``unit``.
        how: Origin of the scale, as a caption.
    """

    factor: float
    unit: str
    near: float
    far: float
    how: str

    def of(self, scaled_disp: np.ndarray) -> np.ndarray:
        """Convert ``scaled_disp`` (H, W), 1 / scene units, to depth in ``unit``."""
        return self.factor / scaled_disp


def find_scale(frame: FrameOutputs, stereo_factor: float | None) -> MetricDepth:
    """Choose the display scale of a frame: median scaling to ground truth, else stereo scale, else its own median.

    Args:
        frame: Model outputs.
        stereo_factor: Metres per scene unit for weights trained with stereo pairs, otherwise None.
    """
    if frame.truth is not None and frame.truth.valid.any():
        pred = 1 / resize_disparity(frame.scaled_disp, frame.truth.depth.shape)[frame.truth.valid]
        factor = float(np.median(frame.truth.depth[frame.truth.valid]) / np.median(pred))
        return MetricDepth(factor, "m", 2.0, 80.0, "median-scaled")
    if stereo_factor:
        return MetricDepth(stereo_factor, "m", 2.0, 80.0, "stereo-scaled")
    own = float(np.median(frame.scaled_disp))
    return MetricDepth(own, "times the median", 0.125, 5.0, "unknown metric scale: no ground truth, no stereo pairs")
