"""The whole model on a few fixed frames: what it sees, what it makes of it, and the truth beside."""

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
from evaluation.metrics.depth_protocol import resize_disparity
from inference.depth_predictor import to_scaled_disp
from layers.self_supervised_loss import SelfSupervisedLoss
from networks.monodepth import Monodepth
from options import Options
from serialization.weights_folder import load_weights, roles_in
from tools.reporting.baseline_scores import EvalSplit, evenly_spaced
from training.log_images import to_uint8
from training.setup import build_loss, build_model

DEPTH_ROLES = ("encoder", "depth")  # without these there is nothing to show


@dataclass(frozen=True)
class Truth:
    """The true depth of a frame: float32 (h, w) in metres, 0 where unknown; which of its pixels are scored."""

    depth: np.ndarray
    valid: np.ndarray

    @property
    def dense(self) -> bool:
        """Whether most pixels are known."""
        return bool((self.depth > 0).mean() > DENSE_SHARE)


@dataclass(frozen=True)
class FrameOutputs:
    """A frame after the model.

    Attributes:
        name: its split line.
        image: uint8 (H, W, 3), at the networks' size.
        scaled_disp: float32 (H, W), one over depth in scene units.
        K: (3, 3), pixels of ``image``.
        warped: source -> uint8 (H, W, 3); empty where the neighbours or their networks are missing.
        masks: name -> float32 (H, W) in [0, 1].
        note: why something is missing, or "".
        truth: None where there is none.
    """

    name: str
    image: np.ndarray
    scaled_disp: np.ndarray
    K: np.ndarray
    warped: dict[int | str, np.ndarray]
    masks: dict[str, np.ndarray]
    note: str
    truth: Truth | None


def run_frames(opt: Options, test: EvalSplit | None, count: int) -> tuple[list[FrameOutputs], str]:
    """Runs the model of ``load_weights_folder`` on ``count`` frames, evenly spaced through the test split, else the
    validation split of the training.

    Returns:
        The frames; and the name of the part that they come from, or why there are none.

    Raises:
        WeightsError: the depth networks' weights are missing or damaged, or weights do not fit.
    """
    # What is drawn depends on no speed.
    model, compute_loss = build_model(opt), build_loss(opt.replace(velocity_weight=0.0))
    note = _load(model, Path(str(opt.load_weights_folder)))
    model.eval()
    compute_loss.eval()
    reasons = []
    for part in ("test", "val"):
        try:
            lines, depth_of = _lines_of(opt, test, part)
            dataset = _dataset(opt, lines, opt.all_frames)
            shown = evenly_spaced([i for i in range(len(lines)) if _is_there(dataset, lines[i], 1)], count)
            if not shown:
                raise DataError(f"no image of the {part} split's is under {opt.data_path}")
            return [_run_frame(opt, model, compute_loss, dataset, i, depth_of(i), note) for i in shown], part
        except DataError as error:
            reasons.append(str(error))
    return [], "; ".join(reasons)


def _load(model: Monodepth, weights: Path) -> str:
    """Fills the networks whose files are there; what it means that others are absent or incomplete, or ""."""
    networks = model.networks()
    weights = resolve_complete_dir(weights.absolute())
    needed = [role for role in networks if role in DEPTH_ROLES or role in roles_in(weights)]
    reports = load_weights(weights, networks, needed)
    absent = [role for role in networks if role not in DEPTH_ROLES and (role not in reports or reports[role].missing)]
    return f"Nothing is warped: the weights hold no whole {', '.join(absent)}." if absent else ""


def _lines_of(
    opt: Options, test: EvalSplit | None, part: str
) -> tuple[list[SplitLine], Callable[[int], np.ndarray | None]]:
    """The lines of a part, and what gives the ground truth of a line by its number."""
    if part == "test":
        if test is None:
            raise DataError("there is no test split")
        return test.dataset.lines, test.truth.__getitem__
    lines = read_split_lines(find_split(opt.split, opt.data_path), "val")
    dataset = _dataset(opt, lines, (0,))
    return lines, lambda i: dataset.ground_truth(lines[i])


def _dataset(opt: Options, lines: Sequence[SplitLine], frame_ids: Sequence[int | str]) -> MonoDataset:
    return dataset_from(opt, lines, frame_ids=frame_ids, scales=opt.scales)


def _is_there(dataset: MonoDataset, line: SplitLine, count: int | None = None) -> bool:
    """Whether the line's images are there, or the first ``count`` of them."""
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
    if not note and not _is_there(dataset, line):
        note = "Nothing is warped: not all neighbours of this frame are there."
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
    return FrameOutputs(str(line), to_uint8(batch["color/0/0"][0]), scaled_disp, K, warped, masks, note, truth)


def _masks(opt: Options, outputs: Mapping, maps: Mapping) -> dict[str, np.ndarray]:
    """Name -> (H, W) in [0, 1], of the mask that the loss has, if it has one."""
    if opt.predictive_mask:
        return {"predictive mask": outputs["predictive_mask/0"][0].mean(axis=0).numpy()}
    return {} if opt.disable_automasking else {"auto-mask": maps["auto_mask"][0, 0].numpy()}


def _truth(opt: Options, line: SplitLine, depth: np.ndarray | None) -> Truth | None:
    """The dataset's improved or rendered depth map where there is one, else what is scored."""
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
    """Depth in a unit that can be shown.

    Attributes:
        factor: from scene units to this one.
        unit: "m", or in words.
        near, far: the range to show, in this unit.
        how: where the scale comes from.
    """

    factor: float
    unit: str
    near: float
    far: float
    how: str

    def of(self, scaled_disp: np.ndarray) -> np.ndarray:
        """Depth of (H, W) one over scene units."""
        return self.factor / scaled_disp


def find_scale(frame: FrameOutputs, stereo_factor: float | None) -> MetricDepth:
    """The scale to show a frame's depth in: its truth's median, else the stereo pair's, else its own median.

    Args:
        stereo_factor: metres in a scene unit, for weights trained with stereo pairs; None without.
    """
    if frame.truth is not None and frame.truth.valid.any():
        pred = 1 / resize_disparity(frame.scaled_disp, frame.truth.depth.shape)[frame.truth.valid]
        factor = float(np.median(frame.truth.depth[frame.truth.valid]) / np.median(pred))
        return MetricDepth(factor, "m", 2.0, 80.0, "scaled to the truth's median")
    if stereo_factor:
        return MetricDepth(stereo_factor, "m", 2.0, 80.0, "by the stereo factor")
    own = float(np.median(frame.scaled_disp))
    return MetricDepth(own, "times the median", 0.125, 5.0, "without truth or stereo pairs there are no metres")
