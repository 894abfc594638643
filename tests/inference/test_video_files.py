"""Videos against OpenCV's reader and writer; colour range and timing by hand."""

import math

import av
import cv2
import numpy as np
import pytest

from common.atomic_files import atomic_file
from common.errors import DataError
from common.video import open_video
from inference.video_files import Clock, SteadyColours, VideoWriter

COLOURS = [(200, 30, 40), (20, 180, 60), (40, 60, 220)]  # RGB


@pytest.fixture
def drive(tmp_path):
    """Video of three plain 66x38 frames at 5 frames per second, written by OpenCV, with a tone."""
    silent, path = tmp_path / "silent.avi", tmp_path / "drive.mkv"
    writer = cv2.VideoWriter(str(silent), cv2.VideoWriter_fourcc(*"MJPG"), 5, (66, 38))
    for colour in COLOURS:
        writer.write(np.full((38, 66, 3), colour[::-1], np.uint8))
    writer.release()
    tone = np.sin(2 * np.pi * 440 * np.arange(26_460) / 44_100).astype(np.float32)[np.newaxis]  # 0.6 seconds
    with av.open(str(silent)) as source, av.open(str(path), "w") as container:
        picture = container.add_stream_from_template(source.streams.video[0])
        sound = container.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 44_100
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = picture
                container.mux(packet)
        for made in (frame, None):
            container.mux(sound.encode(made))
    return path


def test_frames_rate_and_sound_are_read(drive):
    with open_video(drive) as video:
        frames, times = zip(*video.frames, strict=True)
        np.testing.assert_allclose(times, [0, 0.2, 0.4], atol=1e-3)
        assert (video.rate, video.expected, video.has_sound) == (5, 3, True)
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert frame.shape == (38, 66, 3) and frame.dtype == np.uint8
        assert abs(frame.astype(int) - colour).max() < 12
    with open_video(drive.with_name("silent.avi")) as video:
        assert not video.has_sound


def test_files_that_are_not_videos_are_an_error(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 100)
    for name, message in (("bad.mp4", "cannot be read as a video"), ("none.mp4", "not found")):
        with pytest.raises(DataError, match=rf"{name} {message}"), open_video(tmp_path / name):
            pass


def write(path, sound=None, times=1, cut_sound=False, sizes=((38, 67),) * 3):
    disp = np.linspace(0, 1, 67, dtype=np.float32)
    with atomic_file(path) as stream, VideoWriter(stream, 5, sound, cut_sound) as writer:
        for colour, size in zip(COLOURS, sizes, strict=False):
            writer.write(np.full((*size, 3), colour, np.uint8), np.tile(disp, (size[0], 1)), times)


def read(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1][:, :, ::-1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


def test_a_video_of_frames_next_to_their_disparity(drive, tmp_path):
    write(tmp_path / "out.mp4", drive, sizes=((37, 67),) * 3)  # odd sizes are filled up
    frames, rate = read(tmp_path / "out.mp4")
    assert rate == 5 and [frame.shape for frame in frames] == [(38, 134, 3)] * 3
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert abs(frame[4:32, 4:60].astype(int) - colour).max() < 20
        assert frame[:, 126:132].mean() > 150 > 60 > frame[:36, 70:76].mean()  # near bright, far dark
    with av.open(str(tmp_path / "out.mp4")) as container:
        (picture,), (sound,) = container.streams.video, container.streams.audio
        assert (picture.codec_context.name, picture.pix_fmt, sound.codec_context.name) == ("h264", "yuv420p", "aac")
        assert float(container.duration / av.time_base) == pytest.approx(0.6, abs=0.1)
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.fft.rfftfreq(len(samples), 1 / 44_100)[spectrum.argmax()] == pytest.approx(440, abs=5)
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert not list(tmp_path.glob(".*"))


def test_repeated_frames_without_sound_and_sound_shorter_than_video(drive, tmp_path):
    write(tmp_path / "silent.mp4", times=2)
    assert len(read(tmp_path / "silent.mp4")[0]) == 6
    with av.open(str(tmp_path / "silent.mp4")) as container:
        assert not container.streams.audio
    for cut_sound, seconds in ((True, 0.2), (False, 0.6)):
        write(tmp_path / "short.mp4", drive, cut_sound=cut_sound, sizes=((38, 67),))
        assert len(read(tmp_path / "short.mp4")[0]) == 1
        with av.open(str(tmp_path / "short.mp4")) as container:
            *_, last = container.decode(audio=0)
        assert last.time + last.samples / 44_100 == pytest.approx(seconds, abs=0.05)


def test_a_failed_video_leaves_no_file(tmp_path):
    def fail():
        with atomic_file(tmp_path / "out.mp4") as stream, VideoWriter(stream, 5) as writer:
            writer.write(np.zeros((38, 66, 3), np.uint8), np.ones((38, 66), np.float32))
            raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        fail()
    assert not list(tmp_path.iterdir())


def test_the_colour_range_is_smoothed():
    """At 10 frames per second, the previous range has weight exp(-0.1)."""
    colours = SteadyColours(10)
    first = np.linspace(1, 2, 201, dtype=np.float32)[np.newaxis]  # the 95th percentile is 1.95
    np.testing.assert_array_equal(colours(first)[0, [0, 190, 200]], magma([0, 255, 255]))
    second = np.where(first > 1.5, 9, first)  # a near object appears: the 95th percentile becomes 9
    high = math.exp(-0.1) * 1.95 + (1 - math.exp(-0.1)) * 9
    np.testing.assert_array_equal(colours(second)[0, 100], magma([round(0.5 / (high - 1) * 255)])[0])


def magma(levels):
    return cv2.applyColorMap(np.array([levels], np.uint8), cv2.COLORMAP_MAGMA)[0, :, ::-1]


def test_camera_frames_are_repeated_in_real_time():
    seconds = iter([100.0, 100.0, 100.1, 100.5, 100.52])  # the first is when it begins
    clock = Clock(10, lambda: next(seconds))
    assert [clock.times() for _ in range(4)] == [1, 1, 4, 1]
