"""Tells the format of an image or video by the first bytes of its content, never by its name.

The format that is found here is the only one that a decoder may then try. Formats that run programs (EPS) or name
further files to read (playlists such as HLS and DASH, SDP, concatenation scripts) are not in these tables.
"""

import re
import struct
from pathlib import Path
from typing import Literal

HEAD_BYTES = 1024  # of the file, which tell its format

# Pillow's name -> how the content begins.
IMAGES = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "TIFF": re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"),
    "BMP": re.compile(rb"BM"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "PPM": re.compile(rb"P[1-6]\s"),
}
IMAGE_NAMES = "JPEG, PNG, WebP, TIFF, BMP, GIF or PPM"
# FFmpeg's demuxer -> how the content begins. What needs more than that is in `video_format`.
_VIDEOS = {
    "matroska": re.compile(rb"\x1a\x45\xdf\xa3"),
    "avi": re.compile(rb"RIFF....AVI ", re.DOTALL),
    "mpeg": re.compile(rb"\0\0\x01\xba"),
    "mpegvideo": re.compile(rb"\0\0\x01\xb3"),
    "flv": re.compile(rb"FLV\x01"),
    "asf": re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9"),
    "ogg": re.compile(rb"OggS\0"),
}
VIDEO_NAMES = "MP4, MOV, Matroska, WebM, AVI, MPEG, MPEG-TS, FLV, WMV or Ogg"
# Boxes that an MP4 or QuickTime file begins with (ISO/IEC 14496-12, 4.2); the first is the usual one.
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_LARGEST_BRANDS = 4096  # bytes of an ftyp box
# Brands of still images, which share the container.
_IMAGE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"jp2 ")


def image_format(head: bytes) -> str | None:
    """Names the image format in Pillow's words; None where the content is no image of `IMAGES`."""
    return next((name for name, pattern in IMAGES.items() if pattern.match(head)), None)


def video_format(head: bytes) -> str | None:
    """Names FFmpeg's demuxer for a video; None where the content is no video of a supported format."""
    if _is_mp4(head):
        return "mov"
    if any(_has_sync_bytes(head, start, length) for start, length in ((0, 188), (4, 192))):
        return "mpegts"
    return next((name for name, pattern in _VIDEOS.items() if pattern.match(head)), None)


def media_kind(path: Path) -> Literal["image", "video"] | None:
    """Tells an image from a video by the file's content; None for anything else.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
    if image_format(head):
        return "image"
    return "video" if video_format(head) else None


def _is_mp4(head: bytes) -> bool:
    """Checks the first box: a text such as ``<!--ftyp`` would have a box of 1 GB there."""
    if len(head) < 12 or head[4:8] not in _BOXES:
        return False
    (size,) = struct.unpack(">I", head[:4])
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        is_sane = 12 <= size <= _LARGEST_BRANDS and size % 4 == 0 and all(32 <= byte < 127 for byte in brand)
        return is_sane and brand not in _IMAGE_BRANDS
    if head[4:8] in (b"mdat", b"moov", b"free", b"skip"):
        # 0 means up to the file's end, 1 that a size of 64 bits follows. Printable text is no size.
        return size < 2 or (size >= 8 and not all(32 <= byte < 127 for byte in head[:4]))
    return 8 <= size <= _LARGEST_BRANDS


def _has_sync_bytes(head: bytes, start: int, length: int) -> bool:
    """Checks for the sync byte of each packet (ISO/IEC 13818-1, 2.4.3.2), of which there are at least three."""
    sync_bytes = head[start::length]
    return len(sync_bytes) >= 3 and set(sync_bytes) == {0x47}
