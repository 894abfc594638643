import io

import numpy as np
import pytest
from PIL import Image

from tools.kitti.jpeg_conversion import convert_png, is_complete, png_to_jpg

# Annex K of the JPEG standard, the tables of quality 50.
LUMINANCE = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
CHROMINANCE = """17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"""


def test_quality_92_and_chroma_at_half_resolution(kit):
    png = kit.png_bytes(3, (96, 48))
    with Image.open(io.BytesIO(png_to_jpg(png))) as jpg, Image.open(io.BytesIO(png)) as photograph:
        assert (jpg.format, jpg.mode, jpg.size) == ("JPEG", "RGB", (96, 48))
        for number, table in enumerate((LUMINANCE, CHROMINANCE)):
            # The Independent JPEG Group's scale: 200 - 2 * 92 = 16 % of the table.
            expected = [max(1, (int(value) * 16 + 50) // 100) for value in table.split()]
            assert jpg.quantization[number] == expected
        factors = [(horizontal, vertical) for _, horizontal, vertical, _ in jpg.layer]
        assert factors == [(2, 2), (1, 1), (1, 1)]
        difference = np.abs(np.asarray(jpg, float) - np.asarray(photograph, float))
    assert difference.mean() < 3


@pytest.mark.parametrize("cut", [0, 30, 400])
def test_undecodable_png_is_kept(tmp_path, kit, cut):
    path = tmp_path / "0000000001.png"
    path.write_bytes(kit.png_bytes(1)[:cut])
    with pytest.raises(ValueError, match="cannot be decoded"):
        convert_png(path)
    assert list(tmp_path.iterdir()) == [path]


def test_jpg_replaces_the_png(tmp_path, kit):
    path = tmp_path / "0000000001.png"
    path.write_bytes(kit.png_bytes(1))
    path.with_suffix(".jpg").write_bytes(b"half a jpg")
    convert_png(path)
    assert [file.name for file in tmp_path.iterdir()] == ["0000000001.jpg"]
    assert path.with_suffix(".jpg").read_bytes() == png_to_jpg(kit.png_bytes(1))


def test_complete_and_truncated_files(tmp_path, kit):
    png = kit.png_bytes(1)
    contents = {".png": png, ".jpg": png_to_jpg(png), ".bin": bytes(48), ".txt": b"P0: 1\n"}
    for suffix, content in contents.items():
        path = tmp_path / f"file{suffix}"
        assert not is_complete(path)
        path.write_bytes(content)
        assert is_complete(path)
        path.write_bytes(b"")
        assert not is_complete(path)
    for suffix in (".png", ".jpg", ".bin"):
        (tmp_path / f"file{suffix}").write_bytes(contents[suffix][:-1])
        assert not is_complete(tmp_path / f"file{suffix}")
