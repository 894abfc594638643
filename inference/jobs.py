"""Plan the outputs of each input: their paths, whether they exist, and the settings that the folder was made with."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.atomic_files import atomic_file, write_json
from common.errors import DataError
from common.input_files import is_video
from inference.writers import WRITERS, PredictedImage
from serialization.opening import read_json

RECORD = "predict.json"
PICTURE = "picture"  # for a video or camera, this kind is one video
VIDEO_ENDING = "_picture.mp4"


@dataclass(frozen=True)
class Job:
    """One image or frame.

    Attributes:
        source: Image file, or the video or camera of the frame.
        stem: Path of the outputs, without their suffixes.
        outputs: Kind -> output file.
    """

    source: Path
    stem: Path
    outputs: Mapping[str, Path]

    def is_done(self, since: int) -> bool:
        """Return whether all output files exist and none is older than ``since`` (``open_output_dir``)."""
        return all(_is_there(path, since) for path in self.outputs.values())

    def write(self, result: PredictedImage) -> None:
        """Write all output files, each complete or not at all.

        Raises:
            UserError: A file cannot be written.
        """
        for kind, path in self.outputs.items():
            with atomic_file(path) as stream:
                WRITERS[kind].write(stream, result)


@dataclass(frozen=True)
class VideoJob:
    """One video or camera, and its outputs.

    Attributes:
        source: Video file, or name of the camera.
        stem: Path of the outputs, without their suffixes.
        kinds: Keys of ``WRITERS`` to write for each frame.
        video: Output video of the frames next to their coloured disparity; None if not requested.
    """

    source: Path
    stem: Path
    kinds: tuple[str, ...]
    video: Path | None

    @property
    def folder(self) -> Path:
        """Folder of the outputs for each frame."""
        return self.stem.with_name(f"{self.stem.name}_frames")

    def frame(self, index: int) -> Job:
        """Return the job of a frame, counted from 0."""
        return image_job(self.source, self.folder / f"{index:06d}", self.kinds)

    def has_video(self, since: int) -> bool:
        """Return whether no video is requested, or it exists and is not older than ``since``."""
        return self.video is None or _is_there(self.video, since)

    def is_done(self, since: int) -> bool:
        """Return whether nothing is left to do; False if outputs per frame are requested, whose number is unknown."""
        return not self.kinds and self.has_video(since)


def _is_there(path: Path, since: int) -> bool:
    return path.is_file() and path.stat().st_mtime_ns >= since


def common_folder(sources: Sequence[Path]) -> Path:
    """Return the deepest folder that contains all files, given as absolute paths."""
    return Path(os.path.commonpath([path.parent for path in sources]))


def plan_jobs(sources: Sequence[Path], output_dir: Path, kinds: Sequence[str]) -> list[Job | VideoJob]:
    """Plan the outputs of each image and video.

    Inputs from several folders keep their folder structure below the deepest common folder.

    Raises:
        DataError: Two inputs would write the same files, or outputs would be written next to inputs.
    """
    if not sources:
        return []
    output_dir = Path(os.path.abspath(output_dir))
    root = common_folder(sources)
    owners: dict[str, Path] = {}
    jobs = []
    for source in sources:
        stem = output_dir / source.relative_to(root).with_suffix("")
        # Some file systems ignore case.
        other = owners.setdefault(str(stem).lower(), source)
        if other != source:
            raise DataError(
                f"{other} and {source} would both write {stem}_*. Predict them in two runs with separate --output_dir, "
                "using patterns such as '*.png'."
            )
        jobs.append(plan_video(source, stem, kinds) if is_video(source) else image_job(source, stem, kinds))
    folders = {(output_dir / path.relative_to(root)).parent for path in sources}
    taken = folders & {path.parent for path in sources}
    if taken:
        raise DataError(
            f"--output_dir {output_dir}: {min(taken)} contains input images, and the next run would predict the "
            "outputs as well. Choose another folder."
        )
    return jobs


def image_job(source: Path, stem: Path, kinds: Sequence[str]) -> Job:
    """Plan the outputs of an image or frame."""
    return Job(source, stem, {kind: stem.with_name(stem.name + WRITERS[kind].ending) for kind in kinds})


def plan_video(source: Path, stem: Path, kinds: Sequence[str]) -> VideoJob:
    """Plan the outputs of a video or camera."""
    video = stem.with_name(stem.name + VIDEO_ENDING) if PICTURE in kinds else None
    return VideoJob(source, stem, tuple(kind for kind in kinds if kind != PICTURE), video)


def count_outputs(jobs: Sequence[Job | VideoJob]) -> dict[str, int]:
    """Count the existing output files of jobs: ending of the file name -> number."""
    counts: Counter[str] = Counter()
    for job in jobs:
        if isinstance(job, Job):
            counts.update(WRITERS[kind].ending for kind, path in job.outputs.items() if path.is_file())
            continue
        counts[VIDEO_ENDING] += job.video is not None and job.video.is_file()
        for ending in (WRITERS[kind].ending for kind in job.kinds):
            counts[ending] += sum(1 for _ in job.folder.glob(f"*{ending}"))
    return {ending: count for ending, count in counts.items() if count}


def open_output_dir(
    output_dir: Path,
    settings: Mapping[str, Mapping[str, Any]],
    jobs: Sequence[Job | VideoJob],
    max_frames: int | None,
    overwrite: bool,
) -> int:
    """Record inputs and settings of the predictions in a folder, to prevent a resume with different ones.

    New inputs and kinds are added to the record. It counts as older than every prediction made with it and, with
    ``overwrite``, as newer than every existing file. An interrupted run with ``overwrite`` therefore resumes like any
    other.

    Args:
        output_dir: Output folder; created if missing.
        settings: Kind -> everything that its outputs depend on, as JSON-compatible values.
        jobs: The planned predictions.
        max_frames: Maximum number of frames of the videos; a video's own record, so that others may differ.
        overwrite: Replace the record.

    Returns:
        Modification time of the record (``st_mtime_ns``); older outputs do not count as done.

    Raises:
        DataError: The predictions in the folder were produced with different settings, or from other inputs.
    """
    path = output_dir / RECORD
    old = None if overwrite or not path.is_file() else _read_record(path)
    record = old or {"settings": {}, "inputs": {}}
    stems = {str(job.stem.relative_to(os.path.abspath(output_dir))): job for job in jobs}
    inputs = {stem: str(job.source) for stem, job in stems.items()}
    frames = {stem: max_frames for stem, job in stems.items() if isinstance(job, VideoJob) and job.video}
    _check_settings(output_dir, record["settings"], settings)
    _check_inputs(output_dir, record, inputs, frames)
    kinds = {kind: {**record["settings"].get(kind, {}), **values} for kind, values in settings.items()}
    new = {"settings": {**record["settings"], **kinds}, "inputs": {**record["inputs"], **inputs}}
    if record.get("max_frames") or frames:
        new["max_frames"] = {**record.get("max_frames", {}), **frames}
    if new != old:
        before = path.stat() if old else None
        write_json(path, new)
        if before:  # the existing predictions are not older than the extended record
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return path.stat().st_mtime_ns


def _read_record(path: Path) -> dict[str, Any]:
    record = read_json(path, "Delete its folder, or pass --overwrite.", DataError)
    parts = [record.get(name) for name in ("settings", "inputs")] if isinstance(record, Mapping) else []
    if not parts or not all(isinstance(part, Mapping) for part in parts):
        raise DataError(
            f"{path} is damaged, or of an earlier version. Choose another --output_dir, or pass --overwrite to predict "
            "again."
        )
    if not all(isinstance(values, Mapping) for values in (*parts[0].values(), record.get("max_frames", {}))):
        raise DataError(f"{path} is damaged. Choose another --output_dir, or pass --overwrite to predict again.")
    return record


def _check_settings(
    output_dir: Path, held: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Mapping[str, Any]]
) -> None:
    """Compare the settings of each kind that exists already.

    Raises:
        DataError: A setting differs.
    """
    changed = {
        name: f"{name}: was {held[kind][name]}, now {value}"
        for kind, values in settings.items()
        for name, value in values.items()
        if name in held.get(kind, {}) and held[kind][name] != value
    }
    if changed:
        raise DataError(
            f"{output_dir} was produced with different settings ({'; '.join(changed.values())}). Choose another "
            "--output_dir, or pass --overwrite to predict again."
        )


def _check_inputs(
    output_dir: Path, record: Mapping[str, Any], inputs: Mapping[str, str], frames: Mapping[str, int | None]
) -> None:
    """Compare the inputs, stem -> file, and the maximum number of frames of videos, with those recorded.

    Raises:
        DataError: One differs.
    """
    for stem, source in inputs.items():
        if record["inputs"].get(stem, source) != source:
            raise DataError(
                f"{output_dir / stem}_* was produced from {record['inputs'][stem]}, not from {source}. Choose another "
                "--output_dir, or pass --overwrite to predict again."
            )
    held_frames = record.get("max_frames", {})
    for stem, max_frames in frames.items():
        if held_frames.get(stem, max_frames) != max_frames:
            raise DataError(
                f"{output_dir / stem}{VIDEO_ENDING} was produced with --max_frames {held_frames[stem]}, not with "
                f"{max_frames}. Choose another --output_dir, or pass --overwrite to predict again."
            )
