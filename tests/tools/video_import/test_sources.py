"""Frames of videos and folders: rotation, time stamps and damage."""

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from common.video import open_video
from tools.video_import.sources import open_source


def turn_in_header(path, matrix: tuple[int, ...]) -> None:
    """Write the display matrix of an MP4 track in 16.16 fixed point (ISO 14496-12, 8.3.2)."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    a, b, c, d = matrix
    values = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    content[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(content)


def frames_of(source, indices=None) -> list[np.ndarray]:
    return [frame.pixels for frame in source.read(range(len(source)) if indices is None else indices)]


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_rotation_of_a_phone_video_matches_opencv(tmp_path, pan, write_video, matrix):
    path = write_video(tmp_path / "phone.mp4", pan(range(5)))
    turn_in_header(path, matrix)
    source = open_source(path)
    reader = cv2.VideoCapture(str(path))
    for pixels in frames_of(source):
        expected = reader.read()[1][:, :, ::-1]
        assert pixels.shape == expected.shape
        assert abs(pixels.astype(int) - expected).mean() < 2
    assert source.size == ((192, 64) if matrix[0] == 0 else (64, 192))
    (grey,) = (frame.pixels for frame in source.read([2], grey_width=32))
    assert grey.shape == (round(source.size[0] * 32 / source.size[1]), 32)


def test_times_are_the_time_stamps_of_the_frames(tmp_path, pan, write_video):
    stamps = [0, 33, 66, 200, 240, 400]
    source = open_source(write_video(tmp_path / "video.mkv", pan(range(6)), stamps))
    np.testing.assert_allclose(source.times, np.array(stamps) / 1000, atol=1e-6)


def test_random_access_equals_sequential_reading(video):
    source = open_source(video)
    everything = frames_of(source)
    assert len(everything) == 60
    for index in (0, 17, 59):
        np.testing.assert_array_equal(frames_of(source, [index])[0], everything[index])


def test_undecodable_file_is_named(tmp_path, video):
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    with pytest.raises(DataError, match=r"notes\.mp4 cannot be read as a video"):
        open_source(text)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])  # without the frame index at its end
    with pytest.raises(DataError, match=r"cut\.mp4 cannot be read as a video"):
        open_source(cut)
    with pytest.raises(DataError, match="not found"):
        open_source(tmp_path / "none.mp4")


def test_damaged_frames_are_skipped(video):
    content = bytearray(video.read_bytes())
    start = content.index(b"mdat")
    middle, size = start + (len(content) - start) // 3, (len(content) - start) // 4
    content[middle : middle + size] = bytes(size)
    video.write_bytes(content)
    assert 10 < len(frames_of(open_source(video))) < 60


def test_images_of_a_folder_are_in_natural_order(tmp_path):
    for number in (1, 2, 10):
        Image.fromarray(np.full((6, 8, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    source = open_source(tmp_path)
    assert [int(pixels[0, 0, 0]) for pixels in frames_of(source)] == [1, 2, 10]
    assert source.size == (6, 8)
    Image.fromarray(np.zeros((5, 8, 3), np.uint8)).save(tmp_path / "11.png")
    with pytest.raises(DataError, match=r"11\.png is 8x5"):
        frames_of(open_source(tmp_path))


def numbered(path, codec: str, options: dict[str, str], count: int = 40) -> None:
    """Write a video whose frame n has a bar of brightness 6 n at its top, above a moving texture."""
    texture = cv2.blur(np.random.default_rng(0).integers(0, 256, (96, 400, 3), dtype=np.uint8), (9, 9))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for number in range(count):
            pixels = texture[:, 2 * number : 2 * number + 128].copy()
            pixels[:16] = 6 * number
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "codec", "options", "is_timed"),
    [
        ("a.avi", "libx264", {"bf": "3", "b_strategy": "0"}, False),
        ("a.avi", "libx264", {"bf": "0"}, True),
        ("a.avi", "mpeg4", {"bf": "2", "qmin": "2", "qmax": "3"}, True),
        ("a.ts", "libx264", {"bf": "3"}, True),
        ("a.flv", "libx264", {"bf": "3"}, True),
        ("a.mp4", "libx264", {"bf": "3"}, True),
        ("a.mkv", "mpeg4", {"bf": "2", "qmin": "2", "qmax": "3"}, True),
    ],
)
def test_frames_come_in_the_order_of_presentation(tmp_path, name, codec, options, is_timed):
    path = tmp_path / name
    numbered(path, codec, options)
    source = open_source(path)
    assert len(source) == 40 and source.stated_rate == (None if is_timed else 25)
    np.testing.assert_allclose(source.times, np.arange(40) / 25, atol=0.002)
    for indices in (range(40), range(3, 40, 5), [7, 8], [20, 39], [1, 20]):
        frames = list(source.read(indices))
        assert [frame.index for frame in frames] == list(indices)
        np.testing.assert_allclose([frame.pixels[2:12].mean() / 6 for frame in frames], indices, atol=0.6)
    with open_video(path) as video:
        brightness, times = zip(*((pixels[2:12].mean(), seconds) for pixels, seconds in video.frames), strict=True)
    np.testing.assert_allclose(np.array(brightness) / 6, range(40), atol=0.6)
    np.testing.assert_allclose(times, np.arange(40) / 25, atol=0.002)
