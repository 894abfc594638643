"""Prediction for one upload: images, video, downloads, depth values for the pointer, and the point cloud."""

import base64
import dataclasses
import math
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
from tools.demo.colour_bar import colour_bar_html
from tools.demo.upload import VIEWS, Upload, default_view
from tools.reporting.point_cloud_viewer import encode_dense_cloud, framed_viewer_html

if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor, Prediction

FILES = ("picture", "disp_npy", "depth_npy", "depth_png")  # keys of inference.writers.WRITERS
CLOUD_FILES = ("ply", "glb")
MAX_FILE_POINTS = 500_000  # of a point cloud to download: 8 MB as PLY, 10 MB as GLB
BATCH = 4  # video frames per prediction
PROBED_WIDTH = 320  # pixels; maximum width of the depth map sent to the pointer script
FAR = 80.0  # metres; the point cloud omits points beyond it,
FAR_OF_MEDIAN = 8.0  # or beyond this multiple of the median depth, whichever is nearer


@dataclass(frozen=True)
class DemoResult:
    """Contents of the page for one upload. All files are in the visitor's folder.

    Attributes:
        summary: Size of the upload and range of the predicted depth, as text.
        pair: Input image and colourised disparity; of a video, those of its middle frame.
        depth: HTML of the colour bar, and the element with the depth values that ``pointer.js`` reads.
        cloud: HTML of the point-cloud viewer.
        video: Video of the frames above their colourised disparity; None for an image.
        files: Files to download.
        field_of_view: Horizontal, degrees, used for the point clouds.
    """

    summary: str
    pair: tuple[Path, Path]
    depth: str
    cloud: str
    video: Path | None
    files: list[Path]
    field_of_view: float


def predict_upload(
    predictor: "DepthPredictor",
    upload: Upload,
    folder: Path,
    field_of_view: float | None = None,
    progress: Callable[[float, str], None] = lambda fraction, what: None,
) -> DemoResult:
    """Predict the depth of an upload and write everything the page shows.

    Args:
        predictor: Depth predictor.
        upload: Image, or frames of a video.
        folder: Folder for the files.
        field_of_view: Horizontal field of view in degrees, used to back-project the point clouds; None uses that of
            the photo, or the usual one of its shape.
        progress: Called with the fraction of predicted frames, in [0, 1], and what is done.

    Raises:
        UserError: A file cannot be written.
        OSError: A file cannot be written.
    """
    predictions = _predict(predictor, upload.frames, progress)
    middle = len(predictions) // 2
    image, prediction = upload.frames[middle], predictions[middle]
    view, source = _field_of_view(upload, field_of_view)
    ends = colour_range(np.stack([p.scaled_disp for p in predictions]))
    outputs = _write_files(folder, upload.name, image, prediction, view)
    pair = folder / "input.png", folder / "disparity.png"
    for path, pixels in zip(pair, (image, colourise_disparity(prediction.scaled_disp, ends)), strict=True):
        Image.fromarray(pixels).save(path, compress_level=1)
    video = folder / f"{upload.name}_depth.mp4" if upload.rate else None
    if video:
        progress(1.0, "Writing the video")
        _write_video(video, upload, [p.scaled_disp for p in predictions], ends)
    return DemoResult(
        summary=f"{_summary(upload, prediction)} Field of view: {view:.3g}° ({source}).",
        pair=pair,
        depth=_depth_html(prediction, ends),
        cloud=_cloud_html(image, prediction, view),
        video=video,
        files=[*([video] if video else []), *outputs],
        field_of_view=view,
    )


def _predict(
    predictor: "DepthPredictor", frames: Sequence[np.ndarray], progress: Callable[[float, str], None]
) -> "list[Prediction]":
    predictions: list[Prediction] = []
    for start in range(0, len(frames), BATCH):
        if len(frames) > 1:
            progress(start / len(frames), f"Frame {start + 1} of {len(frames)}")
        predictions += predictor(frames[start : start + BATCH])
    return predictions


def _field_of_view(upload: Upload, chosen: float | None) -> tuple[float, str]:
    """Return the horizontal field of view in degrees, within the range of the setting, and where it is from."""
    if chosen is not None:
        return chosen, "given"
    if upload.field_of_view is not None:
        return upload.field_of_view, "from the photo's EXIF data"
    return float(np.clip(default_view(*upload.frames[0].shape[:2]), *VIEWS)), "assumed"


def _write_files(folder: Path, name: str, image: np.ndarray, prediction: "Prediction", view: float) -> list[Path]:
    """Write the files to download; point clouds of large images have fewer points than pixels."""
    kinds = [kind for kind in FILES if prediction.metric or not WRITERS[kind].needs_metres]
    job = image_job(folder, folder / name, kinds)
    job.write(PredictedImage(image, prediction))
    factor = min(1.0, math.sqrt(MAX_FILE_POINTS / prediction.depth.size))
    height, width = (max(1, math.floor(side * factor)) for side in prediction.depth.shape)
    if factor < 1:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        maps = (prediction.scaled_disp, prediction.depth)
        scaled_disp, depth = (cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST) for values in maps)
        prediction = dataclasses.replace(prediction, scaled_disp=scaled_disp, depth=depth)
    clouds = image_job(folder, folder / name, CLOUD_FILES)
    clouds.write(PredictedImage(image, prediction, make_intrinsics(None, view)((height, width))))
    return [*job.outputs.values(), *clouds.outputs.values()]


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
    return f"{what}. Predicted depth: {near:.2f} to {far:.2f} relative units (these weights have no metric scale)."


def _depth_html(prediction: "Prediction", ends: tuple[float, float]) -> str:
    """Draw the colour bar, and encode the reduced depth: base64 of little-endian uint16, in hundredths of the unit."""
    height, width = prediction.depth.shape
    size = min(width, PROBED_WIDTH), max(1, round(height * min(1, PROBED_WIDTH / width)))
    depth = cv2.resize(prediction.depth, size, interpolation=cv2.INTER_NEAREST)
    hundredths = (depth * 100).round().clip(0, 65535).astype("<u2")
    values = base64.b64encode(hundredths.tobytes()).decode()
    unit = "m" if prediction.metric else "units"
    scale = float(prediction.depth.flat[0] * prediction.scaled_disp.flat[0])
    bar = colour_bar_html(ends, scale, "Depth in metres" if prediction.metric else "Depth in relative units")
    text = "Drag the handle to compare photo and depth. Hover over them, or touch them, to read the depth."
    return f'{bar}<p id="depth" data-width="{size[0]}" data-unit="{unit}" data-depth="{values}">{text}</p>'


def _cloud_html(image: np.ndarray, prediction: "Prediction", field_of_view: float) -> str:
    """Return the point-cloud viewer in an iframe."""
    K = make_intrinsics(None, field_of_view)(prediction.depth.shape)
    far = FAR_OF_MEDIAN * float(np.median(prediction.depth))
    far = min(far, FAR) if prediction.metric else far
    return framed_viewer_html({"predicted": encode_dense_cloud(prediction.depth, image, K, far)})


def _write_video(path: Path, upload: Upload, disparities: Sequence[np.ndarray], ends: tuple[float, float]) -> None:
    """Write an MP4 of the frames above their colourised disparity, with one colour range for all frames."""
    colours = partial(colourise_disparity, ends=ends)
    with atomic_file(path) as stream, VideoWriter(stream, upload.rate, colours=colours, below=True) as writer:
        for frame, disparity, seconds in zip(upload.frames, disparities, upload.times, strict=True):
            writer.write(frame, disparity, seconds=seconds)
