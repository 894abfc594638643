"""What a visitor sends: an image or a short video, or neither, which is said in a sentence that names no folder."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.errors import DataError
from common.images import read_image
from common.signatures import media_kind
from common.video import open_video

LONGEST_SIDE = 2048  # pixels of an image's longer side; larger ones are reduced, as a page has no use for more
LONGEST_VIDEO_SIDE = 640
# What is taken at most, by the header, since decoding keeps all other visitors waiting.
MAX_IMAGE_PIXELS = 50_000_000  # a phone's largest usual pictures are 8160x6120
MAX_VIDEO_PIXELS = 4096 * 2304  # of a frame: 4K
MAX_SECONDS = 120


@dataclass(frozen=True, eq=False)
class Upload:
    """What was sent, as it is to be predicted.

    Attributes:
        name: of the file, without its ending.
        frames: one or more, each uint8 (H, W, 3), RGB, all of one size.
        rate: frames a second; None for an image.
        sent_size: (width, height) as sent, where the frames are smaller.
    """

    name: str
    frames: list[np.ndarray]
    rate: float | None
    sent_size: tuple[int, int] | None


def read_upload(path: Path, max_megabytes: int, max_frames: int) -> Upload:
    """Reads an image or a video.

    Raises:
        DataError: it is neither, damaged, or too large.
    """
    size = path.stat().st_size
    if size > max_megabytes * 1e6:
        raise DataError(f"{path.name} is too large: {size / 1e6:.1f} MB, and at most {max_megabytes} MB are taken.")
    try:
        kind = media_kind(path)
        if kind == "video":
            frames, rate, sent_size = _read_video(path, max_frames)
            return Upload(path.stem, frames, rate, sent_size)
        if kind == "image":
            image, sent_size = _reduced(read_image(path, max_pixels=MAX_IMAGE_PIXELS), LONGEST_SIDE)
            return Upload(path.stem, [image], None, sent_size)
    except DataError as error:
        # Readers name the folder of the user's own files, which is nobody's business here.
        raise DataError(str(error).replace(str(path), path.name)) from None
    raise DataError(
        f"{path.name} is not an image or a video that can be read: send a JPEG, a PNG or an MP4, for example."
    )


def _read_video(path: Path, max_frames: int) -> tuple[list[np.ndarray], float, tuple[int, int] | None]:
    too_long = f"{path.name} is too long: more than {max_frames} frames. Cut it, or use predict.py on its images."
    with open_video(path, max_pixels=MAX_VIDEO_PIXELS) as video:
        if video.expected:
            # By the header, before decoding; half a second of it may be wrong.
            if video.expected / video.rate > MAX_SECONDS:
                raise DataError(f"{path.name} is too long: more than {MAX_SECONDS} s. Cut it.")
            if video.expected > max_frames + video.rate / 2:
                raise DataError(too_long)
        one_more = itertools.islice(video.frames, max_frames + 1)
        frames, sent_sizes = zip(*(_reduced(frame, LONGEST_VIDEO_SIDE) for frame in one_more), strict=True)
    if len(frames) > max_frames:
        raise DataError(too_long)
    return list(frames), video.rate, sent_sizes[0]


def _reduced(image: np.ndarray, longest: int) -> tuple[np.ndarray, tuple[int, int] | None]:
    """The image with no side above ``longest``, and its (width, height) as sent where that makes a difference."""
    height, width = image.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return image, None
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), (width, height)
