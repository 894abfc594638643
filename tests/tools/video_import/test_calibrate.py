"""Calibration from a video of a checkerboard, rendered with a known camera."""

import json
import sys

import cv2
import numpy as np
import pytest

from common.environment import run_script
from datasets.cameras import Camera
from tools import calibrate

CORNERS = 9, 6
SQUARE = 60  # pixels of the board's image


@pytest.fixture
def board_video(tmp_path, write_video):
    """Render a board in twelve poses at 640x480 with Brown's distortion; return the video and the camera."""
    lens = np.zeros(9)
    lens[:3] = [0, -0.2, 0.05]
    camera = Camera(np.array([[520.0, 0, 310], [0, 515.0, 250], [0, 0, 1]]), (480, 640), lens, "the truth")
    squares = np.indices((CORNERS[1] + 3, CORNERS[0] + 3)).sum(axis=0) % 2  # the outermost squares are the white border
    squares[[0, -1]] = squares[:, [0, -1]] = 1
    picture = np.kron(squares, np.full((SQUARE, SQUARE), 255)).astype(np.uint8)
    y, x = np.mgrid[:480, :640]
    rays = camera.rays(np.stack([x.ravel(), y.ravel()], axis=1).astype(float))
    rays = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    rng = np.random.default_rng(0)
    frames = []
    for number in range(12):
        tilt = rng.uniform(-0.5, 0.5, 3) * [1, 1, 0.3]
        R = cv2.Rodrigues(tilt)[0]
        centre = np.array([0.35 * (number % 4 - 1.5), 0.35 * (number // 4 - 1), 2.4])
        # Intersect each ray with the board's plane; a square is 0.15 wide.
        distance = (R[:, 2] @ centre) / (rays @ R[:, 2])
        on_board = (rays * distance[:, None] - centre) @ R[:, :2] / 0.15 * SQUARE
        on_board += (np.array(picture.shape[::-1]) - 1) / 2
        maps = on_board.reshape(480, 640, 2).astype(np.float32)
        image = cv2.remap(picture, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=200)
        frames.append(cv2.cvtColor(cv2.GaussianBlur(image, (3, 3), 0), cv2.COLOR_GRAY2RGB))
    return write_video(tmp_path / "board.mp4", frames), camera


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function: arguments -> (exit status, output)."""

    def run_(*arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["calibrate.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_script(calibrate.main)
            raise SystemExit(0)
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err

    return run_


def test_calibration_recovers_the_camera(tmp_path, board_video, run):
    video, camera = board_video
    status, printed = run(video, "--corners", "9x6", "--out", tmp_path / "camera.json")
    assert status == 0, printed
    found = json.loads((tmp_path / "camera.json").read_text())
    assert found["error_pixels"] < 0.3 and found["boards"] == 12
    assert [found[name] for name in ("fx", "fy", "cx", "cy")] == pytest.approx([520, 515, 310, 250], rel=0.01)
    # Coefficients may differ: compare the projections, in the region that the boards covered.
    made = Camera(
        np.array([[found["fx"], 0, found["cx"]], [0, found["fy"], found["cy"]], [0, 0, 1]]),
        (480, 640),
        np.array([0, *found["distortion"]]),
        "",
    )
    rays = camera.rays(np.array([[80.0, 110], [540, 110], [320, 240], [80, 390], [540, 390]]))
    assert abs(made.pixels(rays) - camera.pixels(rays)).max() < 1.5


def test_video_without_a_board_is_an_error(tmp_path, video, run):
    status, printed = run(video, "--corners", "9x6", "--out", tmp_path / "camera.json")
    assert status == 2 and "found the board in 0 positions" in printed
    status, printed = run(video, "--corners", "9", "--out", tmp_path / "camera.json")
    assert status == 2 and "--corners: got 9" in printed
