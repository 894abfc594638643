"""Files of other types, special files and extreme sizes: each is named, quickly, with what to do."""

import os
import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hostile import write_video
from PIL import Image

from common.errors import DataError
from common.images import load_small_grey, read_image
from common.input_files import find_files, find_images, is_video
from common.video import open_container
from tools.video_import.sources import open_source

ROOT = Path(__file__).resolve().parents[2]
FRAMES = [Image.fromarray(np.full((8, 12, 3), grey, np.uint8)) for grey in (40, 80, 120)]
VIDEO_CODECS = {"ts": "libx264", "mts": "libx264", "m2ts": "libx264", "wmv": "wmv2", "flv": "flv", "3gp": "libx264"}


def ftyp(brand: bytes) -> bytes:
    return struct.pack(">I4s4sI4s4s", 24, b"ftyp", brand, 0, b"mif1", brand) + bytes(400)


def wide_png(width: int, height: int) -> bytes:
    """Return a PNG whose header states a size, with a compressed first part of its pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(width + 1)))


UNSUPPORTED = {  # name -> (content, expected message)
    "phone.heic": (ftyp(b"heic"), r"phone\.heic is an HEIC image.*magick phone\.heic phone\.jpg.*Supported are JPEG"),
    "renamed.jpg": (ftyp(b"mif1"), r"renamed\.jpg is an HEIC image.*magick"),
    "a b$(id).heic": (ftyp(b"heic"), r"magick 'a b\$\(id\)\.heic' 'a b\$\(id\)\.jpg'"),
    "web.avif": (ftyp(b"avif"), r"web\.avif is an AVIF image.*magick"),
    "drone.h264": (b"\0\0\0\x01\x67\x64\0\x0a" + bytes(99), r"raw H\.264 stream.*ffmpeg -i drone\.h264 .*drone\.mp4"),
    "drone.265": (b"\0\0\0\x01\x40\x01\x0c\x01" + bytes(99), r"raw H\.265 stream.*ffmpeg -i drone\.265"),
    "scan.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), r"JPEG 2000 image.*magick"),
    "new.jxl": (b"\xff\x0a" + bytes(99), r"JPEG XL image.*magick"),
    "art.psd": (b"8BPS" + bytes(99), r"Photoshop.*magick"),
    "depth.exr": (b"v/1\x01" + bytes(99), r"OpenEXR image.*magick"),
    "wide.png": (wide_png(99_000_000, 1), r"99000000x1 pixels, allowed: sides up to 65535"),
    "high.png": (wide_png(1, 99_000_000), r"1x99000000 pixels, allowed: sides up to 65535"),
}


def test_large_images_print_no_warning(tmp_path):
    """Pillow warns from half of the limit on."""
    (tmp_path / "large.png").write_bytes(wide_png(12_000, 12_000))
    code = "import sys\nfrom common.images import open_image\nwith open_image(sys.argv[1]) as image: print(image.size)"
    command = [sys.executable, "-c", code, str(tmp_path / "large.png")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (result.stdout, result.stderr) == ("(12000, 12000)\n", "")


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_images_are_named(tmp_path, name):
    content, message = UNSUPPORTED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["phone.heic", "drone.h264", "drone.265"])
def test_unsupported_videos_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(UNSUPPORTED[name][0])
    for read in (open_source, lambda path: open_container(path).__enter__()):
        with pytest.raises(DataError, match=rf"{name} cannot be read as a video: it is an? (HEIC|raw H).*Convert it"):
            read(tmp_path / name)


def test_images_and_videos_are_not_confused(tmp_path):
    write_video(tmp_path / "video.mp4").rename(tmp_path / "photo.jpg")
    FRAMES[0].save(tmp_path / "photo.png")
    (tmp_path / "photo.png").rename(tmp_path / "video.mp4")
    with pytest.raises(DataError, match=r"photo\.jpg is a video, expected an image"):
        read_image(tmp_path / "photo.jpg")
    with pytest.raises(DataError, match=r"video\.mp4 cannot be read as a video: it is an image"):
        open_source(tmp_path / "video.mp4")


@pytest.mark.parametrize(
    ("name", "what", "tool"),
    [
        ("a.gif", "GIF animation", "ffmpeg -i a.gif a.mp4"),
        ("a.webp", "WEBP animation", "ffmpeg -i a.webp a.mp4"),
        ("a.png", "PNG animation", "ffmpeg -i a.png a.mp4"),
        ("a.tif", "TIFF multi-page image", "magick a.tif a_%06d.png"),
    ],
)
def test_frames_are_not_lost_silently(tmp_path, name, what, tool):
    path = tmp_path / name
    FRAMES[0].save(path)
    assert read_image(path).shape == (8, 12, 3)
    FRAMES[0].save(path, save_all=True, append_images=FRAMES[1:])
    for read in (read_image, lambda file: load_small_grey(file, 6)):
        with pytest.raises(DataError, match=rf"{name} is a {what}, expected a single image.*{tool}"):
            read(path)


def test_thumbnails_and_previews_are_no_frames(tmp_path):
    FRAMES[0].save(tmp_path / "a.tif", save_all=True, append_images=[FRAMES[1].resize((6, 4))])
    FRAMES[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[FRAMES[1]])
    for name in ("a.tif", "a.jpg"):
        assert abs(read_image(tmp_path / name).astype(int) - 40).max() < 3


@pytest.mark.parametrize("ending", VIDEO_CODECS)
def test_videos_of_cameras_are_found_in_folders(tmp_path, ending):
    path = write_video(tmp_path / f"a.{ending}", range(40, 200, 10), rate=25, codec=VIDEO_CODECS[ending])
    assert find_files([str(tmp_path)]) == [path] and is_video(path)
    assert len(open_source(path)) >= 15


def test_skipped_files_are_counted(tmp_path):
    for name in ("1.png", "2.PNG", "a.heic", "b.HEIC", "c.mp4", "notes", ".hidden.heic"):
        (tmp_path / name).write_bytes(b"x")
    notes: list[str] = []
    assert [path.name for path in find_files([str(tmp_path)], notes.append)] == ["1.png", "2.PNG", "c.mp4"]
    assert find_images([str(tmp_path / "*")], notes.append)
    assert notes[0].endswith("that are no image or video by their extension: 2 .heic, 1 no extension")
    (tmp_path / "x.\x1b[31m").touch()
    find_files([str(tmp_path)], notes.append)
    assert notes.pop().isprintable()
    (tmp_path / "x.\x1b[31m").unlink()
    assert "Skipping 4 files of" in notes[1] and "2 .heic" in notes[1] and "1 .mp4" in notes[1]
    for name in ("1.png", "2.PNG", "c.mp4"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"no image or video \(found: 2 \.heic, 1 no extension; extensions"):
        find_files([str(tmp_path)])


@pytest.mark.parametrize("name", ["pipe.png", "pipe.mp4", "device.png"])
def test_special_files_do_not_block(tmp_path, name):
    if name.startswith("pipe"):
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    code = """
import sys
from common.errors import DataError
from common.images import read_image
from common.input_files import find_files, is_video
from tools.video_import.sources import open_source

for read in (read_image, open_source, lambda text: [is_video(path) for path in find_files([str(text)])]):
    try:
        read(__import__("pathlib").Path(sys.argv[1]))
    except DataError as error:
        print(error)
"""
    command = [sys.executable, "-c", code, str(tmp_path / name)]
    before = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pipe or a device, not a file") == 2 and time.monotonic() - before < 60


def test_missing_read_permission_is_named(tmp_path, monkeypatch):
    """The tests may run as root, who may read everything: the refusal is simulated."""
    FRAMES[0].save(tmp_path / "a.png")
    write_video(tmp_path / "a.mp4")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    for module in ("images", "video"):
        monkeypatch.setattr(f"common.{module}.open_file", refuse)
    for read, name in ((read_image, "a.png"), (open_source, "a.mp4")):
        with pytest.raises(DataError, match=rf"{name} cannot be read.*Permission denied") as raised:
            read(tmp_path / name)
        assert "damaged" not in str(raised.value)


def test_relative_names_with_a_colon(tmp_path, monkeypatch):
    write_video(tmp_path / "video.mp4").rename(tmp_path / "12:30:05.mp4")
    FRAMES[0].save(tmp_path / "12:31.png")
    monkeypatch.chdir(tmp_path)
    found = find_files(["12:30:05.mp4", "12:31.png", "*:*"])
    assert [path.name for path in found] == ["12:30:05.mp4", "12:31.png"]
    assert len(open_source(Path("12:30:05.mp4"))) == 3 and read_image("12:31.png").shape == (8, 12, 3)
