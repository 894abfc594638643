"""Prediction for one upload: images, video, downloads, depth values for the pointer, and the point cloud."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from common.atomic_files import atomic_file
from common.colormap import colour_range, colourise_disparity
from inference.camera_intrinsics import make_intrinsics
from inference.jobs import image_job
from inference.video_files import VideoWriter
from inference.writers import WRITERS, PredictedImage
from tools.demo.upload import Upload
from tools.reporting.point_cloud_viewer import encode_cloud, framed_viewer_html

if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor, Prediction

FILES = ("picture", "disp_npy", "depth_npy", "depth_png")  # keys of inference.writers.WRITERS
BATCH = 4  # video frames per prediction
PROBED_WIDTH = 320  # pixels; maximum width of the depth map sent to the pointer script
FAR = 80.0  # metres or scene units; the point cloud omits points beyond it


@dataclass(frozen=True)
class DemoResult:
    """Contents of the page for one upload. All files are in the visitor's folder.

    Attributes:
        summary: Size of the upload and range of the predicted depth, as text.
        pair: Input image and colourised disparity; of a video, those of its middle frame.
        depth: HTML element with the depth values that ``pointer.js`` reads.
        cloud: HTML of the point-cloud viewer.
        video: Video of the frames above their colourised disparity; None for an image.
        files: Files to download.
    """

    summary: str
    pair: tuple[Path, Path]
    depth: str
    cloud: str
    video: Path | None
    files: list[Path]


def predict_upload(
    predictor: "DepthPredictor",
    upload: Upload,
    folder: Path,
    field_of_view: float,
    progress: Callable[[float], None] = lambda fraction: None,
) -> DemoResult:
    """Predict the depth of an upload and write everything the page shows.

    Args:
        predictor: Depth predictor.
        upload: Image, or frames of a video.
        folder: Folder for the files.
        field_of_view: Horizontal field of view in degrees, used to back-project the point cloud.
        progress: Called with the fraction of predicted frames, in [0, 1].

    Raises:
        UserError: A file cannot be written.
        OSError: A file cannot be written.
    """
    predictions: list[Prediction] = []
    for start in range(0, len(upload.frames), BATCH):
        predictions += predictor(upload.frames[start : start + BATCH])
        progress(len(predictions) / len(upload.frames))
    middle = len(predictions) // 2
    image, prediction = upload.frames[middle], predictions[middle]
    kinds = [kind for kind in FILES if prediction.metric or not WRITERS[kind].needs_metres]
    job = image_job(folder, folder / upload.name, kinds)
    job.write(PredictedImage(image, prediction))
    pair = folder / "input.png", folder / "disparity.png"
    for path, pixels in zip(pair, (image, colourise_disparity(prediction.scaled_disp)), strict=True):
        Image.fromarray(pixels).save(path, compress_level=1)
    video = folder / f"{upload.name}_depth.mp4" if upload.rate else None
    if video:
        _write_video(video, upload, [p.scaled_disp for p in predictions])
    return DemoResult(
        summary=_summary(upload, prediction),
        pair=pair,
        depth=_depth_html(prediction),
        cloud=_cloud_html(image, prediction, field_of_view),
        video=video,
        files=[*([video] if video else []), *job.outputs.values()],
    )


def _summary(upload: Upload, prediction: "Prediction") -> str:
    height, width = prediction.depth.shape
    what = f"{upload.name}: {width}x{height}"
    if upload.sent_size:
        what += " (resized from {}x{})".format(*upload.sent_size)
    if upload.rate:
        what += f", {len(upload.frames)} frames at {upload.rate:.3g} fps (middle frame shown)"
    near, far = np.percentile(prediction.depth, [1, 99])
    if prediction.metric:
        return f"{what}. Predicted depth: {near:.1f} to {far:.1f} m."
    return f"{what}. Predicted depth: {near:.2f} to {far:.2f} scene units (these weights have no metric scale)."


def _depth_html(prediction: "Prediction") -> str:
    """Encode the downsampled depth in an HTML element: base64 of little-endian uint16, in hundredths of the unit."""
    height, width = prediction.depth.shape
    size = min(width, PROBED_WIDTH), max(1, round(height * min(1, PROBED_WIDTH / width)))
    depth = cv2.resize(prediction.depth, size, interpolation=cv2.INTER_NEAREST)
    hundredths = (depth * 100).round().clip(0, 65535).astype("<u2")
    values = base64.b64encode(hundredths.tobytes()).decode()
    unit = "m" if prediction.metric else "units"
    text = "Hover over the images, or touch them, to read the depth."
    return f'<p id="depth" data-width="{size[0]}" data-unit="{unit}" data-depth="{values}">{text}</p>'


def _cloud_html(image: np.ndarray, prediction: "Prediction", field_of_view: float) -> str:
    """Return the point-cloud viewer in an iframe."""
    K = make_intrinsics(None, field_of_view)(prediction.depth.shape)
    clouds = {"predicted": encode_cloud(prediction.depth, image, K, FAR)}
    return framed_viewer_html(clouds)


def _write_video(path: Path, upload: Upload, disparities: Sequence[np.ndarray]) -> None:
    """Write an MP4 of the frames above their colourised disparity, with one colour range for all frames."""
    colours = partial(colourise_disparity, ends=colour_range(np.stack(disparities)))
    with atomic_file(path) as stream, VideoWriter(stream, upload.rate, colours=colours, below=True) as writer:
        for frame, disparity, seconds in zip(upload.frames, disparities, upload.times, strict=True):
            writer.write(frame, disparity, seconds=seconds)
