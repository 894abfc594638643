"""Fixtures: small archives in KITTI's layout, and a local HTTP server with configurable faults."""

import io
import re
import sys
import threading
import zipfile
import zlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DATE = "2011_09_26"
DRIVE = f"{DATE}/{DATE}_drive_0001_sync"
OTHER_DRIVE = f"{DATE}/{DATE}_drive_0005_sync"
SIZE = (48, 24)


def png_bytes(seed: int, size: tuple[int, int] = SIZE) -> bytes:
    """Encode an image with a smooth colour gradient that depends on the seed."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """Write a zip archive with these members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def drive_members(folder: str, frames, size: tuple[int, int] = SIZE) -> dict[str, bytes]:
    """Build the members of a raw drive's archive: four cameras, lidar, oxts, and their timestamps."""
    members = {f"{folder}/": b"", f"{folder}/oxts/dataformat.txt": b"lat: latitude\n"}
    for name in ("image_00", "image_01", "image_02", "image_03", "velodyne_points", "oxts"):
        members[f"{folder}/{name}/timestamps.txt"] = b"2011-09-26 13:02:25.000000000\n" * len(frames)
    for frame in frames:
        for camera in range(4):
            # The grey images are never read.
            content = png_bytes(zlib.crc32(f"{folder} {frame} {camera}".encode()), size) if camera > 1 else b"grey"
            members[f"{folder}/image_0{camera}/data/{frame:010d}.png"] = content
        points = np.full((3, 4), frame, dtype="<f4")
        members[f"{folder}/velodyne_points/data/{frame:010d}.bin"] = points.tobytes()
        members[f"{folder}/oxts/data/{frame:010d}.txt"] = f"49.0 8.4 {frame}\n".encode()
    return members


def calibration_members(date: str) -> dict[str, bytes]:
    """Build the members of the calibration archive of a date."""
    names = ("cam_to_cam", "velo_to_cam", "imu_to_velo")
    return {f"{date}/calib_{name}.txt": f"calib_time: {name}\n".encode() for name in names}


def write_raw_archives(root: Path, drives: dict, size: tuple[int, int] = SIZE) -> dict[str, dict[str, bytes]]:
    """Write the archives of drives (folder -> frames) and of their dates with the server's paths.

    Returns:
        Path -> members.
    """
    archives = {}
    for folder, frames in drives.items():
        drive = folder.split("/")[1]
        archives[f"raw_data/{drive.removesuffix('_sync')}/{drive}.zip"] = drive_members(folder, frames, size)
        date = folder.split("/")[0]
        archives[f"raw_data/{date}_calib.zip"] = calibration_members(date)
    for path, members in archives.items():
        write_zip(root / path, members)
    return archives


def write_split(folder: Path, **parts: list[str]) -> Path:
    """Write a split folder with these lists."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, lines in parts.items():
        (folder / f"{part}_files.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


def wanted_members(archives: dict[str, dict[str, bytes]], png: bool = False) -> dict[str, bytes]:
    """List the files that a tree must contain after unpacking raw archives, path -> source bytes."""
    members = {name: content for one in archives.values() for name, content in one.items() if content}
    wanted = {name: content for name, content in members.items() if "image_00" not in name and "image_01" not in name}
    return {name if png else name.replace(".png", ".jpg"): content for name, content in wanted.items()}


def assert_tree(data: Path, archives: dict[str, dict[str, bytes]], png: bool = False) -> None:
    """Check that the data folder contains exactly the required files: equal bytes, or JPEGs of the same images."""
    expected = wanted_members(archives, png)
    found = {str(path.relative_to(data)): path for path in data.rglob("*") if path.is_file()}
    found = {name: path for name, path in found.items() if not name.startswith((".preparation/", "splits/"))}
    assert set(found) == set(expected)
    for name, content in expected.items():
        if not name.endswith(".jpg"):
            assert found[name].read_bytes() == content, name
            continue
        with Image.open(found[name]) as jpg, Image.open(io.BytesIO(content)) as picture:
            assert np.abs(np.asarray(jpg, float) - np.asarray(picture, float)).mean() < 8, name


class FaultyServer:
    """HTTP server for the files of a folder, with range requests and configurable faults.

    Attributes:
        faults: path -> list of faults, one per GET request: a status to respond with, or a function that receives the
            handler and the remaining bytes and sends the response.
        requests: received requests, (method, path, Range).
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults = defaultdict(list)
        self.sizes: dict[str, int] = {}  # wrong sizes for HEAD responses
        self.ranges = True
        self.requests: list[tuple[str, str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                outer.answer(self, body=False)

            def do_GET(self):
                outer.answer(self, body=True)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda request, address: None  # do not log interrupted connections
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, body: bool) -> None:
        path = handler.path.lstrip("/")
        self.requests.append((handler.command, path, handler.headers.get("Range")))
        fault = self.faults[path].pop(0) if body and self.faults[path] else None
        file = self.root / path
        if isinstance(fault, int) or not file.is_file():
            handler.send_response(fault or 404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        content, status, start = file.read_bytes(), 200, 0
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
        if asked and self.ranges:
            status, start = 206, int(asked[1])
        if start and start >= len(content):
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        due = content[start:]
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(due) if body else self.sizes.get(path, len(due))))
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        if body:
            (fault or (lambda handler, due: handler.wfile.write(due)))(handler, due)


def cut_after(count: int):
    """Build a fault that closes the connection after a number of body bytes."""

    def send(handler: BaseHTTPRequestHandler, due: bytes) -> None:
        handler.wfile.write(due[:count])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.close()

    return send


@pytest.fixture
def kit():
    """Provide the functions above."""
    return sys.modules[__name__]


@pytest.fixture
def server(tmp_path):
    """Serve tmp_path/server with a ``FaultyServer``."""
    (tmp_path / "server").mkdir()
    server = FaultyServer(tmp_path / "server")
    yield server
    server.close()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def short_pauses(monkeypatch):
    """Reduce attempts and pauses."""
    import tools.kitti.download

    monkeypatch.setattr(tools.kitti.download, "RETRIES", 2)
    monkeypatch.setattr(tools.kitti.download, "BACKOFF", 0.01)
