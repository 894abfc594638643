"""What a visitor sends: an image or a short video, or neither, which is said in a sentence that names no folder."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from common.errors import DataError
from common.input_files import read_image
from inference.video_files import open_video

LONGEST_SIDE = 2048  # pixels of an image's longer side; larger ones are reduced, as a page has no use for more
LONGEST_VIDEO_SIDE = 640
MOST_PIXELS = 100e6  # of an image as sent: more would take too much memory to decode


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
    if _is_video(path):
        frames, rate, sent_size = _read_video(path, max_frames)
        return Upload(path.stem, frames, rate, sent_size)
    image, sent_size = _read_image(path)
    return Upload(path.stem, [image], None, sent_size)


def _read_image(path: Path) -> tuple[np.ndarray, tuple[int, int] | None]:
    neither = f"{path.name} is not an image or a video that can be read: send a JPEG, a PNG or an MP4, for example."
    try:
        with Image.open(path) as image:
            width, height = image.size
        if width * height > MOST_PIXELS:
            raise DataError(
                f"{path.name} is too large: {width}x{height} pixels, and at most {MOST_PIXELS / 1e6:.0f} million are "
                "taken. Make it smaller."
            )
        return _reduced(read_image(path), LONGEST_SIDE)
    except Image.DecompressionBombError:
        raise DataError(f"{path.name} is too large: it has too many pixels. Make it smaller.") from None
    except Image.UnidentifiedImageError:
        raise DataError(neither) from None
    except DataError as error:
        # What reads files of the user's own names their folder, which is nobody's business here.
        raise DataError(str(error).replace(str(path), path.name)) from None
    except (OSError, SyntaxError, ValueError):
        raise DataError(neither) from None


def _is_video(path: Path) -> bool:
    """Whether the file begins as MP4, MOV, WebM, Matroska or AVI.

    Nothing else reaches the video reader: some formats name further files or addresses to read.
    """
    with open(path, "rb") as stream:
        head = stream.read(12)
    return head[4:8] == b"ftyp" or head[:4] == b"\x1a\x45\xdf\xa3" or (head[:4], head[8:]) == (b"RIFF", b"AVI ")


def _read_video(path: Path, max_frames: int) -> tuple[list[np.ndarray], float, tuple[int, int] | None]:
    try:
        with open_video(path) as video:
            one_more = itertools.islice(video.frames, max_frames + 1)
            frames, sent_sizes = zip(*(_reduced(frame, LONGEST_VIDEO_SIDE) for frame in one_more), strict=True)
    except DataError:  # which names the folder
        raise DataError(f"{path.name} is a video that cannot be read, or has no frames.") from None
    if len(frames) > max_frames:
        raise DataError(
            f"{path.name} is too long: more than {max_frames} frames. Cut it, or use predict.py on its images."
        )
    return list(frames), video.rate, sent_sizes[0]


def _reduced(image: np.ndarray, longest: int) -> tuple[np.ndarray, tuple[int, int] | None]:
    """The image with no side above ``longest``, and its (width, height) as sent where that makes a difference."""
    height, width = image.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return image, None
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), (width, height)
