"""What is to be done of each input: where its outputs go, whether they are there, what the folder was made from."""

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
PICTURE = "picture"  # of a video or camera, this kind is one video
VIDEO_ENDING = "_picture.mp4"


@dataclass(frozen=True)
class Job:
    """One image or frame and, by kind, the files to be written for it."""

    source: Path
    outputs: Mapping[str, Path]

    def is_done(self, since: int) -> bool:
        """Whether all its files are there, none older than ``since`` (`open_output_dir`)."""
        return all(_is_there(path, since) for path in self.outputs.values())

    def write(self, result: PredictedImage) -> None:
        """Writes all files, each whole or not at all. Raises UserError where one cannot be written."""
        for kind, path in self.outputs.items():
            with atomic_file(path) as stream:
                WRITERS[kind].write(stream, result)


@dataclass(frozen=True)
class VideoJob:
    """One video, or a camera, and what is to be written of it.

    Attributes:
        source: the file, or what names the camera.
        stem: path of its outputs, without their endings.
        kinds: for each frame, of `WRITERS`.
        video: the frames beside their disparity in colours; None where that is not asked for.
    """

    source: Path
    stem: Path
    kinds: tuple[str, ...]
    video: Path | None

    @property
    def folder(self) -> Path:
        """Of what is written for each frame."""
        return self.stem.with_name(f"{self.stem.name}_frames")

    def frame(self, index: int) -> Job:
        """What is written of a frame, counted from 0."""
        return Job(self.source, {kind: self.folder / f"{index:06d}{WRITERS[kind].ending}" for kind in self.kinds})

    def has_video(self, since: int) -> bool:
        """Whether no video is to be made, or it is there and not older than ``since``."""
        return self.video is None or _is_there(self.video, since)

    def is_done(self, since: int) -> bool:
        """Whether nothing is left to do, as far as can be told without reading it."""
        return not self.kinds and self.has_video(since)


def _is_there(path: Path, since: int) -> bool:
    return path.is_file() and path.stat().st_mtime_ns >= since


def common_folder(sources: Sequence[Path]) -> Path:
    """The deepest folder that holds all of the files, given as absolute paths."""
    return Path(os.path.commonpath([path.parent for path in sources]))


def plan_jobs(sources: Sequence[Path], output_dir: Path, kinds: Sequence[str]) -> list[Job | VideoJob]:
    """Where the outputs of each image and video go: those of several folders keep the folders below the one they share.

    Raises:
        DataError: two sources would write the same files, or outputs would come to lie among the sources.
    """
    if not sources:
        return []
    output_dir = Path(os.path.abspath(output_dir))
    root = common_folder(sources)
    owners: dict[str, Path] = {}
    jobs = []
    for source in sources:
        stem = output_dir / source.relative_to(root).with_suffix("")
        # Some file systems take small and capital letters for the same.
        other = owners.setdefault(str(stem).lower(), source)
        if other != source:
            raise DataError(
                f"{other} and {source} would both write {stem}_*: predict them in two runs, by patterns such as "
                "'*.png', each with an --output_dir of its own."
            )
        jobs.append(plan_video(source, stem, kinds) if is_video(source) else _plan_image(source, stem, kinds))
    folders = {(output_dir / path.relative_to(root)).parent for path in sources}
    taken = folders & {path.parent for path in sources}
    if taken:
        raise DataError(
            f"--output_dir {output_dir}: {min(taken)} holds images to predict, and the next run would take "
            "pictures made here for more of them; name another folder."
        )
    return jobs


def _plan_image(source: Path, stem: Path, kinds: Sequence[str]) -> Job:
    return Job(source, {kind: stem.with_name(stem.name + WRITERS[kind].ending) for kind in kinds})


def plan_video(source: Path, stem: Path, kinds: Sequence[str]) -> VideoJob:
    """Where the outputs of a video or camera go."""
    video = stem.with_name(stem.name + VIDEO_ENDING) if PICTURE in kinds else None
    return VideoJob(source, stem, tuple(kind for kind in kinds if kind != PICTURE), video)


def open_output_dir(output_dir: Path, settings: Mapping[str, Any], overwrite: bool) -> int:
    """Records what the predictions in a folder are made from, so that a later run resumes nothing made otherwise.

    The record is older than all that is made by it, and with ``overwrite`` newer than all that was there: a run that
    overwrites and is broken off is resumed like any other.

    Args:
        output_dir: made if it is not there.
        settings: as JSON can hold them.
        overwrite: put these settings in the place of others, or of the same.

    Returns:
        When the settings were recorded, as ``st_mtime_ns``: older files do not count.

    Raises:
        DataError: the folder holds predictions made otherwise.
    """
    path = output_dir / RECORD
    if path.is_file() and not overwrite:
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read ({error}): remove it with its folder, or --overwrite.") from error
        if held != settings:
            held = held if isinstance(held, Mapping) else {}
            changed = [name for name in settings if held.get(name) != settings[name]]
            told = "; ".join(f"{name}: there {held.get(name)}, now {settings[name]}" for name in changed)
            raise DataError(
                f"{output_dir} holds predictions made otherwise ({told}): name another --output_dir, or predict these "
                "images anew with --overwrite."
            )
    if overwrite or not path.is_file():
        with atomic_file(path) as stream:
            stream.write(json.dumps(settings, indent=2).encode() + b"\n")
    return path.stat().st_mtime_ns
