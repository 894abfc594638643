"""Generate a world: the drives of many streets, and a split by street."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import ClassVar

from common.atomic_files import atomic_folder, write_json
from common.errors import DataError
from common.process_pool import map_in_processes
from tools.synthetic.kitti_tree import write_calibration, write_frame, write_poses
from tools.synthetic.render import PinholeCamera, StreetRenderer
from tools.synthetic.street import Street
from tools.synthetic.textures import build_atlas

DATE = "2000_01_01"
SPLIT = "synthetic"
MANIFEST = "world.json"
# m/s. Training and validation lists omit slower frames, from which there is nothing to learn.
MIN_SPEED = 1.0


@dataclass(frozen=True)
class World:
    """The parameters that determine every byte of a world.

    Attributes:
        height: Height of the images in pixels, at least 32.
        width: Width of the images in pixels, at least 64.
        frames: Total number of stereo frames, at least 9 (three drives of three frames).
        seed: At least 0.

    Raises:
        DataError: If a parameter is out of range.
    """

    height: int
    width: int
    frames: int
    seed: int

    VERSION: ClassVar[int] = 1  # of the renderer; increase it when the output changes
    FRAMES_PER_DRIVE: ClassVar[int] = 25
    IMAGES: ClassVar[str] = "stereo frames"

    def __post_init__(self):
        for name, least in (("height", 32), ("width", 64), ("frames", 9), ("seed", 0)):
            if getattr(self, name) < least:
                raise DataError(f"World {name}: got {getattr(self, name)}, expected at least {least}.")

    @property
    def manifest(self) -> dict:
        """What the folder's manifest states."""
        return {"version": self.VERSION, **asdict(self)}

    @cached_property
    def drive_lengths(self) -> list[int]:
        """Number of frames of each drive."""
        drives = max(3, round(self.frames / self.FRAMES_PER_DRIVE))
        return [self.frames // drives + (drive < self.frames % drives) for drive in range(drives)]

    @property
    def parts(self) -> list[str]:
        """Part of the split of each drive; the last streets are held out for val and test."""
        drives = len(self.drive_lengths)
        held_out = max(1, round(drives / 8))
        return ["train"] * (drives - 2 * held_out) + ["val"] * held_out + ["test"] * held_out

    def street(self, drive: int) -> Street:
        """Generate the street of a drive."""
        return Street((self.seed, drive), self.drive_lengths[drive])

    def renderer(self, drive: int) -> StreetRenderer:
        """Create the renderer of a drive's street."""
        return StreetRenderer(
            self.street(drive), build_atlas(self.seed), PinholeCamera.like_kitti(self.height, self.width)
        )

    def drive_folder(self, drive: int) -> str:
        """Return the folder of a drive, as in split lines."""
        return f"{DATE}/{DATE}_drive_{drive + 1:04d}_sync"

    def split_lines(self, part: str) -> list[str]:
        """List the lines of a part: both cameras for training, else the left one. Their neighbours always exist."""
        lines = []
        for drive, its_part in enumerate(self.parts):
            if its_part != part:
                continue
            speeds = self.street(drive).speeds
            frames = [frame for frame in range(1, len(speeds) - 1) if speeds[frame] > MIN_SPEED or part == "test"]
            sides = "lr" if part == "train" else "l"
            lines += [f"{self.drive_folder(drive)} {frame} {side}" for frame in frames for side in sides]
        return lines

    def prepare(self, folder: Path) -> None:
        """Write what is not part of a frame: calibration and poses."""
        write_calibration(folder / DATE, PinholeCamera.like_kitti(self.height, self.width))
        for drive in range(len(self.drive_lengths)):
            write_poses(folder / self.drive_folder(drive), self.street(drive))

    def write_frame(self, folder: Path, renderer: StreetRenderer, drive: int, frame: int) -> None:
        """Render and write the files of a frame."""
        write_frame(folder / self.drive_folder(drive), renderer, frame)


def generate(world: World, out: Path, num_workers: int, on_frame: Callable[[], None] = lambda: None) -> bool:
    """Write a world to a folder atomically: the folder appears only when the world is complete.

    Args:
        world: The world.
        out: The folder; if it already contains the same world, nothing is written.
        num_workers: Number of rendering processes; 0 renders in this process.
        on_frame: Called after each written frame.

    Returns:
        Whether the world was written.

    Raises:
        DataError: If the folder contains anything else or is a file, or a worker process exited unexpectedly.
        UserError: If the folder cannot be written.
    """
    manifest = world.manifest
    if out.is_file():
        raise DataError(f"{out} is a file. Expected a new or empty folder as --out.")
    if out.exists() and any(out.iterdir()):
        _check_existing(out, manifest)
        return False
    with atomic_folder(out.absolute()) as folder:
        world.prepare(folder)
        lists = folder / "splits" / SPLIT
        lists.mkdir(parents=True)
        for part in ("train", "val", "test"):
            (lists / f"{part}_files.txt").write_text("\n".join(world.split_lines(part)) + "\n", encoding="utf-8")
        _draw_all(world, folder, num_workers, on_frame)
        write_json(folder / MANIFEST, manifest)
    return True


def _check_existing(out: Path, manifest: dict) -> None:
    try:
        found = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if found != manifest:
        # Values of a damaged manifest may be of any type and length.
        is_world = isinstance(found, dict) and isinstance(found.get("version"), int) and len(str(found)) < 1000
        what = f"another world ({found})" if is_world else "files other than a world"
        raise DataError(
            f"{out} contains {what}. Expected an empty folder or this world ({manifest}). Choose another --out."
        )


def _draw_all(world: World, out: Path, num_workers: int, on_frame: Callable[[], None]) -> None:
    frames = [(drive, frame) for drive, count in enumerate(world.drive_lengths) for frame in range(count)]
    for _ in map_in_processes(partial(_draw, world, out), frames, num_workers):
        on_frame()


def _draw(world: World, out: Path, drive_and_frame: tuple[int, int]) -> None:
    drive, frame = drive_and_frame
    world.write_frame(out, _renderer(world, drive), drive, frame)


@lru_cache(maxsize=2)
def _renderer(world: World, drive: int) -> StreetRenderer:
    """Cache the renderers of the drives that a process is rendering."""
    return world.renderer(drive)
