"""Videos of the built-in world: what --dashcam draws, and that the import finds it."""

import numpy as np
import pytest

from tools.synthetic.street_video import StreetVideo, dashcam_overlay, lens_camera
from tools.video_import.overlays import find_bars, find_overlays, sample_frames
from tools.video_import.sources import Source, SourceFrame

SIZE = (96, 160)


def test_dashcam_draws_bars_and_a_bonnet():
    drawn, covered = dashcam_overlay(SIZE)
    assert drawn.shape == (*SIZE, 3) and not drawn[:8].any() and not drawn[-8:].any()
    assert covered[:8].all() and covered[-8:].all() and not covered[8:75].any()  # bars of 8 rows, a bonnet below row 75
    assert covered[76, 80] and not covered[76, 5]  # which is highest in the middle


@pytest.mark.slow
def test_dashcam_covers_the_view_and_its_depth():
    camera = lens_camera(SIZE, "none")
    (plain, depth), (color, seen) = (StreetVideo((0, 1), 2, 30, camera, dashcam=given)(1) for given in (False, True))
    drawn, covered = dashcam_overlay(SIZE)
    assert color.dtype == np.uint8 and seen.dtype == np.float32
    np.testing.assert_array_equal(color, np.where(covered[..., None], drawn, plain))
    np.testing.assert_array_equal(seen, np.where(covered, 0, depth))


class DashcamSource(Source):
    """A short drive with bonnet and bars."""

    path, size, times = "the drive", SIZE, np.arange(120) / 30

    def __init__(self):
        self._video = StreetVideo((0, 1), len(self.times), 30, lens_camera(SIZE, "none"), dashcam=True)

    def read(self, indices, grey_width=None):
        for index in indices:
            yield SourceFrame(index, self._video(index)[0].mean(axis=2).astype(np.uint8))


@pytest.mark.slow
def test_the_import_finds_bars_and_bonnet():
    frames = sample_frames(DashcamSource())
    box = find_bars(frames, SIZE)
    assert (box.left, box.width) == (0, SIZE[1]) and 8 <= box.top <= 10 and SIZE[0] - 10 <= box.top + box.height <= 88
    mask = find_overlays([box.cut(frame) for frame in frames])
    bonnet = box.cut(dashcam_overlay(SIZE)[1])
    assert (mask & bonnet).sum() > 0.8 * bonnet.sum() and (mask & ~bonnet).mean() < 0.05
