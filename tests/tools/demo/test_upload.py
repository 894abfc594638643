"""What is taken, at which size, and the sentence for what is not."""

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from tools.demo.upload import read_upload


def test_an_image_is_taken_as_it_is(photo):
    upload = read_upload(photo, 1, 1)
    assert (upload.name, upload.rate, upload.sent_size) == ("a photo", None, None)
    np.testing.assert_array_equal(upload.frames[0], np.asarray(Image.open(photo)))


def test_a_large_image_is_reduced(tmp_path):
    Image.new("L", (4096, 1024), 90).save(tmp_path / "wide.png")
    upload = read_upload(tmp_path / "wide.png", 10, 1)
    assert upload.frames[0].shape == (512, 2048, 3) and upload.sent_size == (4096, 1024)
    assert (upload.frames[0] == 90).all()


def test_a_video_gives_its_frames_and_rate(film):
    upload = read_upload(film, 1, 5)
    assert upload.rate == pytest.approx(10) and len(upload.frames) == 5
    assert upload.frames[0].shape == (48, 64, 3)
    np.testing.assert_allclose([frame.mean() for frame in upload.frames], [40, 80, 120, 160, 200], atol=4)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"no picture", ["notes.txt is not an image"]),
        ("notes.jpg", b"no picture", ["notes.jpg is not an image"]),
        ("empty.png", b"", ["empty.png is not an image"]),
        ("cut.mp4", b"\0\0\0\x18ftypmp42" + bytes(30), ["cut.mp4 cannot be read as a video"]),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", ["list.m3u8 is not an image"]),
    ],
)
def test_what_is_neither_is_refused(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_upload(path, 1, 10)
    for word in words:
        assert word in str(raised.value)
    assert str(tmp_path) not in str(raised.value)


def test_a_truncated_image_is_refused_without_its_folder(photo, tmp_path):
    cut = tmp_path / "cut.png"
    cut.write_bytes(photo.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"cut\.png cannot be read") as raised:
        read_upload(cut, 1, 1)
    assert str(tmp_path) not in str(raised.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_too_large_is_refused(photo, film, tmp_path):
    Image.new("1", (12_000, 9_000)).save(tmp_path / "poster.png")
    with pytest.raises(DataError, match="12000x9000 pixels, and at most 50 million"):
        read_upload(tmp_path / "poster.png", 10, 1)
    Image.new("1", (20_000, 9_000)).save(tmp_path / "wall.png")
    with pytest.raises(DataError, match="too many pixels"):
        read_upload(tmp_path / "wall.png", 10, 1)
    photo.write_bytes(photo.read_bytes() + bytes(1_500_000))
    with pytest.raises(DataError, match=r"too large: 1\.5 MB, and at most 1 MB"):
        read_upload(photo, 1, 1)
    with pytest.raises(DataError, match="more than 4 frames"):
        read_upload(film, 1, 4)
