"""Convert PNG images to the JPEG format of the published results, and detect truncated files."""

import io
import os
from pathlib import Path

from common.atomic_files import atomic_file
from common.errors import DataError
from common.images import load_image
from datasets.lidar_scans import BYTES_PER_POINT

JPG = {"quality": 92, "subsampling": "4:2:0"}
_ENDS = {".jpg": b"\xff\xd9", ".png": b"\x00\x00\x00\x00IEND\xaeB`\x82"}


def png_to_jpg(png: bytes) -> bytes:
    """Convert a PNG image to JPEG, quality 92 with 4:2:0 chroma subsampling.

    Raises:
        ValueError: the image cannot be decoded.
    """
    try:
        photograph = load_image(io.BytesIO(png)).convert("RGB")
    except DataError as fault:
        raise ValueError(f"it cannot be decoded: {fault}") from fault
    jpg = io.BytesIO()
    photograph.save(jpg, "JPEG", **JPG)
    return jpg.getvalue()


def convert_png(path: Path) -> None:
    """Write a JPEG next to a PNG file atomically, then delete the PNG.

    Raises:
        ValueError: the image cannot be decoded.
    """
    jpg = png_to_jpg(path.read_bytes())
    with atomic_file(path.with_suffix(".jpg")) as stream:
        stream.write(jpg)
    path.unlink()


def is_complete(path: Path) -> bool:
    """Check by size and final bytes, without decoding, that a file exists and is not truncated."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            if path.suffix == ".bin":
                return size > 0 and size % BYTES_PER_POINT == 0
            end = _ENDS.get(path.suffix, b"")
            stream.seek(max(0, size - len(end)))
            return size > 0 and stream.read() == end
    except FileNotFoundError:
        return False
