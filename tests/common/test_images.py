"""Reading images: formats, orientation, bit depth, rejected files; no external program is started."""

import io

import numpy as np
import pytest
from hostile import EPS
from PIL import Image

from common.errors import DataError
from common.images import load_image, load_small_grey, open_image, read_image

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP", "gif": "GIF", "ppm": "PPM"}


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize("ending", FORMATS)
def test_content_determines_the_format(tmp_path, pixels, ending):
    path = tmp_path / "image.dat"
    Image.fromarray(pixels).save(path, FORMATS[ending])
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read_image(path), expected)
    with open(path, "rb") as stream:
        np.testing.assert_array_equal(read_image(stream), expected)
    assert load_image(path).mode == "RGB"


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.eps"])
def test_eps_is_rejected_under_any_name(tmp_path, ghostscript, name):
    (tmp_path / name).write_bytes(EPS)
    with pytest.raises(DataError, match=rf"{name} is not a JPEG, PNG, "):
        load_image(tmp_path / name)
    assert not ghostscript.exists()


def test_fake_ghostscript_detects_its_use(tmp_path, ghostscript):
    (tmp_path / "photo.png").write_bytes(EPS)
    with pytest.raises(Exception), Image.open(tmp_path / "photo.png") as image:  # noqa: B017
        image.load()
    assert ghostscript.exists()


def test_eps_behind_an_image_signature_is_rejected(tmp_path, ghostscript):
    for head in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0", b"GIF89a", b"BM", b"P6\n"):
        (tmp_path / "photo.png").write_bytes(head + EPS)
        with pytest.raises(DataError, match=r"photo\.png cannot be read"):
            load_image(tmp_path / "photo.png")
    assert not ghostscript.exists()


def test_messages_distinguish_faults(tmp_path, pixels):
    path = tmp_path / "image.png"
    for words in ("not found", "the file is empty", "header is damaged", "is damaged or truncated"):
        with pytest.raises(DataError, match=words) as raised:
            read_image(path)
        assert str(raised.value).startswith(f"Image {path} ")
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "PNG")
        path.write_bytes(data.getvalue()[: {"not found": 0, "the file is empty": 20}.get(words, 60)])
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read_image(tmp_path)
    Image.fromarray(pixels).save(path)
    with pytest.raises(DataError, match=r"too large.* 4x6 pixels"):
        read_image(path, max_pixels=23)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb_is_rejected_by_its_header(tmp_path):
    data = io.BytesIO()
    Image.new("L", (1, 1)).save(data, "PNG")
    content = bytearray(data.getvalue())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(DataError, match="too large"):
        load_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, pixels, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        expected = ImageOps.exif_transpose(image)
    np.testing.assert_array_equal(read_image(path), np.asarray(expected))
    size, grey = load_small_grey(path, 3)
    assert size == (expected.height, expected.width)
    small = expected.convert("L").resize((3, max(1, round(size[0] * 3 / size[1]))), Image.Resampling.BOX)
    np.testing.assert_array_equal(grey, np.asarray(small))


def test_16_bits_are_reduced_to_the_upper_8(tmp_path):
    values = np.array([[0, 255, 256], [4095, 32768, 65535]], np.uint16)
    for name in ("grey.png", "grey.tif"):
        Image.fromarray(values).save(tmp_path / name)
        image = load_image(tmp_path / name)
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), [[0, 0, 1], [15, 128, 255]])
    with open_image(tmp_path / "grey.png") as stored:
        np.testing.assert_array_equal(np.asarray(stored), values)


def test_8_bit_images_are_not_copied_and_floats_are_rejected(tmp_path, pixels, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "rgb.png")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "grey.png")
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match="floating-point"):
        load_image(tmp_path / "float.tif")
    monkeypatch.delattr(Image.Image, "convert")
    assert [load_image(tmp_path / name).mode for name in ("rgb.png", "grey.png")] == ["RGB", "L"]
