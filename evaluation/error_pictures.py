"""Draw frames as panels: input, prediction and error, one below the other."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from common.atomic_files import atomic_file
from common.colormap import colourise_disparity
from common.images import read_image
from datasets.mono_dataset import MonoDataset
from evaluation.ground_truth import GroundTruth
from evaluation.metrics.alignment import Alignment
from evaluation.metrics.depth_protocol import DepthEvaluation, DepthProtocol
from evaluation.metrics.disparity_maps import resize_disparity
from evaluation.split_scores import SplitPrediction

MAX_ERROR = 0.5


def extreme_frames(errors: np.ndarray, count: int) -> dict[str, list[int]]:
    """Select the ``count`` "worst" and "best" frames by error (N,), most extreme first; NaN is ignored.

    No frame is in both lists: with few frames, the worst are selected first.
    """
    order = [int(i) for i in np.argsort(-errors, kind="stable") if np.isfinite(errors[i])]
    worst = order[:count]
    return {"worst": worst, "best": order[len(worst) :][::-1][:count]}


def frame_panel(
    image: np.ndarray, scaled_disp: np.ndarray, gt: np.ndarray, protocol: DepthProtocol, alignment: Alignment
) -> np.ndarray:
    """Draw input, disparity (near is bright) and error, one below the other: uint8 (3 H, W, 3), RGB.

    The error is |depth - truth| / truth, at scored pixels.

    Args:
        image: uint8, RGB, any size.
        scaled_disp: (h, w), the scored disparity.
        gt: (H, W), metres, 0 where unknown.
        protocol: The protocol of the scores.
        alignment: Alignment of the prediction.
    """
    disp, valid = resize_disparity(scaled_disp, gt.shape), protocol.valid_mask(gt)
    depth = protocol.to_depth(disp, alignment)
    error = np.abs(depth - gt) / np.where(valid, gt, 1)
    image = cv2.resize(image, gt.shape[::-1], interpolation=cv2.INTER_AREA)
    return np.concatenate([image, colourise_disparity(disp), spread(colour_error(error), valid, dimmed(image))])


def extreme_panels(
    dataset: MonoDataset, prediction: SplitPrediction, truth: GroundTruth, result: DepthEvaluation, count: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield the worst and best frames by abs_rel: ("worst_1", frame number, ``frame_panel``) and so on.

    Frames without an image are skipped: disparities from a file can be scored without images.

    Raises:
        DataError: An image is damaged.
    """
    for kind, numbers in extreme_frames(result.metrics[:, 0], count).items():
        for place, i in enumerate(numbers, start=1):
            path, gt = Path(dataset.frame_paths(dataset.lines[i])[0]), truth[i]
            if gt is not None and path.is_file():
                image = read_image(path)
                image = dataset.REGION.cut(image) if dataset.REGION else image
                scored = gt, prediction.protocol, result.alignment(i)
                yield f"{kind}_{place}", i, frame_panel(image, prediction.scaled_disps[i], *scored)


def write_panels(folder: Path, panels: Iterable[tuple[str, int, np.ndarray]]) -> int:
    """Write ``extreme_panels`` as ``worst_1.png``, ...; delete those of an earlier run.

    Returns:
        The number of panels written.

    Raises:
        UserError: A panel cannot be written.
    """
    for old in (*folder.glob("worst_*.png"), *folder.glob("best_*.png")):
        old.unlink()
    written = 0
    for name, _, panel in panels:
        with atomic_file(folder / f"{name}.png") as stream:
            stream.write(cv2.imencode(".png", cv2.cvtColor(panel, cv2.COLOR_RGB2BGR))[1].tobytes())
        written += 1
    return written


def colour_error(error: np.ndarray) -> np.ndarray:
    """Colour absolute relative errors (H, W) as uint8 (H, W, 3), RGB: 0 is blue, ``MAX_ERROR`` and above red."""
    import matplotlib  # slow to import, and only needed to draw

    share = (error / MAX_ERROR).clip(0, 1)
    return (matplotlib.colormaps["RdYlBu_r"](share)[..., :3] * 255).round().astype(np.uint8)


def spread(colours: np.ndarray, known: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Draw known pixels over a background; sparse pixels become dots.

    Args:
        colours, background: uint8 (H, W, 3).
        known: bool (H, W).
    """
    if not known.any():
        return background
    radius = 0 if known.mean() > 0.5 else max(1.0, 2.0 * known.shape[1] / 1242)  # 2 pixels at KITTI's size
    distance, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros((labels.max() + 1, 3), dtype=np.uint8)
    by_label[labels[known]] = colours[known]
    return np.where((distance <= radius)[:, :, None], by_label[labels], background)


def dimmed(image: np.ndarray) -> np.ndarray:
    """Convert an image (H, W, 3) to dark grey, as a background."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.repeat((grey * 0.4).astype(np.uint8)[:, :, None], 3, axis=2)
