"""Detect the format of an image or video from its first bytes, never from its file name.

Decoders may try only the format detected here. The tables exclude formats that can run programs (EPS) or refer to other
files (HLS and DASH playlists, SDP, concatenation scripts).
"""

import errno
import os
import re
import stat
import struct
from pathlib import Path
from typing import BinaryIO, Literal

from common.errors import shell_quoted

HEAD_BYTES = 1024  # bytes read to detect a format

# Pillow's format name -> signature at the start of the file.
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
# FFmpeg's demuxer -> signature. MP4 and MPEG-TS need more than a prefix, see ``video_format``.
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
# First boxes of MP4 and QuickTime files (ISO/IEC 14496-12, 4.2), the most common one first.
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_LARGEST_BRANDS = 4096  # bytes, upper limit of an ftyp box
# Brands of still images, which use the same container.
_IMAGE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"jp2 ")

# Formats that are not read: name, program that converts a file, and extension of its output -> signature.
_RAW_STREAM = "ffmpeg -i {} -c copy", ".mp4"
_UNSUPPORTED = {
    ("a raw H.264 stream without time stamps", *_RAW_STREAM): re.compile(rb"\0?\0\0\x01[\x09\x27\x47\x67]"),
    ("a raw H.265 stream without time stamps", *_RAW_STREAM): re.compile(rb"\0?\0\0\x01[\x40\x46]\x01"),
    ("a JPEG 2000 image", "magick {}", ".png"): re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    ("a JPEG XL image", "magick {}", ".png"): re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "),
    ("a Photoshop document", "magick {}'[0]'", ".png"): re.compile(rb"8BPS"),
    ("an OpenEXR image", "magick {}", ".png"): re.compile(rb"v/1\x01"),
}


def open_file(path: str | os.PathLike) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        OSError: The file cannot be opened, or is a pipe or device, which could block or never end.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return open(path, "rb")


def unsupported_format(head: bytes, name: str) -> str | None:
    """Describe content that is neither a supported image nor a supported video, and how to convert it.

    Args:
        head: First bytes of the file.
        name: Name of the file, for the example of a conversion.

    Returns:
        The end of a sentence that begins with the name of the file, and the conversion; None for unknown content.
    """
    found = next((about for about, pattern in _UNSUPPORTED.items() if pattern.match(head)), None)
    if head[:2] == b"\0\0" and head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS:
        found = f"an {'AVIF' if head[8:11] == b'avi' else 'HEIC'} image", "magick {}", ".jpg"
    if found is None:
        return None
    what, program, ending = found
    target = (name.rpartition(".")[0] or name) + ending
    return f"is {what}. Convert it, for example: {program.format(shell_quoted(name))} {shell_quoted(target)}"


def image_format(head: bytes) -> str | None:
    """Return Pillow's name of the image format, or None if it is not in ``IMAGES``."""
    return next((name for name, pattern in IMAGES.items() if pattern.match(head)), None)


def video_format(head: bytes) -> str | None:
    """Return FFmpeg's demuxer for the video format, or None if it is not supported."""
    if _is_mp4(head):
        return "mov"
    if any(_has_sync_bytes(head, start, length) for start, length in ((0, 188), (4, 192))):
        return "mpegts"
    return next((name for name, pattern in _VIDEOS.items() if pattern.match(head)), None)


def media_kind(path: Path) -> Literal["image", "video"] | None:
    """Classify a file as image or video by its content; return None for anything else.

    Raises:
        OSError: The file cannot be read.
    """
    with open_file(path) as stream:
        head = stream.read(HEAD_BYTES)
    if image_format(head):
        return "image"
    return "video" if video_format(head) else None


def _is_mp4(head: bytes) -> bool:
    """Check for a valid first box. Text such as ``<!--ftyp`` is rejected: read as a box, it would have 1 GB."""
    if len(head) < 12 or head[4:8] not in _BOXES:
        return False
    (size,) = struct.unpack(">I", head[:4])
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        is_sane = 12 <= size <= _LARGEST_BRANDS and size % 4 == 0 and all(32 <= byte < 127 for byte in brand)
        return is_sane and brand not in _IMAGE_BRANDS
    if head[4:8] in (b"mdat", b"moov", b"free", b"skip"):
        # Size 0 means up to the end of the file, 1 that a 64-bit size follows. Printable text is not a size.
        return size < 2 or (size >= 8 and not all(32 <= byte < 127 for byte in head[:4]))
    return 8 <= size <= _LARGEST_BRANDS


def _has_sync_bytes(head: bytes, start: int, length: int) -> bool:
    """Check for the sync byte of at least three packets (ISO/IEC 13818-1, 2.4.3.2)."""
    sync_bytes = head[start::length]
    return len(sync_bytes) >= 3 and set(sync_bytes) == {0x47}
