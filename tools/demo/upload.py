"""Reading of uploads: an image or a short video. Error messages contain no server paths."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL.ExifTags import IFD, Base

from common.errors import DataError
from common.images import open_image, read_image
from common.signatures import media_kind
from common.video import open_video
from datasets.cameras import Camera

LONGEST_SIDE = 2048  # pixels of an image's longer side; larger images are resized, the page cannot show more
LONGEST_VIDEO_SIDE = 640  # pixels of a video's longer side
# Limits checked against the file header: decoding blocks all other visitors.
MAX_IMAGE_PIXELS = 50_000_000  # covers phone cameras: 8160x6120
MAX_VIDEO_PIXELS = 4096 * 2304  # per frame: 4K
MAX_SECONDS = 120
WIDE_VIEW = 81.5  # degrees, horizontal field of view of KITTI's camera
WIDE = 2  # width over height of images that phones do not take, but cameras in cars do, or crops of their images
VIEWS = (30.0, 130.0)  # degrees, range of the setting


@dataclass(frozen=True, eq=False)
class Upload:
    """A decoded upload.

    Attributes:
        name: File name without suffix.
        frames: One or more RGB images, each uint8 (H, W, 3), all of the same size.
        times: Seconds from the start of the video to each frame; None for an image.
        rate: Frames per second, on average; None for an image.
        sent_size: (width, height) of the file if the frames were resized, otherwise None.
        field_of_view: Horizontal, degrees, from EXIF data; None if unknown.
    """

    name: str
    frames: list[np.ndarray]
    times: list[float] | None
    rate: float | None
    sent_size: tuple[int, int] | None
    field_of_view: float | None = None


def default_view(height: int, width: int) -> float:
    """Return the horizontal field of view, degrees, that is assumed for images of this size."""
    return WIDE_VIEW if width >= WIDE * height else Camera.guessed((height, width)).view[0]


def read_upload(path: Path, max_megabytes: int, max_frames: int) -> Upload:
    """Read an image or a video.

    Args:
        path: Uploaded file.
        max_megabytes: Maximum file size, MB.
        max_frames: Maximum number of frames of a video.

    Raises:
        DataError: The file is neither an image nor a video, is damaged, or exceeds a limit.
    """
    size = path.stat().st_size
    if size > max_megabytes * 1e6:
        raise DataError(f"{path.name} is too large: {size / 1e6:.1f} MB, allowed: at most {max_megabytes} MB.")
    try:
        kind = media_kind(path)
        if kind == "video":
            return _read_video(path, max_frames)
        if kind == "image":
            image, sent_size = _resized(read_image(path, max_pixels=MAX_IMAGE_PIXELS), LONGEST_SIDE)
            return Upload(path.stem, [image], None, None, sent_size, _stored_view(path, image.shape[:2]))
    except DataError as error:
        # The readers' messages contain the path on the server; visitors see only the file name.
        raise DataError(str(error).replace(str(path), path.name)) from None
    raise DataError(f"{path.name} is not an image or a video in a supported format. Upload a JPEG, PNG or MP4 file.")


def _read_video(path: Path, max_frames: int) -> Upload:
    too_long = f"{path.name} is too long: more than {max_frames} frames. Upload a shorter video, or use predict.py."
    with open_video(path, max_pixels=MAX_VIDEO_PIXELS) as video:
        if video.expected:
            # Reject by the header before decoding. Its duration may be off by half a second.
            if video.expected / video.rate > MAX_SECONDS:
                raise DataError(f"{path.name} is too long: more than {MAX_SECONDS} s. Upload a shorter video.")
            if video.expected > max_frames + video.rate / 2:
                raise DataError(too_long)
        one_more = itertools.islice(video.frames, max_frames + 1)
        frames, sent_sizes, times = zip(
            *((*_resized(pixels, LONGEST_VIDEO_SIDE), seconds) for pixels, seconds in one_more), strict=True
        )
    if len(frames) > max_frames:
        raise DataError(too_long)
    return Upload(path.stem, list(frames), list(times), video.rate, sent_sizes[0])


def _stored_view(path: Path, size: tuple[int, int]) -> float | None:
    """Return the horizontal field of view, degrees, of a photo's EXIF data; None if it is missing or implausible."""
    with open_image(path, max_pixels=MAX_IMAGE_PIXELS) as image:
        value = image.getexif().get_ifd(IFD.Exif).get(Base.FocalLengthIn35mmFilm)
    try:
        view = Camera.from_35mm_equivalent(float(value), size, "EXIF").view[0] if value else 0.0
    except (TypeError, ValueError, ArithmeticError):
        return None
    return view if VIEWS[0] <= view <= VIEWS[1] else None


def _resized(image: np.ndarray, longest: int) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Resize the image so that no side exceeds ``longest``.

    Returns:
        The image, and its original (width, height), or None if it was not resized.
    """
    height, width = image.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return image, None
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), (width, height)
