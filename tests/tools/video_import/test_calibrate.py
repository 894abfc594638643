"""Calibration: checkerboards rendered with a known camera, exact corners, and real photos."""

import functools
import json
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from common.environment import run_script
from datasets.cameras import Camera, is_invertible
from tools import calibrate as command
from tools.video_import.board_detection import Board, is_even
from tools.video_import.camera_calibration import calibrate

CORNERS = 9, 6
SQUARE = 60  # pixels of the board's image


LENSES = {"brown": [0, -0.2, 0.05], "fisheye": [1, -0.03, 0.002]}


def camera_of(lens: str) -> Camera:
    distortion = np.zeros(9)
    distortion[: len(LENSES[lens])] = LENSES[lens]
    return Camera(np.array([[520.0, 0, 310], [0, 515.0, 250], [0, 0, 1]]), (480, 640), distortion, "the truth")


@functools.cache
def image_rays(lens: str) -> np.ndarray:
    """Rays (640 * 480, 3) of all pixels."""
    y, x = np.mgrid[:480, :640]
    rays = camera_of(lens).rays(np.stack([x.ravel(), y.ravel()], axis=1).astype(float))
    return np.concatenate([rays, np.ones((len(rays), 1))], axis=1)


def render_board(lens: str, number: int, offset: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Render the board as seen through a lens, uint8 (480, 640, 3), in one of twelve poses, moved by an offset."""
    squares = np.indices((CORNERS[1] + 3, CORNERS[0] + 3)).sum(axis=0) % 2  # the outermost squares are the white border
    squares[[0, -1]] = squares[:, [0, -1]] = 1
    picture = np.kron(squares, np.full((SQUARE, SQUARE), 255)).astype(np.uint8)
    rays = image_rays(lens)
    tilt = np.random.default_rng(number).uniform(-0.5, 0.5, 3) * [1, 1, 0.3]
    R = cv2.Rodrigues(tilt)[0]
    centre = np.array([0.35 * (number % 4 - 1.5) + offset[0], 0.35 * (number // 4 - 1) + offset[1], 2.4])
    # Intersect each ray with the board's plane; a square is 0.15 wide.
    distance = (R[:, 2] @ centre) / (rays @ R[:, 2])
    on_board = (rays * distance[:, None] - centre) @ R[:, :2] / 0.15 * SQUARE
    on_board += (np.array(picture.shape[::-1]) - 1) / 2
    maps = on_board.reshape(480, 640, 2).astype(np.float32)
    image = cv2.remap(picture, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=200)
    return cv2.cvtColor(cv2.GaussianBlur(image, (3, 3), 0), cv2.COLOR_GRAY2RGB)


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function: arguments -> (exit status, output)."""

    def run_(*arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["calibrate.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_script(command.main)
            raise SystemExit(0)
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err

    return run_


def saved_camera(path) -> Camera:
    """Read the camera without the project's reader."""
    found = json.loads(path.read_text())
    K = np.array([[found["fx"], 0, found["cx"]], [0, found["fy"], found["cy"]], [0, 0, 1]])
    distortion = np.zeros(9)
    distortion[0] = found["model"] == "fisheye"
    distortion[1 : 1 + len(found["distortion"])] = found["distortion"]
    return Camera(K, (480, 640), distortion, "")


def save_photos(folder, images) -> None:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png", compress_level=1)


@pytest.mark.parametrize("lens, given", [("brown", ("--corners", "9x6")), ("fisheye", ("--fisheye",))])
def test_calibration_recovers_the_camera(tmp_path, write_video, run, lens, given):
    """With and without ``--corners``. Coefficients may differ: projections are compared where the boards were."""
    camera = camera_of(lens)
    video = write_video(tmp_path / "board.mp4", [render_board(lens, number) for number in range(12)])
    status, printed = run(video, *given, "--out", tmp_path / "camera.json")
    assert status == 0, printed
    assert ("The board has 9x6 inner corners" in printed) == ("--corners" not in given)
    found = json.loads((tmp_path / "camera.json").read_text())
    assert found["error_pixels"] < 0.3 and found["boards"] >= 11 and found["model"] == lens
    errors = found["errors_pixels_by_image"]
    assert len(errors) == found["boards"] and set(errors) <= {f"frame {number}" for number in range(12)}
    assert np.sqrt(np.mean(np.square(list(errors.values())))) == pytest.approx(found["error_pixels"], rel=1e-3)
    made = saved_camera(tmp_path / "camera.json")
    np.testing.assert_allclose(made.K, camera.K, rtol=0.01)
    rays = camera.rays(np.array([[80.0, 110], [540, 110], [320, 240], [80, 390], [540, 390]]))
    assert abs(made.pixels(rays) - camera.pixels(rays)).max() < 1.5
    with Image.open(tmp_path / "camera_board.png") as picture:
        assert picture.size == (2 * 640, 480)


def test_partly_visible_boards_and_images_of_another_size(tmp_path, run):
    """Half of the boards leave the image. Two photos of another size are named and skipped."""
    camera = camera_of("brown")
    offsets = [(0, 0) if number % 2 else (0.75 * (number % 4 - 1), 0) for number in range(12)]
    photos = [render_board("brown", number, offset) for number, offset in enumerate(offsets)]
    save_photos(tmp_path / "photos", [*photos, photos[0][1:, 1:], photos[1][1:, 1:]])
    status, printed = run(tmp_path / "photos", "--out", tmp_path / "camera.json")
    assert status == 0, printed
    assert "2 images are not 640x480 like the others and are skipped: 12.png (639x479), 13.png (639x479)" in printed
    assert "The board has 9x6 inner corners" in printed and printed.count("corners visible") >= 3
    np.testing.assert_allclose(saved_camera(tmp_path / "camera.json").K, camera.K, rtol=0.01)


def perfect_boards(camera: Camera, shape=(6, 9)) -> list[Board]:
    """Corners of eight boards by projection."""
    y, x = np.indices(shape)
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1) * 0.15
    boards = []
    for number in range(8):
        tilt, place = np.random.default_rng(number).uniform(-0.5, 0.5, (2, 3)) * [[1, 1, 0.3], [1, 0.6, 0]]
        seen = (points - points.mean(axis=0)) @ cv2.Rodrigues(tilt)[0].T + place + [0, 0, 2.4]
        boards.append(Board(number, shape, camera.pixels(seen[:, :2] / seen[:, 2:])))
    return boards


def test_calibration_matches_opencv_and_leaves_out_wrong_boards():
    """The truth and OpenCV's own result on the same corners; then one board with rows that are mixed up."""
    camera = camera_of("brown")
    boards = perfect_boards(camera)
    grid = np.stack(np.meshgrid(np.arange(9), np.arange(6), [0]), axis=-1).reshape(-1, 3).astype(np.float32)
    corners = [board.corners.astype(np.float32) for board in boards]
    _, K, coefficients, *_ = cv2.calibrateCamera([grid] * 8, corners, (640, 480), None, None)
    found = calibrate(boards, (480, 640), fisheye=False)
    np.testing.assert_allclose(found.camera.K, K, rtol=1e-6)
    np.testing.assert_allclose(found.camera.distortion[1:6], np.ravel(coefficients), atol=1e-6)
    np.testing.assert_allclose(found.camera.K, camera.K, rtol=1e-3)
    assert found.error < 0.01 and found.errors.max() < 0.01 and not found.rejected

    rows = boards[3].corners.reshape(6, 9, 2)[[1, 0, 2, 3, 4, 5]]
    wrong = boards[3]._replace(corners=rows.reshape(-1, 2))
    mended = calibrate([*boards[:3], wrong, *boards[4:]], (480, 640), fisheye=False)
    assert [board.frame for board in mended.rejected] == [3] and len(mended.boards) == 7
    np.testing.assert_allclose(mended.camera.K, camera.K, rtol=1e-3)


def test_distortion_that_folds_the_image_is_estimated_again_without_k3():
    """Noisy corners in the middle of the image say nothing about its border."""
    camera = camera_of("brown")
    boards = [
        board._replace(corners=(board.corners - 300) * 0.4 + 300 + np.random.default_rng(5).normal(0, 0.5, (54, 2)))
        for board in perfect_boards(camera)
    ]
    found = calibrate(boards, (480, 640), fisheye=False)
    assert is_invertible(found.camera) and found.camera.distortion[5] == 0


def test_grid_with_a_skipped_column_is_uneven():
    y, x = np.indices((6, 9)).astype(float)
    grid = np.stack([50 * x, 50 * y], axis=-1)
    tilted = grid / (1 + x / 20)[..., None]  # each square 0.9 times as wide as its neighbour
    assert is_even(grid) and is_even(tilted)
    assert not is_even(np.delete(tilted, 4, axis=1)) and not is_even(np.delete(tilted, 4, axis=0))


def test_real_photos(dashcam, tmp_path, run):
    """Two photos are one pixel larger, and two show a part of the board; the others agree with OpenCV's plain recipe.

    The recipe (``findChessboardCorners``, ``cornerSubPix``, ``calibrateCamera`` on the 15 photos of size 1280x720 in
    which it finds the whole board) gives fx 1158.8, fy 1154.1, cx 669.6, cy 388.1 and 0.85 pixels.
    """
    status, printed = run(dashcam / "checkerboards", "--corners", "9x6", "--out", tmp_path / "camera.json")
    assert status == 0 and "calibration7.jpg (1281x721), calibration15.jpg (1281x721)" in printed
    assert "calibration1.jpg" in printed and "9x5 corners visible" in printed and "8x6 corners visible" in printed
    found = json.loads((tmp_path / "camera.json").read_text())
    assert found["boards"] == 18 and found["error_pixels"] < 1
    assert [found[name] for name in ("fx", "fy")] == pytest.approx([1158.8, 1154.1], rel=0.01)
    assert [found[name] for name in ("cx", "cy")] == pytest.approx([669.6, 388.1], abs=10)


def test_bad_input(tmp_path, run):
    sharp = [render_board("brown", number) for number in range(6)]
    folders = {
        "blurred": [cv2.GaussianBlur(image, (0, 0), 15) for image in sharp],
        "sizes": [sharp[0][number:] for number in range(6)],
        "one": sharp[:1],
        "smaller": sharp,
    }
    for name, images in folders.items():
        save_photos(tmp_path / name, images)
    cases = [
        (tmp_path / "blurred", (), "found the board in 0 positions in 6 searched frames, expected at least 6"),
        (tmp_path / "sizes", (), "6 sizes, none of them that of more than half of the images: 1 of 640x480"),
        (tmp_path / "one", (), "has 1 usable frames, expected at least 6 views"),
        (tmp_path / "one" / "0.png", (), "is one photo, expected at least 6 views"),
        (tmp_path / "smaller", ("--corners", "5x4"), "Larger boards, such as 9x6 corners, were found"),
        (tmp_path / "one", ("--corners", "9"), "--corners: got 9"),
    ]
    for path, given, message in cases:
        status, printed = run(path, *given, "--out", tmp_path / "camera.json")
        assert status == 2 and message in printed, printed
    assert not (tmp_path / "camera.json").exists()
