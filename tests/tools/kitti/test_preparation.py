import shutil
import threading
from pathlib import Path

import pytest
from PIL import Image

import common.download
from common.download import HttpSource, LocalSource
from common.errors import DataError
from tools.kitti.preparation import Preparation, disk_errors, exclusive_run, merge_required_files
from tools.kitti.required_files import required_files
from tools.kitti.unpacking import StagingDir

DAY = "2011_09_26"
DRIVE, OTHER = (f"{DAY}/{DAY}_drive_{number}_sync" for number in ("0001", "0005"))
FRAMES = range(6)
ZIP = f"raw_data/{DAY}_drive_0001/{DAY}_drive_0001_sync.zip"

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
def archives(server, kit):
    """Write archives to the server; path -> members."""
    return kit.write_raw_archives(server.root, {DRIVE: FRAMES, OTHER: FRAMES})


@pytest.fixture
def split(tmp_path, kit):
    """Write a split with one drive for training and another for validation."""
    return kit.write_split(tmp_path / "mine", train=[f"{DRIVE} {n} l" for n in (1, 2, 4)], val=[f"{OTHER} 2 r"])


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def prepare(server, archives, split, data, pool, monkeypatch):
    """Run all steps as the command does; return missing files and printed notes."""
    monkeypatch.setattr(common.download, "CHUNK", 1000)

    def run(source=None, png=False, keep_archives=False, required=None):
        stop = threading.Event()
        source = source or HttpSource(server.url, stop)
        required = required or required_files(split, ".png" if png else ".jpg")
        steps = Preparation(data, required, source, pool, stop, png=png, keep_archives=keep_archives)
        steps.resume()
        steps.convert(steps.pngs(), lambda: None)
        notes, counts = [], []
        if missing := steps.missing():
            sizes = steps.sizes(missing)
            steps.fetch(sizes, 2, counts.append, notes.append)
            assert sum(counts) == pytest.approx(sum(sizes.values()))
        return steps.missing(), notes

    return run


def _gets(server):
    return [path for method, path, _ in server.requests if method == "GET"]


def test_starts_from_an_empty_folder(prepare, server, data, archives, kit):
    missing, _ = prepare()
    assert missing == {}
    kit.assert_tree(data, archives)
    assert sorted(_gets(server)) == sorted(archives)


def test_as_png(prepare, data, archives, kit):
    assert prepare(png=True)[0] == {}
    kit.assert_tree(data, archives, png=True)


def test_finished_archives_are_not_requested_again(prepare, server, data, archives):
    prepare()
    server.requests.clear()
    assert prepare()[0] == {} and not server.requests


def test_kept_archives_serve_as_a_source(prepare, server, data, archives, tmp_path, kit):
    prepare(keep_archives=True)
    kept = data / "archives"
    assert {path.name for path in kept.iterdir()} == {path.rpartition("/")[2] for path in archives}
    kept.rename(tmp_path / "kept")
    for path in (data / DAY / f"{DAY}_drive_0001_sync/image_02/data").iterdir():
        path.unlink()
    server.requests.clear()
    assert prepare(LocalSource(tmp_path / "kept"))[0] == {}
    kit.assert_tree(data, archives)
    assert not server.requests and len(list((tmp_path / "kept").iterdir())) == 3


def test_drive_unpacked_by_the_user_is_converted_and_not_fetched(prepare, server, data, archives, kit):
    """One drive is PNG with a few JPEGs and without a record; the other drive is missing."""
    for number, (name, content) in enumerate(archives[ZIP].items()):
        if content:
            path = data / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            if path.parent.parent.name == "image_02" and path.suffix == ".png" and number % 2:
                with Image.open(path) as image:
                    image.save(path.with_suffix(".jpg"), quality=92)
                path.unlink()
    missing, _ = prepare()
    assert missing == {} and ZIP not in _gets(server) and len(_gets(server)) == 2
    grey = [path for name in ("image_00", "image_01") for path in (data / DRIVE / name).rglob("*") if path.is_file()]
    assert grey and all(path.suffix in (".png", ".txt") for path in grey)  # the user's files are unchanged
    for path in grey:
        path.unlink()
    kit.assert_tree(data, archives)


@pytest.mark.parametrize(
    "damage", ["cut jpg", "no right image", "undecodable png", "png without end", "no calibration"]
)
def test_partial_tree_is_completed(prepare, data, archives, damage, kit):
    prepare()
    image = data / DRIVE / "image_02/data/0000000002.jpg"
    if damage == "cut jpg":
        image.write_bytes(image.read_bytes()[:-1])
    elif damage == "no right image":
        (data / DRIVE / "image_03/data/0000000001.jpg").unlink()
    elif damage == "no calibration":
        (data / DAY / "calib_cam_to_cam.txt").unlink()
    else:
        image.unlink()
        png = archives[ZIP][f"{DRIVE}/image_02/data/0000000002.png"]
        png = png[:60] + b"\0" * 20 + png[80:] if damage == "undecodable png" else png[:-5]
        image.with_suffix(".png").write_bytes(png)
    assert prepare()[0] == {}
    kit.assert_tree(data, archives)


def test_validation_requires_lidar_unless_its_archive_has_none(prepare, server, data, kit, archives):
    """Complete a tree of images; do not request a scan repeatedly that KITTI does not have."""
    scan = data / OTHER / "velodyne_points/data/0000000002.bin"
    prepare()
    scan.unlink()
    (data / ".preparation" / f"{DAY}_drive_0005_sync.zip.json").unlink()  # as if the user had unpacked it
    assert prepare()[0] == {} and scan.is_file()

    scan.unlink()
    (data / ".preparation" / f"{DAY}_drive_0005_sync.zip.json").unlink()
    path = f"raw_data/{DAY}_drive_0005/{DAY}_drive_0005_sync.zip"
    kit.write_zip(server.root / path, {k: v for k, v in archives[path].items() if not k.endswith("2.bin")})
    assert prepare()[0] == {} and not scan.exists()
    server.requests.clear()
    assert prepare()[0] == {} and not server.requests


def test_image_missing_in_the_archive_is_reported(prepare, server, kit, archives):
    members = {k: v for k, v in archives[ZIP].items() if k != f"{DRIVE}/image_03/data/0000000004.png"}
    kit.write_zip(server.root / ZIP, members)
    missing, _ = prepare()
    assert list(missing.values()) == [[f"{DRIVE}/image_03/data/0000000004.jpg"]]


def test_interrupted_connections_are_resumed(prepare, server, data, archives, kit):
    server.faults[ZIP] = [kit.cut_after(5500), 503, kit.cut_after(2000)]
    assert prepare()[0] == {}
    asked = [asked for method, path, asked in server.requests if (method, path) == ("GET", ZIP)]
    assert asked == [None, "bytes=5000-", "bytes=5000-", "bytes=7000-"]
    kit.assert_tree(data, archives)


@pytest.mark.parametrize("keep", [False, True])
def test_unpacked_archive_is_not_fetched_again_before_publishing(
    prepare, server, data, archives, kit, keep, monkeypatch
):
    """Kill the process after an archive is unpacked and before it is published."""
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(StagingDir, "publish", lambda self, name: 1 / 0)
        prepare(keep_archives=keep)
    assert not (data / DAY).exists()
    server.requests.clear()
    assert prepare(keep_archives=keep)[0] == {}
    kept = {path.name for path in data.glob("archives/*")}
    assert kept == ({path.rpartition("/")[2] for path in archives} if keep else set())
    shutil.rmtree(data / "archives", ignore_errors=True)
    kit.assert_tree(data, archives)


def _flipped(handler, due):
    third = len(due) // 3
    handler.wfile.write(due[:third] + bytes(third) + due[2 * third :])


def test_damaged_archive_is_fetched_again(prepare, server, data, archives, kit):
    server.faults[ZIP] = [_flipped]
    missing, notes = prepare()
    assert missing == {} and any("is damaged" in note and "again" in note for note in notes)
    kit.assert_tree(data, archives)


def test_archive_damaged_twice_is_an_error_after_the_others_are_done(prepare, server, data, archives, kit):
    server.faults[ZIP] = [_flipped, _flipped]
    with pytest.raises(DataError, match=r"drive_0001_sync\.zip' is damaged"):
        prepare()
    assert not (data / DRIVE).exists() and (data / OTHER).is_dir()
    assert not (data / "archives").exists()
    assert prepare()[0] == {}
    kit.assert_tree(data, archives)


def test_damaged_archive_of_the_user_is_not_deleted(prepare, server, data, archives):
    content = (server.root / ZIP).read_bytes()
    (server.root / ZIP).write_bytes(content[:-30])
    with pytest.raises(DataError, match="is damaged"):
        prepare(LocalSource(server.root))
    assert (server.root / ZIP).read_bytes() == content[:-30] and not (data / DRIVE).exists()


def test_unavailable_archives_are_reported_before_fetching(prepare, server, data):
    (server.root / ZIP).unlink()
    with pytest.raises(
        DataError, match=r"(?s)1 of 3 archives are unavailable:.*drive_0001_sync.zip: the server responded 404"
    ):
        prepare()
    assert not _gets(server) and not (data / DRIVE).exists()


def test_wrong_length_in_the_head_response(prepare, server, data):
    server.sizes[ZIP] = 1000
    with pytest.raises(DataError, match="more than the reported 1000 bytes"):
        prepare()
    assert not (data / DRIVE).exists()


def test_run_stops_when_the_server_disappears_and_the_next_one_resumes(prepare, server, data, archives, kit):
    server.faults[ZIP] = [kit.cut_after(3500), *[kit.cut_after(0)] * 3]
    with pytest.raises(DataError, match="is unavailable"):
        prepare()
    part = data / "archives" / f"{DAY}_drive_0001_sync.zip.part"
    assert part.stat().st_size == 3000
    server.requests.clear()
    assert prepare()[0] == {}
    assert ("GET", ZIP, "bytes=3000-") in server.requests
    kit.assert_tree(data, archives)


def test_space_needed(server, archives, split, data, pool):
    """PNG output may be as large as the archives; a limited number of archives exists at once."""
    stop = threading.Event()
    sizes = {}
    for keep, at_once, held in ((False, 1, 0), (True, 1, 0), (False, 1, 40)):
        required = required_files(split, ".png")
        steps = Preparation(data, required, HttpSource(server.url, stop), pool, stop, png=True, keep_archives=keep)
        sizes = dict(zip(required, (100, 60, 4), strict=True))
        if held:
            (data / "archives").mkdir()
            (data / "archives" / f"{next(iter(required)).name}.part").write_bytes(bytes(held))
        expected = {(False, 0): 164 + 100, (True, 0): 164 + 164, (False, 40): 164 + 60}
        assert steps.space_needed(sizes, at_once) == expected[keep, held]
    local = Preparation(data, required, LocalSource(data), pool, stop, png=False, keep_archives=False)
    assert local.space_needed(sizes, 2) == 123  # three quarters, without archives


def test_required_files_of_several_splits_are_merged(tmp_path, kit):
    first = kit.write_split(tmp_path / "a", train=["9 5 l"])
    second = kit.write_split(tmp_path / "b", train=["10 5 l"])
    required = {
        archive.name: (archive, needed)
        for archive, needed in merge_required_files(required_files(s, ".jpg") for s in (first, second)).items()
    }
    archive, needed = required["data_odometry_color.zip"]
    assert len(required) == 3 and archive.parts == {"09", "10"} and len(needed.files) == 8


def test_odometry_in_an_empty_folder(prepare, server, data, tmp_path, kit):
    """Strip the archives' top folder, and skip sequences that are not in the split."""
    images = {
        f"sequences/{s}/image_{c}/{n:06d}.png": kit.png_bytes(n) for s in ("08", "11") for c in (2, 3) for n in range(3)
    }
    kit.write_zip(server.root / "data_odometry_color.zip", {f"dataset/{name}": png for name, png in images.items()})
    texts = {"calib": "sequences/08/calib.txt", "poses": "poses/08.txt"}
    for kind, name in texts.items():
        kit.write_zip(server.root / f"data_odometry_{kind}.zip", {f"dataset/{name}": b"P0: 1\n"})
    required = required_files(kit.write_split(tmp_path / "odom", train=["8 1 l"]), ".jpg")
    assert prepare(required=required)[0] == {}
    expected = {name.replace(".png", ".jpg"): png for name, png in images.items() if "/08/" in name}
    found = {str(path.relative_to(data)) for path in data.rglob("*.*") if path.is_file()}
    assert {name for name in found if not name.startswith(".prep")} == {*expected, *texts.values()}


def test_concurrent_runs_are_rejected(data):
    with (
        exclusive_run(data),
        pytest.raises(DataError, match=r"Another run is preparing .* \(process \d+ on host"),
        exclusive_run(data),
    ):
        pass
    with exclusive_run(data):
        pass


def test_full_disk_is_reported(data):
    message = r"data': No space left on device.*run the same command again"
    with pytest.raises(DataError, match=message), disk_errors(data):
        Path("/dev/full").write_bytes(b"x")
