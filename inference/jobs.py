"""Plan the outputs of each input: their paths, whether they exist, and the settings that the folder was made with."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.atomic_files import atomic_file
from common.errors import DataError
from common.input_files import is_video
from inference.writers import WRITERS, PredictedImage

RECORD = "predict.json"
PICTURE = "picture"  # for a video or camera, this kind is one video
VIDEO_ENDING = "_picture.mp4"


@dataclass(frozen=True)
class Job:
    """One image or frame, and its output files by kind."""

    source: Path
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
        return Job(self.source, {kind: self.folder / f"{index:06d}{WRITERS[kind].ending}" for kind in self.kinds})

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
        jobs.append(plan_video(source, stem, kinds) if is_video(source) else _plan_image(source, stem, kinds))
    folders = {(output_dir / path.relative_to(root)).parent for path in sources}
    taken = folders & {path.parent for path in sources}
    if taken:
        raise DataError(
            f"--output_dir {output_dir}: {min(taken)} contains input images, and the next run would predict the "
            "outputs as well. Choose another folder."
        )
    return jobs


def _plan_image(source: Path, stem: Path, kinds: Sequence[str]) -> Job:
    return Job(source, {kind: stem.with_name(stem.name + WRITERS[kind].ending) for kind in kinds})


def plan_video(source: Path, stem: Path, kinds: Sequence[str]) -> VideoJob:
    """Plan the outputs of a video or camera."""
    video = stem.with_name(stem.name + VIDEO_ENDING) if PICTURE in kinds else None
    return VideoJob(source, stem, tuple(kind for kind in kinds if kind != PICTURE), video)


def open_output_dir(output_dir: Path, settings: Mapping[str, Any], overwrite: bool) -> int:
    """Record the settings of the predictions in a folder, to prevent a resume with different settings.

    The record is older than every prediction made with it and, with ``overwrite``, newer than every existing file. An
    interrupted run with ``overwrite`` therefore resumes like any other.

    Args:
        output_dir: Output folder; created if missing.
        settings: JSON-compatible values.
        overwrite: Replace the recorded settings.

    Returns:
        Modification time of the record (``st_mtime_ns``); older outputs do not count as done.

    Raises:
        DataError: The predictions in the folder were produced with different settings.
    """
    path = output_dir / RECORD
    if path.is_file() and not overwrite:
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read ({error}). Delete its folder, or pass --overwrite.") from error
        if held != settings:
            held = held if isinstance(held, Mapping) else {}
            changed = [name for name in settings if held.get(name) != settings[name]]
            details = "; ".join(f"{name}: was {held.get(name)}, now {settings[name]}" for name in changed)
            raise DataError(
                f"{output_dir} was produced with different settings ({details}). Choose another --output_dir, or pass "
                "--overwrite to predict again."
            )
    if overwrite or not path.is_file():
        with atomic_file(path) as stream:
            stream.write(json.dumps(settings, indent=2).encode() + b"\n")
    return path.stat().st_mtime_ns
