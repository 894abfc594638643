"""Videos: demuxer selection, no access to other files, limits, damaged files, and the writer."""

import resource
import signal
import subprocess
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hostile import VICTIM_GREY, external_reference, playlists, write_video

import common.video as video_module
from common.errors import DataError, UserError
from common.signatures import media_kind, video_format
from common.video import open_container, open_video
from common.video_writer import Mp4Writer
from tools.demo.upload import read_upload
from tools.video_import.sources import open_source

CONTAINERS = {
    "mov": ("a.mov", "libx264"), "mp4": ("a.mp4", "libx264"), "3gp": ("a.3gp", "libx264"), "mkv": ("a.mkv", "libx264"),
    "webm": ("a.webm", "libvpx"), "avi": ("a.avi", "mjpeg"), "ts": ("a.ts", "libx264"), "m2ts": ("a.m2ts", "libx264"),
    "mpg": ("a.mpg", "mpeg2video"), "flv": ("a.flv", "flv"), "wmv": ("a.wmv", "wmv2"), "ogv": ("a.ogv", "libtheora"),
}  # fmt: skip


def greys(path) -> list[int]:
    with open_video(path) as video:
        return [round(float(frame.pixels.mean())) for frame in video.frames]


@pytest.mark.parametrize("kind", CONTAINERS)
def test_supported_formats_are_read_under_any_name(tmp_path, kind):
    name, codec = CONTAINERS[kind]
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV has no {codec}")
    path = write_video(tmp_path / name, range(40, 200, 10), rate=25, codec=codec).rename(tmp_path / "video.dat")
    assert media_kind(path) == "video"
    found = greys(path)
    np.testing.assert_allclose(found[:16], range(40, 200, 10), atol=6)
    assert 15 <= len(found) <= 17


@pytest.mark.parametrize("name", ["img%03d.png", "12:30:05.mp4", "concat:a|b", "http:x.mp4", "b\udcff.mp4"])
def test_special_file_names_are_not_interpreted(tmp_path, monkeypatch, name):
    write_video(tmp_path / "video.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name, name):
        np.testing.assert_allclose(greys(path), [40, 80, 120], atol=4)


@pytest.mark.parametrize("name", ["dash.mp4", "hls.m3u8", "concat.mp4", "sdp.mp4", "text.mp4"])
def test_playlists_are_rejected(tmp_path, victim, name):
    path = tmp_path / name
    path.write_bytes(playlists(victim)[name])
    assert media_kind(path) is None
    for read in (greys, open_source, lambda file: read_upload(file, 10, 10)):
        with pytest.raises(DataError, match=rf"{name} (cannot be read as a video: its content is not|is not an image)"):
            read(path)
    if name == "hls.m3u8":  # FFmpeg follows the playlist if the demuxer is not forced: the threat is real
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        assert frame.to_ndarray(format="rgb24").mean() == pytest.approx(VICTIM_GREY, abs=4)


def test_external_references_are_not_followed(tmp_path, victim):
    path = tmp_path / "reference.mov"
    path.write_bytes(external_reference(victim, victim.name))
    with av.open(str(path), options={"enable_drefs": "1"}) as container:
        frame = next(container.decode(video=0))
    assert frame.to_ndarray(format="rgb24").mean() == pytest.approx(VICTIM_GREY, abs=4)
    for read in (greys, open_source, lambda file: read_upload(file, 10, 10)):
        with pytest.raises(DataError, match=r"reference\.mov is damaged"):
            read(path)


def test_still_images_in_mp4_containers_are_not_videos():
    assert video_format(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom") == "mov"
    for brand in (b"heic", b"avif", b"mif1"):
        assert video_format(b"\0\0\0\x18ftyp" + brand + bytes(12)) is None
    assert video_format(b"<!--ftypisom") is None and video_format(b"") is None


def test_options_reach_the_demuxer(tmp_path, monkeypatch):
    path = write_video(tmp_path / "video.mp4")
    monkeypatch.setattr("common.video._OPTIONS", {"protocol_whitelist": "crypto"})
    with pytest.raises(DataError), open_container(path):
        pass


def test_truncated_video_reports_the_frames_read(tmp_path):
    whole = write_video(tmp_path / "video.mp4", range(0, 250, 5), options={"movflags": "faststart"})
    path = tmp_path / "cut.mp4"
    content = whole.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2])
    count = 0
    with (
        pytest.raises(DataError, match=r"cut\.mp4 is damaged or truncated") as raised,
        open_video(path) as video,
    ):
        for _ in video.frames:
            count += 1
    assert 0 < count < 50 and f"after {count} frames" in str(raised.value)
    path.write_bytes(content[:400])
    with pytest.raises(DataError, match=r"cut\.mp4 "):
        greys(path)


TIMES = {  # of frames, seconds
    "phone": [*np.arange(30) / 30, *(1 + np.arange(22) / 15), *(1 + 22 / 15 + np.arange(46) / 30)],
    "dark": [*np.arange(20) / 10, *(2 + np.arange(120) / 60)],
    "jitter": np.append(0, np.cumsum(np.random.default_rng(0).uniform(1 / 60, 1 / 12, 60))),
    "still": [0, 0.1, 0.2, 3.0, 3.1],
}


def write_with_sound(path, times) -> None:
    """Write a video with these frame times, and a tone as long as the picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000)
        sound = container.add_stream("aac", rate=44_100, layout="mono")
        seconds = np.arange(round((times[-1] + 0.03) * 44_100)) / 44_100
        tone = np.sin(2 * np.pi * 440 * seconds).astype(np.float32)[np.newaxis]
        tone = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        tone.sample_rate = 44_100
        for frame in (tone, None):
            container.mux(sound.encode(frame))
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 + number, np.uint8))
            frame.pts, frame.time_base = round(time * 90_000), Fraction(1, 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def times_of(path) -> tuple[np.ndarray, float, float]:
    """Return the times of the frames since the first one, and where picture and sound end, by PyAV directly."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    with av.open(str(path)) as container:
        *_, last = container.decode(audio=0)
    times = np.array([frame.time for frame in frames])
    return times - times[0], times[-1], last.time + last.samples / last.sample_rate


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("name", TIMES)
def test_frames_keep_their_times(tmp_path, name, ending):
    path, out = tmp_path / f"video.{ending}", tmp_path / "out.mp4"
    write_with_sound(path, TIMES[name])
    with open_video(path) as video, Mp4Writer(out, video.rate, sound=path) as writer:
        for pixels, seconds in video.frames:
            writer.write(pixels, seconds)
    (expected, end, sound), (written, written_end, written_sound) = times_of(path), times_of(out)
    np.testing.assert_allclose(written, expected, atol=1e-4)
    assert written_end == pytest.approx(end, abs=1e-3) and written_sound == pytest.approx(sound, abs=0.05)
    assert len(greys(out)) == len(TIMES[name])


def test_damaged_clocks_ascend(tmp_path):
    """Times that are missing, repeated, slightly wrong, or those of two joined recordings."""
    path = write_video(tmp_path / "video.mkv", rate=10)
    with open_container(path) as container:
        stream = container.streams.video[0]
        given = [0.0, None, 0.2, 0.2, 0.19, 0.4, 100.0, 0.0, 0.1]
        timed = video_module._timed([SimpleNamespace(time=time) for time in given], stream, 10.0)
        seconds = [second for _, second in timed]
    np.testing.assert_allclose(seconds, [0, 0.1, 0.2, 0.2, 0.2, 0.4, 100, 100.1, 100.2], atol=1e-3)
    assert (np.diff(seconds) > 0).all()


def test_large_frames_are_rejected_before_decoding(tmp_path):
    path = write_video(tmp_path / "large.mp4", [0], (4096, 4096))
    with pytest.raises(DataError, match=r"^Video large\.mp4 is too large: .*4096x4096"):
        read_upload(path, 10, 10)


def test_long_videos_are_rejected_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr("common.video.decode_frames", None)
    path = write_video(tmp_path / "long.mp4", [0] * 40)
    with pytest.raises(DataError, match=r"^long\.mp4 is too long: more than 10 frames"):
        read_upload(path, 10, 10)
    path = write_video(tmp_path / "slow.mp4", [0] * 40, rate=30)
    monkeypatch.setattr("tools.demo.upload.MAX_SECONDS", 1)
    with pytest.raises(DataError, match=r"^slow\.mp4 is too long: more than 1 s"):
        read_upload(path, 10, 100)


def test_file_with_only_sound_is_rejected(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        for made in (frame, None):
            container.mux(stream.encode(made))
    with pytest.raises(DataError, match="only sound"):
        greys(tmp_path / "sound.mp4")


def test_full_disk_is_reported(tmp_path):
    """A limit of the file size simulates a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        with (
            pytest.raises(UserError, match=r"out\.mp4 cannot"),
            Mp4Writer(tmp_path / "out.mp4", 10) as writer,
        ):
            for shift in range(100):
                writer.write(np.roll(noise, shift * 7, axis=0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)


def test_no_external_program_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    path = write_video(tmp_path / "video.mp4")
    with open_video(path) as video, Mp4Writer(tmp_path / "out.mp4", video.rate) as writer:
        for frame in video.frames:
            writer.write(frame.pixels)
    assert len(greys(tmp_path / "out.mp4")) == 3
