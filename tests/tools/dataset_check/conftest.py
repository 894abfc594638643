"""A piece of the real drive that is in order, to be damaged by tests."""

import shutil
from pathlib import Path

import pytest

from datasets.build import build_dataset
from datasets.splits import SplitLine
from tools.dataset_check.check_result import CheckResult
from tools.dataset_check.run_checks import plan_checks, run_checks

DATE = "2011_09_26"
DRIVE = f"{DATE}/{DATE}_drive_1405_sync"
FRAMES = range(24, 35)
SCANS = (27, 31, 34)
LISTS = {
    "train": [(frame, side) for frame in (25, 26, 28, 29, 30, 32) for side in "lr"],
    "val": [(31, "l"), (27, "l")],
    "test": [(34, "l")],
}


class Tree:
    """A copy of the piece. Paths are relative to it."""

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
        """Of each finding: its kind, the path, and the line in short."""
        return {
            (
                finding.kind,
                finding.path and Path(finding.path).relative_to(self.root),
                finding.line and finding.line.removeprefix(f"{DRIVE} "),
            )
            for finding in self.check(**kwargs).findings
        }


@pytest.fixture(scope="session")
def piece(stereo_drive, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("piece")
    needed = [f"{DATE}/calib_{name}.txt" for name in ("cam_to_cam", "velo_to_cam")]
    needed += [f"{DRIVE}/image_0{camera}/data/{frame:010d}.jpg" for camera in (2, 3) for frame in FRAMES]
    needed += [f"{DRIVE}/velodyne_points/data/{frame:010d}.bin" for frame in SCANS]
    for name in needed:
        if not (stereo_drive / name).is_file():
            pytest.skip(f"this sample lacks {name}")
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stereo_drive / name, root / name)
    return root


@pytest.fixture
def tree(piece, tmp_path) -> Tree:
    shutil.copytree(piece, tmp_path / "tree")
    return Tree(tmp_path / "tree")
