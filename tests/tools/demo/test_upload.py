"""Uploads: accepted formats, resizing, and error messages."""

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from common.errors import DataError
from tools.demo.upload import read_upload


def test_image_is_read_unchanged(photo):
    upload = read_upload(photo, 1, 1)
    assert (upload.name, upload.rate, upload.sent_size) == ("a photo", None, None)
    np.testing.assert_array_equal(upload.frames[0], np.asarray(Image.open(photo)))


def test_large_image_is_resized(tmp_path):
    Image.new("L", (4096, 1024), 90).save(tmp_path / "wide.png")
    upload = read_upload(tmp_path / "wide.png", 10, 1)
    assert upload.frames[0].shape == (512, 2048, 3) and upload.sent_size == (4096, 1024)
    assert (upload.frames[0] == 90).all()


def test_video_is_read_with_its_frame_rate(clip):
    upload = read_upload(clip, 1, 5)
    assert upload.rate == pytest.approx(10) and len(upload.frames) == 5
    assert upload.frames[0].shape == (48, 64, 3)
    np.testing.assert_allclose([frame.mean() for frame in upload.frames], [40, 80, 120, 160, 200], atol=4)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"no picture", ["notes.txt is not an image"]),
        ("notes.jpg", b"no picture", ["notes.jpg is not an image"]),
        ("empty.png", b"", ["empty.png is not an image"]),
        ("cut.mp4", b"\0\0\0\x18ftypmp42" + bytes(30), ["cut.mp4"]),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", ["list.m3u8 is not an image"]),
    ],
)
def test_unsupported_file_is_rejected(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_upload(path, 1, 10)
    for word in words:
        assert word in str(raised.value)
    assert str(tmp_path) not in str(raised.value)


def test_error_for_a_truncated_image_hides_the_server_path(photo, tmp_path):
    cut = tmp_path / "cut.png"
    cut.write_bytes(photo.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"cut\.png") as raised:
        read_upload(cut, 1, 1)
    assert str(tmp_path) not in str(raised.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_files_above_the_limits_are_rejected(photo, clip, tmp_path):
    Image.new("1", (12_000, 9_000)).save(tmp_path / "poster.png")
    with pytest.raises(DataError, match=r"12000x9000.*50 million"):
        read_upload(tmp_path / "poster.png", 10, 1)
    Image.new("1", (20_000, 9_000)).save(tmp_path / "wall.png")
    with pytest.raises(DataError, match=r"wall\.png"):
        read_upload(tmp_path / "wall.png", 10, 1)
    photo.write_bytes(photo.read_bytes() + bytes(1_500_000))
    with pytest.raises(DataError, match=r"1\.5 MB.* 1 MB"):
        read_upload(photo, 1, 1)
    with pytest.raises(DataError, match="more than 4 frames"):
        read_upload(clip, 1, 4)


@pytest.mark.parametrize(
    ("millimetres", "degrees"),
    [(26, 69.4), (0, None), (2, None), (None, None)],  # 26 mm on 36x24 mm, and 3:2 photos: 2 atan(18 / 26)
)
def test_field_of_view_is_read_from_the_exif_data(tmp_path, millimetres, degrees):
    exif = Image.Exif()
    if millimetres is not None:
        exif.get_ifd(IFD.Exif)[Base.FocalLengthIn35mmFilm] = millimetres
    Image.new("RGB", (90, 60)).save(tmp_path / "photo.jpg", exif=exif)
    view = read_upload(tmp_path / "photo.jpg", 1, 1).field_of_view
    assert view == (None if degrees is None else pytest.approx(degrees, abs=0.1))
