import threading
import time

import numpy as np
import pytest
from faulty_server import cut_after

import common.download
from common.download import HttpSource, LocalSource, StoppedError
from common.errors import DataError

CONTENT = np.random.default_rng(0).bytes(300_000)
SIZE = len(CONTENT)
PATH = "raw_data/a/a_sync.zip"

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
def remote(server):
    path = server.root / PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return HttpSource(f"{server.url}/", threading.Event())


@pytest.fixture
def fetch(remote, tmp_path):
    """Fetch the file into tmp_path/into; return its path and the sum of the reported bytes."""

    def run():
        reported = []
        path = remote.fetch(PATH, tmp_path / "into", SIZE, reported.append)
        return path, sum(reported)

    return run


def _ranges(server):
    return [asked for method, _, asked in server.requests if method == "GET"]


def test_file_is_downloaded_completely(remote, fetch, tmp_path):
    assert remote.size(PATH) == SIZE
    assert remote.read(PATH) == CONTENT
    path, reported = fetch()
    assert path == tmp_path / "into" / "a_sync.zip" and path.read_bytes() == CONTENT and reported == SIZE
    assert list(path.parent.iterdir()) == [path]


def test_complete_file_is_not_downloaded_again(server, fetch):
    fetch()
    server.requests.clear()
    assert fetch()[1] == SIZE and not server.requests


def test_interrupted_connection_is_resumed(server, fetch):
    server.faults[PATH] = [cut_after(100_000), 503, cut_after(0), cut_after(70_000)]
    path, reported = fetch()
    assert path.read_bytes() == CONTENT and reported == SIZE
    asked = _ranges(server)
    # Received data is kept in chunks of 65536 bytes.
    assert asked == [None, *["bytes=65536-"] * 3, "bytes=131072-"]


def test_partial_file_of_an_earlier_run_is_resumed(server, fetch, tmp_path):
    (tmp_path / "into").mkdir()
    (tmp_path / "into/a_sync.zip.part").write_bytes(CONTENT[:123_456])
    path, reported = fetch()
    assert path.read_bytes() == CONTENT and reported == SIZE
    assert _ranges(server) == ["bytes=123456-"]


def test_too_long_part_is_restarted(server, fetch, tmp_path):
    (tmp_path / "into").mkdir()
    (tmp_path / "into/a_sync.zip.part").write_bytes(CONTENT + b"more")
    assert fetch()[0].read_bytes() == CONTENT
    assert _ranges(server) == [None]


def test_server_without_ranges_restarts_the_download(server, fetch):
    server.ranges = False
    server.faults[PATH] = [cut_after(100_000)]
    path, reported = fetch()
    assert path.read_bytes() == CONTENT and reported == SIZE


def test_attempts_stop_without_progress(server, fetch, tmp_path):
    server.ranges = False
    server.faults[PATH] = [cut_after(100_000)] * 9
    with pytest.raises(DataError, match=r"a_sync\.zip is unavailable.*3 attempts"):
        fetch()
    assert len(_ranges(server)) == 4  # one with progress, three without
    assert not (tmp_path / "into/a_sync.zip").exists()


@pytest.mark.parametrize("status", [404, 403])
def test_missing_file_is_not_retried(server, remote, status):
    server.faults["nothing.zip"] = [status]
    with pytest.raises(DataError, match=rf"nothing\.zip: the server responded {status}"):
        remote.read("nothing.zip")
    assert len(server.requests) == 1


def test_transient_fault_is_retried(server, remote):
    server.faults[PATH] = [500, 429]
    assert remote.read(PATH) == CONTENT


def test_more_bytes_than_reported(server, remote, tmp_path):
    with pytest.raises(DataError, match="more than the reported 1000 bytes"):
        remote.fetch(PATH, tmp_path, 1000, lambda count: None)
    assert not list(tmp_path.glob("a_sync*"))


def test_fewer_bytes_than_reported(server, remote, tmp_path):
    with pytest.raises(DataError, match="smaller than reported"):
        remote.fetch(PATH, tmp_path, SIZE + 1, lambda count: None)
    assert not (tmp_path / "a_sync.zip").exists()


def test_body_length_differs_from_the_header(server, fetch):
    """Declare 10 bytes more than sent, then 10 bytes fewer."""

    def lie(handler, due):
        handler.wfile.write(due[:-10])
        handler.close_connection = True

    server.faults[PATH] = [lie]
    assert fetch()[0].read_bytes() == CONTENT


def test_unreachable_server(tmp_path):
    nobody = HttpSource("http://127.0.0.1:9", threading.Event())  # the discard port, where nothing listens
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9/x\.zip is unavailable.*refused.*3 attempts") as error:
        nobody.size("x.zip")
    assert "HTTPConnectionPool" not in str(error.value)


def test_server_timeout(server, remote, monkeypatch):
    monkeypatch.setattr(common.download, "TIMEOUT", 0.2)
    silence = threading.Event()
    server.faults[PATH] = [lambda handler, due: silence.wait(5)] * 3
    with pytest.raises(DataError, match=r"is unavailable.*timed out"):
        remote.read(PATH)
    silence.set()


def test_invalid_address():
    with pytest.raises(DataError, match="Expected http"):
        HttpSource("ftp://somewhere", threading.Event())


def test_stop_ends_a_download_and_keeps_its_part(server, tmp_path, remote, monkeypatch):
    monkeypatch.setattr(common.download, "CHUNK", 1000)
    stop = threading.Event()
    with pytest.raises(StoppedError):
        HttpSource(server.url, stop).fetch(PATH, tmp_path, SIZE, lambda count: count and stop.set())
    assert (tmp_path / "a_sync.zip.part").read_bytes() == CONTENT[:1000]


def test_stop_ends_the_pause_between_attempts(server, remote, monkeypatch):
    monkeypatch.setattr(common.download, "BACKOFF", 30.0)
    server.faults[PATH] = [500] * 9
    stop = threading.Event()
    source = HttpSource(server.url, stop)
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    with pytest.raises(StoppedError):
        source.read(PATH)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("place", ["raw_data/a/a_sync.zip", "a_sync.zip"])
def test_local_folder_instead_of_the_server(tmp_path, place):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(CONTENT)
    source = LocalSource(tmp_path)
    assert source.size(PATH) == SIZE
    assert source.fetch(PATH, tmp_path / "into", SIZE, lambda count: None) == tmp_path / place
    assert not (tmp_path / "into").exists()
    with pytest.raises(DataError, match=r"b\.zip"):
        source.size("raw_data/b.zip")


@pytest.mark.parametrize("place", ["eigen/test_files.txt", "splits/eigen/test_files.txt"])
def test_lists_in_a_local_folder(tmp_path, place):
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes(b"a 1 l\n")
    assert LocalSource(tmp_path).read("eigen/test_files.txt") == b"a 1 l\n"
