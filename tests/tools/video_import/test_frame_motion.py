"""Stride and selected frames of videos with known motion."""

from pathlib import Path

import numpy as np
import pytest

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
