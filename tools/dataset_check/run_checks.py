"""Check a split: plan the tasks, run them in worker processes, and collect the findings."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from common.process_pool import map_in_processes
from datasets.checks import FolderListing, check_split
from datasets.mono_dataset import MonoDataset
from tools.dataset_check.calibration_checks import CalibrationUse, CameraView, calibration_uses, check_files, view_of
from tools.dataset_check.check_result import CheckResult
from tools.dataset_check.depth_checks import choose_depth_lines, examine_depth
from tools.dataset_check.findings import Finding
from tools.dataset_check.image_checks import ImageState, check_images, drive_sizes, examine_stretch, stretches
from tools.dataset_check.list_checks import CameraImages, check_lists, find_images
from tools.dataset_check.static_checks import find_static_stretches
from tools.dataset_check.stereo_checks import choose_pairs, examine_pairs


class CheckTask(NamedTuple):
    """A task of a worker process: a function, its argument, and the number of files it reads."""

    function: Callable[[Any], Any]
    argument: Any
    files: int
    name: str
    folder: str | None = None
    """Folder of the images, if the task decodes a stretch of a camera."""


@dataclass(frozen=True)
class CheckPlan:
    """The tasks to run, and what was found without opening an image.

    Attributes:
        parts: Part -> its dataset.
        cameras: Image folder -> camera.
        uses: Calibrations with all needed entries.
        tasks: Tasks for the worker processes.
        findings: Findings so far.
        depth_maps: Number of ground truths to read.
    """

    parts: Mapping[str, MonoDataset]
    cameras: dict[str, CameraImages]
    uses: list[CalibrationUse]
    tasks: list[CheckTask]
    findings: list[Finding]
    depth_maps: int

    @property
    def images(self) -> int:
        """Number of images to decode."""
        return sum(len(camera.images) for camera in self.cameras.values())

    @property
    def files(self) -> int:
        """Number of files to read; the unit of progress."""
        return sum(task.files for task in self.tasks)


def plan_checks(
    parts: Mapping[str, MonoDataset], depth_parts: Collection[str], found: Iterable[Finding] = ()
) -> CheckPlan:
    """List the tasks, and report missing files.

    Args:
        parts: Part -> its dataset, with the frame_ids and intrinsics that training uses.
        depth_parts: Parts whose ground truth is checked.
        found: Earlier findings.

    Raises:
        DataError: If no image of the split exists.
    """
    listing = FolderListing()
    findings = [*found, *check_lists(parts)]
    cameras, missing = find_images(parts, listing)
    if not cameras:
        for part, dataset in parts.items():
            check_split(dataset, part)  # raises with the folders it searched and the likely cause
    findings += missing
    uses = calibration_uses(parts, depth_parts)
    faults = list(check_files(uses))
    findings += faults
    faulty = {finding.path for finding in faults}

    tasks = []
    for folder, camera in cameras.items():
        tasks += [
            CheckTask(examine_stretch, images, len(images), f"{images[0].path} to {images[-1].path}", folder)
            for images in stretches(camera)
        ]
    tasks += [
        CheckTask(examine_pairs, pairs, 2 * len(pairs), f"{pairs[0].left} and other stereo pairs")
        for pairs in choose_pairs(cameras, parts, listing)
    ]
    depth_maps = 0
    for part in depth_parts:
        pieces, missing = choose_depth_lines(part, parts[part], listing, faulty)
        for piece in pieces:
            lines = piece.dataset.lines
            tasks.append(CheckTask(examine_depth, piece, len(lines), f"ground truth of {lines[0]} to {lines[-1]}"))
        depth_maps += sum(len(piece.dataset) for piece in pieces)
        findings += missing
    complete = [use for use in uses if faulty.isdisjoint(use.files)]
    return CheckPlan(parts, cameras, complete, tasks, findings, depth_maps)


def run_checks(plan: CheckPlan, num_workers: int, on_files: Callable[[int], None]) -> CheckResult:
    """Run the planned tasks, and collect the findings.

    Args:
        plan: The tasks.
        num_workers: Number of worker processes; 0 runs in this process.
        on_files: Called with the number of files read since the last call.

    Raises:
        DataError: If a worker process exited unexpectedly.
    """
    states: dict[str, list[ImageState]] = defaultdict(list)
    findings = list(plan.findings)
    answers = map_in_processes(_do, plan.tasks, num_workers, describe=lambda task: task.name)
    for task, found in zip(plan.tasks, answers, strict=True):
        if task.folder is None:
            findings += found
        else:  # a stretch starts with the last image of the previous one
            states[task.folder] += found[1:] if states[task.folder] else found
        on_files(task.files)
    sizes = drive_sizes(plan.cameras, states)
    findings += check_images(plan.cameras, states, sizes)
    findings += find_static_stretches(plan.cameras, states)
    views, faults = _views(plan.uses, sizes)
    return CheckResult(
        lines={part: len(dataset) for part, dataset in plan.parts.items()},
        drives=len({camera.drive for camera in plan.cameras.values()}),
        images=plan.images,
        depth_maps=plan.depth_maps,
        views=views,
        findings=findings + faults,
    )


def _do(task: CheckTask) -> Any:
    return task.function(task.argument)


def _views(
    uses: list[CalibrationUse], sizes: Mapping[str, tuple[int, int]]
) -> tuple[dict[CameraView, int], list[Finding]]:
    """Count the drives of each camera view, and report implausible calibrations."""
    cameras: dict[tuple[str, str], CalibrationUse] = {}
    for use in uses:
        cameras.setdefault((use.line.folder, use.line.side), use)
    drives: dict[CameraView, set[str]] = defaultdict(set)
    faults = []
    for (drive, _), use in cameras.items():
        view, fault = view_of(use, sizes.get(drive))
        if view is not None:
            drives[view].add(drive)
        if fault is not None:
            faults.append(fault)
    return {view: len(its_drives) for view, its_drives in drives.items()}, faults
