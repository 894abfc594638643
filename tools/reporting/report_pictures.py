"""Pictures of the report: colour maps, colour bars and data URIs."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np

from common.colormap import colourise_disparity
from evaluation.error_pictures import MAX_ERROR, colour_error, dimmed, spread
from evaluation.metrics.disparity_maps import resize_disparity
from tools.reporting.frame_panels import FrameOutputs, MetricDepth

MAX_WIDTH = 640  # pixels; limits the size of the page
JPEG_QUALITY = 88
TYPICAL = ("Input", "Predicted depth", "Ground truth", "Error")  # titles of the pictures at the top of the report
METRES = MetricDepth(1.0, "m", 2.0, 80.0, "")


@dataclass(frozen=True)
class ColourBar:
    """A colour bar: title, data URI, and labels as (text, position in [0, 1])."""

    title: str
    uri: str
    labels: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Picture:
    """A picture: title, caption, data URI, size in pixels, and the colour bar if it is a map."""

    title: str
    caption: str
    uri: str
    width: int
    height: int
    bar: ColourBar | None = None


def frame_pictures(frame: FrameOutputs, scale: MetricDepth) -> list[Picture]:
    """Draw the pictures of a frame, in display order."""
    pictures = [
        make_picture("Input", "at network size", frame.image),
        make_picture("Predicted disparity", "", colourise_disparity(frame.scaled_disp), bar=disparity_bar()),
    ]
    if frame.uncertainty is not None:
        drawn, caption = colourise_disparity(frame.uncertainty), "disagreement with the mirrored image"
        pictures.append(make_picture("Uncertainty", caption, drawn, bar=uncertainty_bar()))
    for source, image in frame.warped.items():
        title = f"Warped {source_name(source)}"
        pictures.append(make_picture(title, "source warped into the target view; should match the input", image))
    for name, mask in frame.masks.items():
        grey = (mask.clip(0, 1) * 255).round().astype(np.uint8)
        partial = ", grey pixels partially" if ((mask > 0) & (mask < 1)).any() else ""
        pictures.append(make_picture(name, f"white pixels contribute to the loss{partial}", grey, lossless=True))
    depth = colour_depth(scale.of(frame.scaled_disp), scale.near, scale.far)
    pictures.append(make_picture("Predicted depth", scale.how, depth, bar=depth_bar(scale)))
    return pictures + _truth_pictures(frame, scale)


def _truth_pictures(frame: FrameOutputs, scale: MetricDepth) -> list[Picture]:
    truth = frame.truth
    if truth is None:
        return []
    known = truth.depth > 0
    background = dimmed(cv2.resize(frame.image, known.shape[::-1], interpolation=cv2.INTER_LINEAR))
    drawn = "" if truth.dense else ", points enlarged"
    colours = spread(colour_depth(truth.depth), known, background)
    pictures = [make_picture("Ground truth", f"depth{drawn}", colours, bar=depth_bar(METRES))]
    if truth.valid.any():
        depth = scale.of(resize_disparity(frame.scaled_disp, known.shape))
        error = np.abs(depth - truth.depth) / np.where(known, truth.depth, 1)
        caption = f"mean abs_rel {error[truth.valid].mean():.3f} over the scored pixels{drawn}"
        colours = spread(colour_error(error), truth.valid, background)
        pictures.append(make_picture("Error", caption, colours, bar=error_bar()))
    return pictures


def typical_pictures(pictures: Sequence[Picture]) -> list[Picture]:
    """Select the pictures of a frame for the top of the report."""
    return [picture for picture in pictures if picture.title in TYPICAL]


def even_columns(count: int) -> int:
    """Return the number of columns, 2 to 4, that leaves the fewest cells of a grid empty; the larger of equals."""
    return min((4, 3, 2), key=lambda columns: -count % columns) if count > 1 else 1


def readable_frame(name: str) -> str:
    """Describe a split line, "folder frame side", in words."""
    folder, *rest = name.split()
    drive = re.search(r"(\d{4})_(\d\d)_(\d\d)_drive_(\d+)", folder)
    words = ["{}-{}-{}, drive {}".format(*drive.groups()) if drive else folder]
    words += [f"frame {rest[0].lstrip('0') or '0'}"] if rest else []
    words += [{"l": "left camera", "r": "right camera"}.get(side, side) for side in rest[1:]]
    return ", ".join(words)


def source_name(source: int | str) -> str:
    """Return the display name of a source frame."""
    if source == "s":
        return "stereo image"
    return f"frame {int(source):+d}"


def colour_depth(depth: np.ndarray, near: float = 2.0, far: float = 80.0) -> np.ndarray:
    """Colourise depth (H, W) on a logarithmic scale from near (red) to far (blue): uint8 (H, W, 3), RGB."""
    share = np.log(np.maximum(depth, 1e-6) / near) / np.log(far / near)
    return (matplotlib.colormaps["turbo_r"](share.clip(0, 1))[..., :3] * 255).round().astype(np.uint8)


def depth_bar(scale: MetricDepth) -> ColourBar:
    """Draw the colour bar of ``colour_depth``, in the unit of ``scale``."""
    steps = [step for step in (0.125, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 80) if scale.near <= step <= scale.far]
    ends = np.log(scale.far / scale.near)
    labels = tuple((f"{step:g}", float(np.log(step / scale.near) / ends)) for step in steps)
    strip = colour_depth(np.geomspace(scale.near, scale.far, 256)[None], scale.near, scale.far)
    return ColourBar(f"Depth ({scale.unit})", _uri(strip, lossless=True), labels)


def error_bar() -> ColourBar:
    """Draw the colour bar of ``colour_error``."""
    strip = colour_error(np.linspace(0, MAX_ERROR, 256)[None])
    labels = tuple((f"{share * MAX_ERROR:.0%}", share) for share in (0.0, 0.5)) + ((f"≥ {MAX_ERROR:.0%}", 1.0),)
    return ColourBar("Error (relative to true depth)", _uri(strip, lossless=True), labels)


def disparity_bar() -> ColourBar:
    """Draw the colour bar of ``colourise_disparity``, whose range is that of each image."""
    return _relative_bar("Disparity (relative)", "far", "near")


def uncertainty_bar() -> ColourBar:
    """Draw the colour bar of the uncertainty of disparity, whose range is that of each image."""
    return _relative_bar("Uncertainty of disparity (relative)", "certain", "uncertain")


def _relative_bar(title: str, low: str, high: str) -> ColourBar:
    strip = colourise_disparity(np.linspace(0, 1, 256, dtype=np.float32)[None])
    return ColourBar(title, _uri(strip, lossless=True), ((low, 0.0), (high, 1.0)))


def make_picture(
    title: str, caption: str, image: np.ndarray, lossless: bool = False, bar: ColourBar | None = None
) -> Picture:
    """Build a picture from an RGB or greyscale image, resized to at most ``MAX_WIDTH`` columns."""
    height, width = image.shape[:2]
    if width > MAX_WIDTH:
        height, width = round(height * MAX_WIDTH / width), MAX_WIDTH
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return Picture(title, caption, _uri(image, lossless), width, height, bar)


def _uri(image: np.ndarray, lossless: bool) -> str:
    """Encode an RGB or greyscale image as a data URI: PNG if ``lossless``, otherwise JPEG."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    kind, how = ("png", []) if lossless else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    content = cv2.imencode(f".{kind}", image, how)[1].tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
