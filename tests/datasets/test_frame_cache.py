"""Frame caches: identical samples, one decoding per file, never stale or partial, within limits."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError, UserError
from datasets import frame_cache
from datasets.build import build_cache, build_loader
from datasets.frame_cache import DiskCache, RamCache
from datasets.transforms import load_frame

ROOT = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH = 32, 64
KINDS = ["ram", "disk"]


@pytest.fixture
def paths(tree) -> list[str]:
    """Return the image paths of the tiny tree."""
    return sorted(map(str, tree.glob("*/*/image_0*/data/*.jpg")))


@pytest.fixture
def make_cache(paths, tmp_path):
    """Return a factory of caches, by default for frames of 64x32 and without spare space."""

    def make(kind, height=HEIGHT, width=WIDTH, spare_bytes=0):
        if kind == "ram":
            return RamCache(height, width, paths, spare_bytes)
        return DiskCache(height, width, tmp_path / "cache", spare_bytes)

    return make


@pytest.fixture
def decoded(monkeypatch):
    """Return the list of decoded paths."""
    found = []
    monkeypatch.setattr(frame_cache, "load_frame", lambda path, *size: found.append(path) or load_frame(path, *size))
    return found


def entries(tmp_path) -> list[Path]:
    return sorted((tmp_path / "cache").rglob("*.frame"))


def assert_same(frame, expected):
    assert frame.original_size == expected.original_size and frame.pixels.dtype == np.uint8
    np.testing.assert_array_equal(frame.pixels, expected.pixels)


def epochs_of(dataset, num_workers) -> list[dict]:
    """Return two epochs of batches as bytes."""
    loader = build_loader(dataset, batch_size=3, shuffle=True, num_workers=num_workers, seed=0, drop_last=False)
    batches = []
    for epoch in range(2):
        loader.batch_sampler.set_epoch(epoch)
        batches += [
            {key: repr(value) if key == "name" else value.tobytes() for key, value in b.items()} for b in loader
        ]
    loader.close()
    return batches


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_identical_byte_for_byte(make_dataset, make_cache, kind, num_workers):
    dataset = make_dataset(train=True)
    expected = epochs_of(dataset, 0)
    dataset = dataset.replace(cache=make_cache(kind))
    assert epochs_of(dataset, num_workers) == expected  # decoded and cached
    assert epochs_of(dataset, num_workers) == expected  # from the cache


def test_real_grey_and_colour_frames(kitti_sample, kitti_sample_colour, tmp_path):
    """Grey frames are cached as one channel."""
    paths = [str(next(root.glob("*/*/image_02/data/*.jpg"))) for root in (kitti_sample, kitti_sample_colour)]
    for cache in (RamCache(192, 640, paths, 0), DiskCache(192, 640, tmp_path / "cache", 0)):
        for path, channels in zip(paths, (1, 3), strict=True):
            for _ in range(2):
                frame = cache.load(path)
                assert frame.pixels.shape == (channels, 192, 640)
                assert_same(frame, load_frame(path, 192, 640))
    sizes = sorted(path.stat().st_size - DiskCache.HEADER.size for path in entries(tmp_path))
    assert sizes == [192 * 640, 3 * 192 * 640]


@pytest.mark.parametrize("kind", KINDS)
def test_each_file_is_decoded_once(make_cache, paths, decoded, kind):
    cache = make_cache(kind)
    expected = [load_frame(path, HEIGHT, WIDTH) for path in paths]
    for _ in range(3):
        for path, frame in zip(paths, expected, strict=True):
            assert_same(cache.load(path), frame)
    assert decoded == paths


def test_disk_cache_is_reused_by_later_runs(make_cache, paths, decoded, tmp_path):
    make_cache("disk").load(paths[0])
    make_cache("disk").load(paths[0])
    assert decoded == paths[:1]
    (entry,) = entries(tmp_path)
    assert str(entry) == f"{tmp_path}/cache/64x32{paths[0]}.frame"


@pytest.mark.parametrize("kind", KINDS)
def test_changed_file_is_decoded_again(make_cache, paths, decoded, write_image, kind):
    cache = make_cache(kind)
    before = cache.load(paths[0])
    write_image(Path(paths[0]), 99)
    assert not np.array_equal(load_frame(paths[0], HEIGHT, WIDTH).pixels, before.pixels)
    for _ in range(2):
        assert_same(cache.load(paths[0]), load_frame(paths[0], HEIGHT, WIDTH))
    # A new modification time is enough: the content may differ.
    status = os.stat(paths[1])
    cache.load(paths[1])
    os.utime(paths[1], ns=(status.st_atime_ns, status.st_mtime_ns + 1000))
    assert_same(cache.load(paths[1]), load_frame(paths[1], HEIGHT, WIDTH))
    # The memory cache keeps the first version, the disk cache the last.
    assert decoded == [paths[0]] * (2 if kind == "disk" else 3) + [paths[1]] * 2
    os.unlink(paths[2])
    with pytest.raises(DataError, match="not found"):
        cache.load(paths[2])


def test_sizes_have_separate_entries(make_cache, paths):
    for height, width in ((HEIGHT, WIDTH), (WIDTH, HEIGHT), (16, 32)):  # the second has as many pixels as the first
        for _ in range(2):
            assert_same(make_cache("disk", height, width).load(paths[0]), load_frame(paths[0], height, width))


def test_extensions_have_separate_entries(make_dataset, make_cache, tree):
    from PIL import Image

    for path in tree.glob("*/*/image_0*/data/*.jpg"):
        with Image.open(path) as image:
            image.transpose(Image.Transpose.ROTATE_180).save(path.with_suffix(".png"))
    for extension in (".jpg", ".png", ".jpg"):
        dataset = make_dataset(extension=extension)
        expected = dataset[0]["color/0/0"]
        dataset = dataset.replace(cache=make_cache("disk"))
        np.testing.assert_array_equal(dataset[0]["color/0/0"], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_images_are_reported_and_not_cached(make_cache, paths, kind):
    with open(paths[0], "r+b") as file:
        file.truncate(200)
    for _ in range(2):
        with pytest.raises(DataError, match="cannot be read"):
            make_cache(kind).load(paths[0])


@pytest.mark.parametrize("content", [b"", b"frame", b"frame v1" + bytes(100), "shorter", "longer", "another kind"])
def test_incomplete_entry_is_ignored(make_cache, paths, tmp_path, content):
    cache = make_cache("disk")
    cache.load(paths[0])
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    changed = {"shorter": whole[:-1], "longer": whole + b"x", "another kind": b"FRAME V9" + whole[8:]}
    entry.write_bytes(changed.get(content, content))
    assert_same(cache.load(paths[0]), load_frame(paths[0], HEIGHT, WIDTH))
    assert entry.read_bytes() == whole


def test_partial_memory_slot_is_ignored(make_cache, paths, monkeypatch):
    """Simulate a worker killed while writing: the completion mark is written last."""
    cache = make_cache("ram")
    frame, version = load_frame(paths[0], HEIGHT, WIDTH), frame_cache._version(paths[0])

    class Killed(BaseException):
        pass

    class Record(dict):
        def __setitem__(self, name, value):
            if name == "channels":
                raise Killed
            real[name] = value

    real = cache._record(paths[0])
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(cache, "_holds", lambda _: False)
        patch.setattr(cache, "_record", lambda _: Record())
        cache._keep(paths[0], version, frame._replace(pixels=frame.pixels + 1))
    assert real["version"][0].tolist() == list(version)
    assert_same(cache.load(paths[0]), frame)
    assert_same(cache._find(paths[0], version), frame)


WRITER = """
import pathlib, sys
from datasets.frame_cache import DiskCache
folder, *paths = sys.argv[1:]
cache = DiskCache(192, 640, folder, 0)
print("begun", flush=True)
while True:
    for path in paths:
        cache.load(path)
        pathlib.Path(cache._path(path)).unlink(missing_ok=True)  # force writing it again
        cache.load(path)
"""


def test_killed_writers_leave_no_partial_entries(paths, tmp_path):
    folder, paths = tmp_path / "cache", paths[:3]
    expected = {path: load_frame(path, 192, 640) for path in paths}
    for delay in (0, 0.001, 0.003, 0.01, 0.03, 0.1):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, *paths], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "begun\n"
        time.sleep(delay)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        cache = DiskCache(192, 640, folder, 0)
        for path in paths:
            found = cache._find(path, frame_cache._version(path))
            if found is not None:
                assert_same(found, expected[path])
            assert_same(cache.load(path), expected[path])
    # Leftovers are removed after an hour.
    unfinished = folder / "640x192" / ".unfinished"
    for name, hours in (("old", 1.1), ("new", 0.9)):
        (unfinished / name).write_bytes(b"frame")
        os.utime(unfinished / name, (time.time() - 3600 * hours,) * 2)
    DiskCache(192, 640, folder, 0)
    assert not (unfinished / "old").exists() and (unfinished / "new").exists()


def test_several_processes_write_concurrently(paths, tmp_path):
    expected = [load_frame(path, 192, 640) for path in paths]
    command = [sys.executable, "-c", WRITER.replace("while True", "for _ in range(4)"), tmp_path / "cache", *paths]
    writers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(3)]
    cache = DiskCache(192, 640, tmp_path / "cache", 0)
    while any(writer.poll() is None for writer in writers):
        for path, frame in zip(paths, expected, strict=True):
            assert_same(cache.load(path), frame)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    for path, frame in zip(paths, expected, strict=True):
        assert_same(cache.load(path), frame)
    assert not list((tmp_path / "cache" / "640x192" / ".unfinished").iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cached_without_space(make_cache, paths, decoded, tmp_path, kind):
    cache = make_cache(kind, spare_bytes=1e18)
    for _ in range(2):
        assert_same(cache.load(paths[0]), load_frame(paths[0], HEIGHT, WIDTH))
    assert decoded == paths[:1] * 2 and not entries(tmp_path)


def test_full_disk_does_not_stop_training(make_cache, paths, monkeypatch, tmp_path):
    def fail(*_):
        raise OSError(28, "No space left on device")

    cache = make_cache("disk")
    monkeypatch.setattr(Path, "write_bytes", fail)
    assert_same(cache.load(paths[0]), load_frame(paths[0], HEIGHT, WIDTH))
    assert not entries(tmp_path)


def test_removed_folder_does_not_stop_training(make_cache, paths, tmp_path):
    cache = make_cache("disk")
    kept = cache.load(paths[0])
    shutil.rmtree(tmp_path / "cache")
    for path in paths[:2]:
        assert_same(cache.load(path), load_frame(path, HEIGHT, WIDTH))
    assert_same(kept, load_frame(paths[0], HEIGHT, WIDTH))  # still mapped


@pytest.mark.parametrize("kind", KINDS)
def test_required_space_is_described(make_cache, paths, monkeypatch, tmp_path, kind):
    """12 frames of 3 * 1000 * 2000 bytes have 72 MB; one is cached already."""
    cache = make_cache(kind, 1000, 2000)
    cache.load(paths[0])
    cache.spare_bytes = 4e9
    where = "memory" if kind == "ram" else f"{tmp_path}/cache/2000x1000"
    monkeypatch.setattr(type(cache), "free_bytes", lambda _: 5e9)
    text = cache.describe_room(paths)
    assert re.match(rf"11 frames .* {re.escape(where)}\b.* 0\.1 GB.* 1\.0 GB", text) and "%" not in text
    monkeypatch.setattr(type(cache), "free_bytes", lambda _: 4e9 + 33e6)
    assert " 50% " in cache.describe_room(paths)
    monkeypatch.setattr(type(cache), "free_bytes", lambda _: 1e9)
    assert re.search(r" 0\.0 GB.* 100% ", cache.describe_room(paths))


def test_unwritable_folder_is_reported(tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(UserError, match=r"cache/64x32 cannot be written: .*--cache_dir"):
        DiskCache(HEIGHT, WIDTH, tmp_path / "cache")


def test_container_memory_limit_is_respected(tmp_path):
    free = lambda: frame_cache._free_memory_of_container(tmp_path)  # noqa: E731
    assert free() == float("inf")
    (tmp_path / "memory").mkdir()
    for name, value in (("limit_in_bytes", 9000), ("usage_in_bytes", 5000), ("stat", "total_inactive_file 500")):
        (tmp_path / "memory" / f"memory.{name}").write_text(f"{value}\n")
    assert free() == 4500
    for name, value in (("max", "max"), ("current", 2000), ("stat", "anon 7\ninactive_file 100")):
        (tmp_path / f"memory.{name}").write_text(f"{value}\n")
    assert free() == 4500
    (tmp_path / "memory.max").write_text("3000\n")
    assert free() == 1100


def test_free_memory_is_plausible(make_cache):
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if not Path("/proc/meminfo").exists():
        pytest.skip("requires /proc")
    assert 0 < make_cache("ram").free_bytes() <= total


def test_caches_by_name(make_dataset, tmp_path):
    dataset = make_dataset()
    assert build_cache("none", dataset, str(tmp_path / "cache")) is None
    assert type(build_cache("ram", dataset, str(tmp_path / "cache"))) is RamCache
    assert not (tmp_path / "cache").exists()
    disk = build_cache("disk", dataset, str(tmp_path / "cache"))
    assert type(disk) is DiskCache and (disk.height, disk.width) == (32, 64) and (tmp_path / "cache").is_dir()


CORRUPTIONS = {
    "bit": lambda pixels: pixels[:700] + bytes([pixels[700] ^ 1]) + pixels[701:],
    "zeroed block": lambda pixels: pixels[:1024] + bytes(1024) + pixels[2048:],
    "exchanged blocks": lambda pixels: pixels[1024:2048] + pixels[:1024] + pixels[2048:],
    "last byte": lambda pixels: pixels[:-1] + bytes([pixels[-1] ^ 128]),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize("size", [(32, 64), (33, 65)])
def test_corrupted_frames_are_decoded_again(paths, tmp_path, decoded, corruption, size):
    cache = DiskCache(*size, tmp_path / "cache", spare_bytes=0)
    cache.load(paths[0])
    (entry,) = entries(tmp_path)
    content = entry.read_bytes()
    start = cache.HEADER.size
    entry.write_bytes(content[:start] + CORRUPTIONS[corruption](content[start:]))
    assert_same(cache.load(paths[0]), load_frame(paths[0], *size))
    assert decoded == [paths[0], paths[0]] and entry.read_bytes() == content


def test_entries_without_checksum_are_replaced(paths, tmp_path, make_cache):
    cache = make_cache("disk")
    cache.load(paths[0])
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    entry.write_bytes(b"frame v1" + whole[8 : cache.HEADER.size - 8] + whole[cache.HEADER.size :])
    assert_same(cache.load(paths[0]), load_frame(paths[0], HEIGHT, WIDTH))
    assert entry.read_bytes() == whole


def test_file_renamed_by_another_run_during_creation(make_cache, tmp_path, monkeypatch):
    make_cache("disk")
    unfinished = tmp_path / f"cache/{WIDTH}x{HEIGHT}/.unfinished"
    for name in ("a", "b"):
        (unfinished / name).write_bytes(b"")
    stat = Path.stat

    def renamed_before_stat(path, **kwargs):
        if path == unfinished / "a":
            path.unlink(missing_ok=True)
        return stat(path, **kwargs)

    monkeypatch.setattr(Path, "stat", renamed_before_stat)
    make_cache("disk")
    assert [path.name for path in unfinished.iterdir()] == ["b"]
