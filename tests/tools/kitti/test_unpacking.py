import io
import os
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

import tools.kitti.unpacking
from common.errors import DataError
from tools.kitti.archives import depth_archive, drive_archive
from tools.kitti.unpacking import MAX_BYTES, DamagedArchiveError, StagingDir

DAY = "2011_09_26"
DRIVE = f"{DAY}/{DAY}_drive_0001_sync"
ARCHIVE = drive_archive(DRIVE)
GREY = ("image_00", "image_01")


class Crash(BaseException):
    """Simulates the end of the process."""


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def members(kit):
    return kit.drive_members(DRIVE, range(4))


@pytest.fixture
def archive_file(tmp_path, kit, members):
    return kit.write_zip(tmp_path / ARCHIVE.name, members)


@pytest.fixture
def work(data):
    return StagingDir(data, data / ".work")


@pytest.fixture
def unpack(work, archive_file, pool):
    def run(path=archive_file, to_jpg=True, archive=ARCHIVE):
        count = work.unpack(path, archive, to_jpg, pool, lambda size: None)
        work.publish(archive.name)
        return count

    return run


def _files(folder):
    return {
        str(path.relative_to(folder)): path
        for path in folder.rglob("*")
        if path.is_file() and ".work" not in path.parts
    }


def _wanted(members):
    return {name: content for name, content in members.items() if content and not any(grey in name for grey in GREY)}


def _assert_is_drive(data, members):
    """Check that every selected member exists: images as JPEGs of the same picture, others with equal bytes."""
    wanted, found = _wanted(members), _files(data)
    assert set(found) == {name.replace(".png", ".jpg") for name in wanted}
    for name, content in wanted.items():
        if not name.endswith(".png"):
            assert found[name].read_bytes() == content
            continue
        with Image.open(found[name.replace(".png", ".jpg")]) as jpg, Image.open(io.BytesIO(content)) as png:
            difference = np.abs(np.asarray(jpg, float) - np.asarray(png, float)).mean()
        assert difference < 8, name  # other frames differ by 60


def test_drive_as_jpg(unpack, work, data, members):
    assert unpack() == len(_wanted(members))
    _assert_is_drive(data, members)
    assert work.parts(ARCHIVE) == {DRIVE}
    assert [path.name for path in (data / ".work").iterdir()] == [f"{ARCHIVE.name}.json"]


def test_drive_as_png(unpack, data, members):
    unpack(to_jpg=False)
    assert {name: path.read_bytes() for name, path in _files(data).items()} == _wanted(members)


def test_depth_maps_stay_png_and_drives_are_recorded(tmp_path, unpack, work, data, kit):
    """JPEG would destroy 16-bit depth. Drives that another split requires later are added to the record."""
    other = DRIVE.replace("0001", "0002")
    maps = {
        f"{part}/{folder.split('/')[1]}/proj_depth/groundtruth/image_02/0000000005.png": kit.png_bytes(number)
        for number, (part, folder) in enumerate((("train", DRIVE), ("val", other)))
    }
    path = kit.write_zip(tmp_path / "data_depth_annotated.zip", maps)
    for folder, count in ((DRIVE, 1), (other, 2)):
        archive = depth_archive(frozenset({folder}))
        assert unpack(path, archive=archive) == 1
        assert len(work.parts(archive)) == len(_files(data)) == count
    assert (data / DRIVE / "proj_depth/groundtruth/image_02/0000000005.png").read_bytes() == kit.png_bytes(0)


def test_partial_tree_is_completed(unpack, data, members):
    """Start with a truncated JPEG, a PNG next to the new JPEG, and a file of the user."""
    images = data / DRIVE / "image_02/data"
    images.mkdir(parents=True)
    (images / "0000000001.jpg").write_bytes(b"cut off")
    (images / "0000000002.png").write_bytes(b"cut off")
    (data / DRIVE / "notes.txt").write_text("mine")
    unpack()
    assert (data / DRIVE / "notes.txt").read_text() == "mine"
    (data / DRIVE / "notes.txt").unlink()
    _assert_is_drive(data, members)


@pytest.mark.parametrize("crash_at", range(12))
def test_next_run_completes_an_interrupted_move(unpack, work, data, members, monkeypatch, crash_at):
    """Kill the process before the n-th file; in a partial tree, files are moved one by one."""
    for name in ("image_02/data/0000000001.jpg", "image_03/data/0000000001.jpg", "velodyne_points/data/0000000001.bin"):
        (data / DRIVE / name).parent.mkdir(parents=True)
        (data / DRIVE / name).write_bytes(b"cut off")
    moves, move = [], os.replace

    def dies(source, goal):
        if len(moves) == crash_at:
            raise Crash
        moves.append(goal)
        move(source, goal)

    monkeypatch.setattr(tools.kitti.unpacking.os, "replace", dies)
    with pytest.raises(Crash):
        unpack()
    monkeypatch.undo()
    assert work.parts(ARCHIVE) == frozenset()
    assert work.left_over() == [ARCHIVE.name]
    work.publish(ARCHIVE.name)
    _assert_is_drive(data, members)
    assert work.parts(ARCHIVE) == {DRIVE}
    assert [path.name for path in (data / ".work").iterdir()] == [f"{ARCHIVE.name}.json"]


def test_incomplete_archives_are_deleted(work, data):
    half = data / f".work/{ARCHIVE.name}.unpacking/tree/{DRIVE}/image_02/data/0000000000.jpg"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    assert work.left_over() == []
    assert not _files(data) and not list((data / ".work").iterdir())


def _corrupt(content, offset):
    return content[:offset] + bytes([content[offset] ^ 255]) + content[offset + 1 :]


def _bad_data(content):
    """Change a byte in the compressed data of the last selected member."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo(f"{DRIVE}/image_02/data/0000000002.png")
    name_length, extra_length = struct.unpack_from("<HH", content, info.header_offset + 26)
    return _corrupt(content, info.header_offset + 30 + name_length + extra_length + info.compress_size // 2)


@pytest.mark.parametrize("record", ["[]", "{}", "3", "null", '{"parts": 3}', '{"parts": [[1]]}', "[" * 9999, "\0"])
def test_a_damaged_record_counts_as_not_unpacked(work, data, record):
    (data / ".work").mkdir()
    (data / ".work" / f"{ARCHIVE.name}.json").write_text(record)
    assert work.parts(ARCHIVE) == frozenset()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"<html>not here</html>",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        _bad_data,
    ],
    ids=["empty", "page", "half", "byte", "data"],
)
def test_damaged_archives_leave_nothing(unpack, archive_file, data, damage):
    archive_file.write_bytes(damage(archive_file.read_bytes()))
    with pytest.raises(DamagedArchiveError, match=r"drive_0001_sync\.zip' is damaged"):
        unpack()
    assert not _files(data) and not list((data / ".work").iterdir())


def test_any_wrong_byte_is_detected_or_harmless(archive_file, unpack, data, members, tmp_path):
    """A changed byte never causes a traceback or a wrong file."""
    content = archive_file.read_bytes()
    wanted = _wanted(members)
    for offset in np.random.default_rng(0).integers(0, len(content), 60):
        archive_file.write_bytes(_corrupt(content, offset))
        try:
            unpack(to_jpg=False)
        except DataError:
            continue
        found = {name: path.read_bytes() for name, path in _files(data).items()}
        assert all(wanted[name] == found[name] for name in found if name in wanted), offset


def _bomb(path, name, size):
    """Write a member of zeros, compressed 1000 times."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as contents,
        contents.open(name, "w", force_zip64=True) as out,
    ):
        for _ in range(size >> 20):
            out.write(bytes(1 << 20))


def _understated_bomb(path, name, size):
    """Write a bomb that declares 9 bytes."""
    _bomb(path, name, size)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as contents:
        declared = struct.pack("<I", contents.getinfo(name).file_size)
    start = content.index(b"PK\x01\x02")
    path.write_bytes(content[:start] + content[start:].replace(declared, struct.pack("<I", 9)))


def _many_members(path, name, size):
    """Write a list of members of about ``size`` bytes, which all share the data of one."""
    with zipfile.ZipFile(path, "w") as contents:
        contents.writestr(name, b"x")
    content = path.read_bytes()
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    count = size // (end - start)
    numbers = struct.pack("<HHII", 0xFFFF, 0xFFFF, count * (end - start), start)
    path.write_bytes(content[:start] + content[start:end] * count + b"PK\x05\x06" + bytes(4) + numbers + bytes(2))


@pytest.mark.parametrize("write", [_bomb, _understated_bomb, _many_members])
def test_bombs_are_rejected_within_time_and_memory(tmp_path, unpack, data, write):
    path = tmp_path / "a.zip"
    write(path, f"{DRIVE}/oxts/data/0000000000.txt", 300 << 20)
    started = time.monotonic()
    tracemalloc.start()
    with pytest.raises(DamagedArchiveError, match=r"expected at most|more than|Bad CRC"):
        unpack(path)
    assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES and time.monotonic() - started < 20
    tracemalloc.stop()
    assert not _files(data)


def test_undecodable_image(tmp_path, unpack, data, kit):
    path = kit.write_zip(tmp_path / "a.zip", {f"{DRIVE}/image_02/data/0000000000.png": b"no png"})
    with pytest.raises(DamagedArchiveError, match=r"image_02/data/0000000000\.png' cannot be read"):
        unpack(path)
    assert not _files(data)


def test_archive_with_other_content(tmp_path, unpack, data, kit):
    path = kit.write_zip(tmp_path / "a.zip", {"readme.txt": b"nothing"})
    with pytest.raises(DamagedArchiveError, match=f"no files of {DRIVE}"):
        unpack(path)
    assert not _files(data)


@pytest.mark.parametrize("name", ["/etc/x", "../x", f"{DRIVE}/image_02/data/../../../../../x", "C:\\x", "..\\x", "C:x"])
def test_members_outside_the_folder_are_rejected(tmp_path, unpack, data, kit, members, name):
    path = kit.write_zip(tmp_path / "a.zip", {**members, name: b"evil"})
    with pytest.raises(DataError, match=r"unsafe.*outside"):
        unpack(path)
    assert not _files(data) and not (tmp_path / "x").exists()


def test_stopped_work_leaves_no_files(work, archive_file, data, pool):
    def stop(size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.unpack(archive_file, ARCHIVE, True, pool, stop)
    assert not _files(data) and not list((data / ".work").iterdir())
