"""An intact piece of the real drive, which tests damage."""

import shutil
from pathlib import Path

import pytest

from datasets.build import build_dataset
from datasets.splits import SplitLine
from tools.dataset_check.check_result import CheckResult
from tools.dataset_check.run_checks import plan_checks, run_checks

DATE = "2011_09_26"
DRIVE = f"{DATE}/{DATE}_drive_1405_sync"  # the name of the piece, whatever the name of the sample's drive
FRAMES = range(24, 35)
SCANS = (27, 31, 34)
LISTS = {
    "train": [(frame, side) for frame in (25, 26, 28, 29, 30, 32) for side in "lr"],
    "val": [(31, "l"), (27, "l")],
    "test": [(34, "l")],
}


class Tree:
    """A copy of the piece."""

    def __init__(self, root: Path):
        self.root = root
        self.lists = {part: list(lines) for part, lines in LISTS.items()}

    def image(self, frame: int, side: str = "l") -> Path:
        return self.root / DRIVE / f"image_0{2 if side == 'l' else 3}/data/{frame:010d}.jpg"

    def scan(self, frame: int) -> Path:
        return self.root / DRIVE / f"velodyne_points/data/{frame:010d}.bin"

    def edit_calibration(self, name: str, change) -> None:
        path = self.root / DATE / name
        path.write_text("".join(change(line) for line in path.read_text().splitlines(keepends=True)))

    def check(self, name: str = "kitti", frame_ids=(0, -1, 1, "s"), num_workers: int = 0, **kwargs) -> CheckResult:
        parts = {
            part: build_dataset(
                name,
                str(self.root),
                [SplitLine(DRIVE, *line) for line in lines],
                height=96,
                width=320,
                frame_ids=(0,) if part == "test" else frame_ids,
                train=False,
                **kwargs,
            )
            for part, lines in self.lists.items()
        }
        plan = plan_checks(parts, [part for part in parts if part != "train"])
        done = []
        result = run_checks(plan, num_workers, done.append)
        assert sum(done) == plan.files
        return result

    def found(self, **kwargs) -> set[tuple]:
        """Return (kind, path relative to the tree, frame and side of the line) of each finding."""
        return {
            (
                finding.kind,
                finding.path and Path(finding.path).relative_to(self.root),
                finding.line and finding.line.removeprefix(f"{DRIVE} "),
            )
            for finding in self.check(**kwargs).findings
        }


@pytest.fixture(scope="session")
def piece(stereo_drive, sample_lines, tmp_path_factory) -> Path:
    """Copy consecutive frames of the sample, three with lidar, to the drive and frame numbers that the tests use."""
    root = tmp_path_factory.mktemp("piece")
    source = stereo_drive / sample_lines["train"][0].split()[0]
    wanted = [(f"image_0{camera}/data", frame, ".jpg") for camera in (2, 3) for frame in FRAMES]
    wanted += [("velodyne_points/data", frame, ".bin") for frame in SCANS]
    numbers = sorted(int(path.stem) for path in (source / "image_02/data").glob("*.jpg"))

    def name(folder: str, frame: int, ending: str) -> str:
        return f"{folder}/{frame:010d}{ending}"

    for shift in (number - FRAMES[0] for number in numbers):
        if all((source / name(folder, frame + shift, ending)).is_file() for folder, frame, ending in wanted):
            break
    else:
        pytest.skip(f"{source} has no {len(FRAMES)} consecutive stereo frames with lidar at {SCANS} of {FRAMES}")
    for folder, frame, ending in wanted:
        copy = root / DRIVE / name(folder, frame, ending)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name(folder, frame + shift, ending), copy)
    for calibration in ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt"):
        shutil.copyfile(source.parent / calibration, root / DATE / calibration)
    return root


@pytest.fixture
def tree(piece, tmp_path) -> Tree:
    shutil.copytree(piece, tmp_path / "tree")
    return Tree(tmp_path / "tree")
