"""The whole check of a split: what is looked at, by which process, and what comes of it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from common.process_pool import map_in_processes
from datasets.checks import FolderListing, check_split
from datasets.mono_dataset import MonoDataset
from tools.dataset_check.calibration_checks import Use, View, calibration_uses, check_files, view_of
from tools.dataset_check.check_result import Result
from tools.dataset_check.depth_checks import choose_depth_lines, examine_depth
from tools.dataset_check.findings import Finding
from tools.dataset_check.image_checks import ImageState, drive_sizes, examine_stretch, judge_images, stretches
from tools.dataset_check.list_checks import Camera, check_lists, find_images
from tools.dataset_check.static_checks import find_stills
from tools.dataset_check.stereo_checks import choose_pairs, examine_pairs


class Job(NamedTuple):
    """What a process does at a time: a function, its argument, and how many files it reads."""

    function: Callable[[Any], Any]
    argument: Any
    files: int
    folder: str | None = None
    """Of the images, where it decodes some."""


@dataclass(frozen=True)
class Plan:
    """What there is to do, and what was found without opening an image.

    Attributes:
        parts: part -> its dataset.
        cameras: folder of images -> camera.
        uses: calibrations that are complete.
        jobs: for processes.
        findings: so far.
        depth_maps: how many ground truths are read.
    """

    parts: Mapping[str, MonoDataset]
    cameras: dict[str, Camera]
    uses: list[Use]
    jobs: list[Job]
    findings: list[Finding]
    depth_maps: int

    @property
    def images(self) -> int:
        """How many images are decoded."""
        return sum(len(camera.images) for camera in self.cameras.values())

    @property
    def files(self) -> int:
        """How many files are read; the unit of progress."""
        return sum(job.files for job in self.jobs)


def plan_checkup(parts: Mapping[str, MonoDataset], depth_parts: Collection[str], found: Iterable[Finding] = ()) -> Plan:
    """Lists what is to be checked, and finds what is missing.

    Args:
        parts: part -> its dataset, whose frame_ids and intrinsics are those that training uses.
        depth_parts: the parts whose ground truth is looked at.
        found: what is wrong already.

    Raises:
        DataError: no image of the split is there at all.
    """
    listing = FolderListing()
    findings = [*found, *check_lists(parts)]
    cameras, missing = find_images(parts, listing)
    if not cameras:
        for part, dataset in parts.items():
            check_split(dataset, part)  # says where it looked, and what may be wrong
    findings += missing
    uses = calibration_uses(parts, depth_parts)
    faults = list(check_files(uses))
    findings += faults
    faulty = {finding.path for finding in faults}

    jobs = []
    for folder, camera in cameras.items():
        jobs += [Job(examine_stretch, stretch, len(stretch), folder) for stretch in stretches(camera)]
    jobs += [Job(examine_pairs, pairs, 2 * len(pairs)) for pairs in choose_pairs(cameras, parts, listing)]
    depth_maps = 0
    for part in depth_parts:
        pieces, missing = choose_depth_lines(part, parts[part], listing, faulty)
        jobs += [Job(examine_depth, piece, len(piece.dataset)) for piece in pieces]
        depth_maps += sum(len(piece.dataset) for piece in pieces)
        findings += missing
    complete = [use for use in uses if faulty.isdisjoint(use.files)]
    return Plan(parts, cameras, complete, jobs, findings, depth_maps)


def run_checkup(plan: Plan, num_workers: int, on_files: Callable[[int], None]) -> Result:
    """Does what is planned.

    Args:
        num_workers: processes; 0 works in this one.
        on_files: called with the number of files that were read since the last call.

    Raises:
        DataError: a process died.
    """
    states: dict[str, list[ImageState]] = defaultdict(list)
    findings = list(plan.findings)
    for job, found in zip(plan.jobs, map_in_processes(_do, plan.jobs, num_workers), strict=True):
        if job.folder is None:
            findings += found
        else:  # a stretch begins with the last image of the one before
            states[job.folder] += found[1:] if states[job.folder] else found
        on_files(job.files)
    sizes = drive_sizes(plan.cameras, states)
    findings += judge_images(plan.cameras, states, sizes)
    findings += find_stills(plan.cameras, states)
    views, faults = _views(plan.uses, sizes)
    return Result(
        lines={part: len(dataset) for part, dataset in plan.parts.items()},
        drives=len({camera.drive for camera in plan.cameras.values()}),
        images=plan.images,
        depth_maps=plan.depth_maps,
        views=views,
        findings=findings + faults,
    )


def _do(job: Job) -> Any:
    return job.function(job.argument)


def _views(uses: list[Use], sizes: Mapping[str, tuple[int, int]]) -> tuple[dict[View, int], list[Finding]]:
    """What cameras see -> how many drives have such a camera; and implausible calibrations."""
    cameras: dict[tuple[str, str], Use] = {}
    for use in uses:
        cameras.setdefault((use.line.folder, use.line.side), use)
    drives: dict[View, set[str]] = defaultdict(set)
    faults = []
    for (drive, _), use in cameras.items():
        seen = view_of(use, sizes.get(drive))
        if isinstance(seen, View):
            drives[seen].add(drive)
        elif seen is not None:
            faults.append(seen)
    return {view: len(its_drives) for view, its_drives in drives.items()}, faults
