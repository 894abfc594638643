"""Test the command: complete runs, interruptions and option errors."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from datasets.kitti_benchmark import KITTIBenchmarkDataset, read_benchmark_lines

ROOT = Path(__file__).resolve().parents[3]
DAY = "2011_09_26"
DRIVE, OTHER = (f"{DAY}/{DAY}_drive_{number}_sync" for number in ("0001", "0005"))
ZIP = f"raw_data/{DAY}_drive_0001/{DAY}_drive_0001_sync.zip"


def _command(*arguments):
    return [sys.executable, ROOT / "tools/prepare_kitti.py", *map(str, arguments)]


def _run(*arguments, status=0, **kwargs):
    done = subprocess.run(_command(*arguments), capture_output=True, text=True, timeout=120, **kwargs)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def _wait_until(condition, process):
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def small(server, kit, tmp_path):
    """Write two small drives to the server and a split with them; return the options for both."""
    archives = kit.write_raw_archives(server.root, {DRIVE: range(4), OTHER: range(4)})
    split = kit.write_split(tmp_path / "mine", train=[f"{DRIVE} 1 l"], val=[f"{OTHER} 2 r"])
    data = tmp_path / "data"
    return data, archives, ("--data_path", data, "--split", split, "--server", server.url)


def test_published_split_in_an_empty_folder(server, kit, tmp_path, shared_splits):
    """Fetch all 697 images of the Eigen test split; one server has the lists, and archives with the real names."""
    frames = {}
    for line in (shared_splits / "eigen/test_files.txt").read_text().splitlines():
        folder, frame, _ = line.split()
        frames.setdefault(folder, []).append(int(frame))
    archives = kit.write_raw_archives(server.root, frames)
    (server.root / "eigen").mkdir()
    (server.root / "eigen/test_files.txt").write_bytes((shared_splits / "eigen/test_files.txt").read_bytes())
    data = tmp_path / "data"
    options = ("--data_path", data, "--split", "eigen", "--server", server.url, "--splits_server", server.url)
    repository = ROOT / "splits/eigen"
    if repository.exists():
        pytest.skip(f"{repository} would be used instead of the server's")
    printed = _run(*options)
    assert "33 archives" in printed and f"'{data}' is complete for eigen" in printed
    assert (data / "splits/eigen/test_files.txt").read_bytes() == (server.root / "eigen/test_files.txt").read_bytes()
    kit.assert_tree(data, archives)
    server.requests.clear()
    assert "is complete for eigen" in _run(*options) and not server.requests


def test_local_folder_as_the_source(small, server, kit):
    data, archives, options = small
    printed = _run(*options[:4], "--source", server.root, "--png", "--num_workers", 1, "--downloads", 1)
    assert "pass --png" in printed and not server.requests
    kit.assert_tree(data, archives, png=True)
    assert all((server.root / path).is_file() for path in archives)
    assert "Converting 16 PNG images" in _run(*options[:4], "--source", server.root)
    kit.assert_tree(data, archives)


def test_improved_ground_truth(small, server, kit):
    """Add the maps to an existing tree; skip maps of other drives in the archive."""
    data, _, options = small
    maps = {f"val/{OTHER.split('/')[1]}/proj_depth/groundtruth/image_03/0000000002.png": kit.png_bytes(1)}
    others = {name.replace("0005", "0009"): content for name, content in maps.items()}
    kit.write_zip(server.root / "data_depth_annotated.zip", maps | others)
    _run(*options)
    assert not list(data.rglob("proj_depth"))
    assert "1 archives" in _run(*options, "--improved_gt")
    found = {path.relative_to(data): path.read_bytes() for path in data.rglob("proj_depth/**/*.png")}
    assert found == {Path(OTHER) / "proj_depth/groundtruth/image_03/0000000002.png": kit.png_bytes(1)}
    server.requests.clear()
    _run(*options, "--improved_gt")
    assert not server.requests


def test_images_of_the_benchmark(tmp_path, kit, server):
    """They stay PNG, and --eval_split benchmark finds them; other parts of the archive are skipped."""
    folder = "depth_selection/test_depth_prediction_anonymous"
    images = {f"{folder}/image/{frame:010d}.png": kit.png_bytes(frame) for frame in range(3)}
    others = {f"{folder}/intrinsics/0000000000.txt": b"1", "depth_selection/val_selection_cropped/image/a.png": b"1"}
    kit.write_zip(server.root / "data_depth_selection.zip", {**images, **others})
    split = kit.write_split(tmp_path / "benchmark", test=["image 0", "image 2"])
    data = tmp_path / "data"
    options = ("--data_path", data, "--split", split, "--server", server.url)
    _run(*options)
    assert {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*.png")} == images
    lines = read_benchmark_lines(split / "test_files.txt")
    dataset = KITTIBenchmarkDataset(
        str(data), lines, height=64, width=192, frame_ids=(0,), train=False, extension=".png"
    )
    assert [Path(dataset.image_path(line, 0, "l")).is_file() for line in lines] == [True, True]
    (data / folder / "image/0000000002.png").unlink()
    _run(*options)
    assert (data / folder / "image/0000000002.png").is_file()


@pytest.mark.parametrize("moment", ["download", "unpack", "convert"])
def test_resumes_after_a_kill_at_any_moment(server, kit, tmp_path, moment):
    archives = kit.write_raw_archives(server.root, {DRIVE: range(80)}, size=(256, 96))  # large enough to interrupt
    split = kit.write_split(tmp_path / "mine", train=[f"{DRIVE} {n} l" for n in range(1, 39)])
    data = tmp_path / "data"
    images = data / DRIVE / "image_02/data"
    options = ("--data_path", data, "--split", split, "--num_workers", 1)
    options += ("--source", server.root) if moment == "convert" else ("--server", server.url)
    if moment == "convert":
        _run(*options, "--png")
    released = threading.Event()
    half = (server.root / ZIP).stat().st_size // 2

    def hang(handler, due):
        handler.wfile.write(due[:half])
        released.wait(60)

    server.faults[ZIP] = [hang] if moment == "download" else []
    begun = {
        "download": lambda: any(path.stat().st_size for path in data.glob("archives/*sync.zip.part")),
        "unpack": lambda: any(data.glob(f".preparation/*.unpacking/tree/{DRIVE}/image_02/data/*.jpg")),
        "convert": lambda: any(images.glob("*.jpg")),
    }
    process = subprocess.Popen(_command(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _wait_until(begun[moment], process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    released.set()
    received = sum(path.stat().st_size for path in data.glob("archives/*sync.zip.part"))

    if moment == "convert":
        for frame in range(40):  # each image is complete, as JPEG or PNG
            paths = [images / f"{frame:010d}{suffix}" for suffix in (".jpg", ".png")]
            with Image.open(next(path for path in paths if path.is_file())) as image:
                image.load()
        assert any(images.glob("*.png")), "the process was killed too late for this test"
    else:
        assert not (data / DRIVE).exists()
    server.requests.clear()
    _run(*options)
    kit.assert_tree(data, archives)
    if moment == "download":
        asked = [asked for method, path, asked in server.requests if (method, path) == ("GET", ZIP)]
        assert received > 0 and asked == [f"bytes={received}-"]


def test_interrupted_command_prints_how_to_resume(small, server, kit):
    data, archives, options = small
    released = threading.Event()
    server.faults[ZIP] = [lambda handler, due: released.wait(60)]
    process = subprocess.Popen(_command(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_until(lambda: any(method == "GET" and path == ZIP for method, path, _ in server.requests), process)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=10)  # without waiting for the server
    released.set()
    assert process.returncode == 130 and "run the same command again" in printed.lower()
    _run(*options, "--keep_archives")
    kept = {path.name for path in (data / "archives").iterdir()}
    assert kept == {path.rpartition("/")[2] for path in archives}
    shutil.rmtree(data / "archives")
    kit.assert_tree(data, archives)


def test_no_space_for_a_file(small):
    """Simulate a full disk by a file size limit."""
    data, _, options = small
    limited = ["bash", "-c", 'ulimit -f 4; exec "$@"', "bash", *_command(*options)]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "File too large" in done.stderr and "run the same command again" in done.stderr
    assert not (data / DRIVE).exists()


def test_files_missing_at_the_end_are_reported(small, server, kit):
    _, archives, options = small
    members = {
        name: content for name, content in archives[ZIP].items() if not name.endswith("image_03/data/0000000001.png")
    }
    kit.write_zip(server.root / ZIP, members)
    printed = _run(*options, status=1)
    assert f"{DAY}_drive_0001_sync.zip: 1 missing or truncated files\n  {DRIVE}/image_03/data/0000000001.jpg" in printed
    assert "Run the same command again" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "nowhere"), "Split 'nowhere' not found"),
        (("--split", "nowhere", "--splt", "x"), "--splt"),
        (("--downloads", 0), "--downloads: got 0, expected an integer of at least 1"),
        (("--num_workers", "two"), "--num_workers"),
        (("--server", "ftp://x"), "'ftp://x' is not a server address"),
        (("--source", "nowhere"), "3 of 3 archives are unavailable"),
    ],
)
def test_errors_are_one_message(small, arguments, message):
    printed = _run(*small[2], *arguments, status=2)
    assert printed.startswith("error: ") and message in printed
    assert not (small[0] / DAY).exists()


def test_disk_too_small(small, tmp_path):
    """Check the free space before fetching."""
    data, _, options = small
    (tmp_path / "sitecustomize.py").write_text(
        "import shutil\nshutil.disk_usage = lambda path: type('usage', (), {'free': 1000})\n"
    )
    printed = _run(*options, status=2, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert "3 archives" in printed and "0.0 GB are free" in printed and "fewer --split" in printed
    assert not (data / "archives").exists()
