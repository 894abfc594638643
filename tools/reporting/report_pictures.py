"""The pictures of a frame, as a page embeds them: colours, colour bars, data URIs."""

import base64
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np

from common.colormap import colourise_disparity
from evaluation.error_pictures import MAX_ERROR, colour_error, dimmed, spread
from evaluation.metrics.depth_protocol import resize_disparity
from tools.reporting.frame_panels import FrameOutputs, MetricDepth

MAX_WIDTH = 640  # pixels of a picture: enough for a page, and small
JPEG_QUALITY = 88


@dataclass(frozen=True)
class Picture:
    """One picture: its title, what is seen on it, and its file as a data URI."""

    title: str
    caption: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class ColourBar:
    """A scale of colours: its title, its strip as a data URI, and labels as (text, share of the length)."""

    title: str
    uri: str
    labels: tuple[tuple[str, float], ...]


def frame_pictures(frame: FrameOutputs, scale: MetricDepth) -> list[Picture]:
    """The pictures of a frame, in the order to look at them."""
    pictures = [
        make_picture("input", "what the network sees", frame.image),
        make_picture("disparity", "near is bright, far dark", colourise_disparity(frame.scaled_disp)),
    ]
    for source, image in frame.warped.items():
        title = f"{source_name(source)}, warped"
        pictures.append(make_picture(title, "should look like the input", image))
    for name, mask in frame.masks.items():
        grey = (mask.clip(0, 1) * 255).round().astype(np.uint8)
        between = ", grey ones in part" if ((mask > 0) & (mask < 1)).any() else ""
        pictures.append(make_picture(name, f"white pixels count in the loss{between}", grey, lossless=True))
    pictures.append(make_picture("depth", scale.how, colour_depth(scale.of(frame.scaled_disp), scale.near, scale.far)))
    return pictures + _truth_pictures(frame, scale)


def _truth_pictures(frame: FrameOutputs, scale: MetricDepth) -> list[Picture]:
    truth = frame.truth
    if truth is None:
        return []
    known = truth.depth > 0
    background = dimmed(cv2.resize(frame.image, known.shape[::-1], interpolation=cv2.INTER_LINEAR))
    drawn = "" if truth.dense else ", points drawn larger than they are"
    pictures = [make_picture("truth", f"the true depth{drawn}", spread(colour_depth(truth.depth), known, background))]
    if truth.valid.any():
        depth = scale.of(resize_disparity(frame.scaled_disp, known.shape))
        error = np.abs(depth - truth.depth) / np.where(known, truth.depth, 1)
        caption = f"mean {error[truth.valid].mean():.3f} of the truth where scored{drawn}"
        pictures.append(make_picture("error", caption, spread(colour_error(error), truth.valid, background)))
    return pictures


def source_name(source: int | str) -> str:
    """A source frame in words."""
    if source == "s":
        return "the other camera"
    return f"frame {int(source):+d}"


def colour_depth(depth: np.ndarray, near: float = 2.0, far: float = 80.0) -> np.ndarray:
    """Depth (H, W) as uint8 (H, W, 3), RGB: the logarithm from near (red) to far (blue)."""
    share = np.log(np.maximum(depth, 1e-6) / near) / np.log(far / near)
    return (matplotlib.colormaps["turbo_r"](share.clip(0, 1))[..., :3] * 255).round().astype(np.uint8)


def depth_bar(scale: MetricDepth) -> ColourBar:
    """The colours of `colour_depth` in the unit of ``scale``."""
    steps = [step for step in (0.125, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 80) if scale.near <= step <= scale.far]
    ends = np.log(scale.far / scale.near)
    labels = tuple((f"{step:g}", float(np.log(step / scale.near) / ends)) for step in steps)
    strip = colour_depth(np.geomspace(scale.near, scale.far, 256)[None], scale.near, scale.far)
    return ColourBar(f"depth and truth, {scale.unit}", _uri(strip, lossless=True), labels)


def error_bar() -> ColourBar:
    """The colours of `colour_error`."""
    strip = colour_error(np.linspace(0, MAX_ERROR, 256)[None])
    labels = tuple((f"{share * MAX_ERROR:.0%}", share) for share in (0.0, 0.2, 0.4, 0.6, 0.8))
    labels += ((f"≥ {MAX_ERROR:.0%}", 1.0),)
    return ColourBar("error: |depth - truth| / truth", _uri(strip, lossless=True), labels)


def make_picture(title: str, caption: str, image: np.ndarray, lossless: bool = False) -> Picture:
    """A picture of an image, RGB or grey, at most ``MAX_WIDTH`` wide."""
    height, width = image.shape[:2]
    if width > MAX_WIDTH:
        height, width = round(height * MAX_WIDTH / width), MAX_WIDTH
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return Picture(title, caption, _uri(image, lossless), width, height)


def _uri(image: np.ndarray, lossless: bool) -> str:
    """The image, RGB or grey, as a data URI: PNG, or JPEG."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    kind, how = ("png", []) if lossless else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    content = cv2.imencode(f".{kind}", image, how)[1].tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
