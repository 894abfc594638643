"""Stride and selected frames of videos with known motion."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from street_source import source_of

from common.errors import DataError
from tools.video_import.frame_motion import choose_stride, select_frames
from tools.video_import.sources import Source, SourceFrame, open_source


@pytest.mark.parametrize(("pixels", "stride"), [(3.5, 1), (1.74, 2), (1.16, 3), (0.58, 6)])
def test_stride_matches_the_motion_of_kitti(tmp_path, pan, write_video, pixels, stride):
    """The target, 0.0181 of 192 pixels, is 3.475 pixels."""
    path = write_video(tmp_path / "video.mp4", pan(pixels * i for i in range(70)))
    chosen = choose_stride(open_source(path))
    assert chosen.frames == stride
    assert chosen.motion == pytest.approx(0.0181, rel=0.1)
    assert chosen.samples[1] == 0


def test_static_positions_are_ignored(tmp_path, pan, write_video):
    shifts = [*[0.0] * 140, *(1.74 * i for i in range(100))]
    chosen = choose_stride(open_source(write_video(tmp_path / "video.mp4", pan(shifts))))
    assert chosen.frames == 2
    samples, static = chosen.samples
    assert 0 < static < samples


class Pan(Source):
    """A wide texture that moves by the given pixels per frame."""

    path = "the pan"

    def __init__(self, steps):
        texture = np.random.default_rng(0).integers(0, 256, (16, 300), dtype=np.uint8)
        self.texture = cv2.resize(texture, None, fx=4, fy=4)
        self.shifts, self.times = np.cumsum(steps), np.arange(len(steps)) / 30

    def read(self, indices, grey_width=None):
        for index in indices:
            move = np.array([[1, 0, -self.shifts[index]], [0, 1, 0]])
            yield SourceFrame(index, cv2.warpAffine(self.texture, move, (192, 64)))


def test_sections_of_different_speed_get_different_strides():
    chosen = choose_stride(Pan([*[0.58] * 150, *[3.5] * 160]))
    assert [stride for _, stride in chosen.sections] == [6, 1]
    assert chosen.sections[1][0] == pytest.approx(150, abs=24)
    assert set(chosen.at_frames(310)) == {6, 1}
    selected = list(select_frames(np.arange(310) / 30, chosen.at_frames(310) / 30).values())
    assert selected[:3] == [0, 6, 12] and selected[-3:] == [307, 308, 309]


def test_short_video_gets_the_largest_stride_that_leaves_enough_frames(tmp_path, pan, write_video):
    chosen = choose_stride(open_source(write_video(tmp_path / "video.mp4", pan(0.58 * i for i in range(40)))))
    assert (chosen.frames, chosen.wanted) == (4, 6)


@pytest.mark.slow
def test_motorway(dashcam):
    """A real motorway at 25 frames/s: about 1 m per frame, mostly sky, horizon and smooth road."""
    chosen = choose_stride(open_source(dashcam / "motorway.mp4"), focal=0.785)
    assert {stride for _, stride in chosen.sections} <= {1, 2} and chosen.wanted is None


@pytest.mark.slow
def test_kitti(kitti_sample):
    """A real drive at 10 frames/s; the car accelerates from 0.44 to 0.9 m per frame in the first 5 s."""
    folder = next(kitti_sample.glob("*/*_sync")) / "image_02" / "data"
    chosen = choose_stride(open_source(folder))
    assert chosen.frames == 1


DRIVES = {
    "KITTI's speed": {},
    "motorway at 25 frames/s": {"metres": (1.2,), "height": 1.3},
    "half the speed": {"metres": (0.55,), "stretches": (60,)},
    "walking, 1.4 m/s at 30 frames/s": {"metres": (1.4 / 30,), "stretches": (300,), "shake": 0.2},
    "camera at 1.2 m": {"metres": (0.37,), "stretches": (60,), "height": 1.2},
    "camera at 2.2 m": {"metres": (0.37,), "stretches": (60,), "height": 2.2},
    "field of view of 50 degrees": {"metres": (0.37,), "stretches": (60,), "fov": 50},
    "field of view of 100 degrees": {"metres": (0.37,), "stretches": (60,), "fov": 100},
    "three quarters of sky": {"metres": (0.37,), "stretches": (60,), "horizon": 0.75},
    "bonnet": {"metres": (0.37,), "stretches": (60,), "bonnet": 0.2},
    "shaking": {"metres": (0.37,), "stretches": (60,), "shake": 0.5},
    "night": {"metres": (0.37,), "stretches": (60,), "night": True},
    "rain": {"metres": (0.37,), "stretches": (60,), "rain": 60},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIVES)
def test_stride_of_known_drives(name):
    """Selected frames are 1.1 m apart, within a factor of 1.5. ``pytest -rP`` prints the table of the documentation."""
    source = source_of(**DRIVES[name])
    chosen = choose_stride(source, source.focal)
    metres = float(source.steps[0])
    print(f"| {name} | {metres:.3g} | {chosen.frames} | {metres * chosen.frames:.2f} |")
    assert 1.1 / 1.5 <= metres * chosen.frames <= 1.1 * 1.5 and chosen.wanted is None


def test_static_video_is_an_error(tmp_path, pan, write_video):
    path = write_video(tmp_path / "video.mp4", pan([0.0] * 40))
    with pytest.raises(DataError, match=r"video\.mp4.*static"):
        choose_stride(open_source(path))


class DamagedSource(Source):
    """A source of which each read decodes the first requested frame and one more, at a different stride each time."""

    path, times, reads = Path("damaged.avi"), np.arange(300) / 30, 0

    def read(self, indices, grey_width=None):
        texture = np.random.default_rng(0).integers(0, 256, (64, 192), dtype=np.uint8)
        self.reads += 1
        other = indices[1 + self.reads % (len(indices) - 1)]
        yield SourceFrame(indices[0], texture)
        yield SourceFrame(other, np.roll(texture, 1, axis=1))


def test_mostly_undecodable_video_is_an_error():
    with pytest.raises(DataError, match=r"damaged\.avi is damaged: most frames"):
        choose_stride(DamagedSource())


def test_frames_are_selected_at_a_constant_interval():
    assert select_frames(np.arange(10) / 30, 0.1) == {0: 0, 1: 3, 2: 6, 3: 9}
    # Time stamps rounded to milliseconds: the rounding errors do not accumulate.
    stamps = np.array([round(1000 * i / 30) for i in range(300)]) / 1000
    assert select_frames(stamps, 0.099) == {i: 3 * i for i in range(100)}


def test_interval_is_constant_at_a_varying_frame_rate():
    times = np.array([0, 33, 66, 100, 200, 300, 400, 433, 466, 500]) / 1000  # 30 frames/s, 10, and 30 again
    assert select_frames(times, 0.1) == {0: 0, 1: 3, 2: 4, 3: 5, 4: 6, 5: 9}


def test_frames_on_both_sides_of_a_gap_are_not_neighbours():
    times = np.array([0.0, 0.1, 0.2, 1.0, 1.1])
    assert select_frames(times, 0.1) == {0: 0, 1: 1, 2: 2, 10: 3, 11: 4}
    times = np.array([0.0, 0.03, 0.2, 0.3])  # 0.03 is nearer to 0.1 than 0.2 is
    assert select_frames(times, 0.1) == {0: 0, 2: 2, 3: 3}
