"""Fixtures: small archives in KITTI's layout."""

import io
import sys
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from faulty_server import cut_after  # noqa: F401  (of ``kit``)
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


@pytest.fixture
def kit():
    """Provide the functions above, and ``cut_after``."""
    return sys.modules[__name__]


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield threads
