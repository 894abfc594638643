"""Several sources into one data set: the camera and name of each, and what becomes of those that cannot be used."""

import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL.ExifTags import IFD, Base

from common.errors import DataError, OptionsError
from common.images import open_image
from common.input_files import find_images
from datasets.camera_files import read_camera_file
from datasets.cameras import Camera, rescale_and_validate
from datasets.folder_dataset import stored_size
from tools.video_import.frame_motion import TARGET_MOTION, choose_stride, take_frames
from tools.video_import.sequence import PLAN, ImportPlan, import_sequence, read_record
from tools.video_import.sources import ImageFolderSource, Source, open_source

USUAL_PIXELS = 640 * 192  # of the networks' input, which a size of another shape has about as many of
MULTIPLE, LEAST_SIDE = 32, 64  # what the networks take


@dataclass(frozen=True)
class ImportSettings:
    """How sources are imported.

    Attributes:
        out: folder of the data set.
        size: (height, width) of what is stored; None for the data set's, else what suits the first source.
        camera_file, view: what is known of the cameras: a file, or the horizontal FOV in degrees; None for what images
            say, or a guess.
        keep_distortion: leave distortion in the images.
        baseline: metres between the cameras of pairs.
    """

    out: Path
    size: tuple[int, int] | None = None
    camera_file: Path | None = None
    view: float | None = None
    keep_distortion: bool = False
    baseline: float | None = None


@dataclass(frozen=True)
class ImportInput:
    """A source as given: its path, that of the right camera, and of the folder with its depth maps."""

    left: Path
    right: Path | None = None
    depth: Path | None = None


def settled_size(settings: ImportSettings) -> tuple[int, int] | None:
    """(height, width) that all frames of the data set are stored at; None where its first source decides.

    Raises:
        OptionsError: the data set has another one than is asked for.
    """
    stored = stored_size(settings.out)
    if stored and settings.size not in (None, stored):
        raise OptionsError(
            f"{settings.out} holds frames of {stored[1]}x{stored[0]}: leave out --height and --width, or name another "
            "--out."
        )
    return stored or settings.size


def suiting_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) that the networks take, with about the shape of images of this size and the usual area."""
    height, width = size
    ideal = math.sqrt(USUAL_PIXELS * height / width), math.sqrt(USUAL_PIXELS * width / height)
    return tuple(max(LEAST_SIDE, MULTIPLE * round(side / MULTIPLE)) for side in ideal)


def choose_camera(settings: ImportSettings, source: Source) -> Camera:
    """What is known of a source's camera: by file, by field of view, by what its images say, or a guess.

    Raises:
        DataError: the camera cannot be meant for these images.
    """
    if settings.camera_file:
        camera = read_camera_file(settings.camera_file, source.size)
    elif settings.view:
        camera = Camera.from_view(settings.view, source.size, "by --fov", source.pixel_aspect)
    else:
        millimetres = _film_focal_length(source) if isinstance(source, ImageFolderSource) else None
        if millimetres:
            origin = f"by EXIF: {millimetres:g} mm on 35 mm film"
            camera = Camera.from_35mm_equivalent(millimetres, source.size, origin)
        else:
            camera = Camera.guessed(source.size, source.pixel_aspect)
    return rescale_and_validate(camera, source.size, str(source.path))


def plan_import(settings: ImportSettings, given: ImportInput, size: tuple[int, int] | None) -> ImportPlan:
    """Opens a source and measures its motion.

    Args:
        size: (height, width) to store; None where this source decides it.

    Raises:
        DataError: it cannot be used.
    """
    source = open_source(given.left)
    right = open_source(given.right) if given.right else None
    if right and (len(right), right.size) != (len(source), source.size):
        raise DataError(
            f"{given.right} has {len(right)} frames of {right.size[1]}x{right.size[0]}, {given.left} {len(source)} of "
            f"{source.size[1]}x{source.size[0]}: a pair has as many, of one size."
        )
    depths = find_images([str(given.depth)]) if given.depth else None
    if depths and len(depths) != len(source):
        raise DataError(f"{given.depth} has {len(depths)} depth maps, but {given.left} {len(source)} frames.")
    camera = choose_camera(settings, source)
    if right and camera.has_distortion:
        raise DataError(
            f"{camera.origin} has a lens, but pairs must be rectified, which undoes it: rectify them, and give the "
            "camera of the rectified images."
        )
    return ImportPlan(
        source,
        right,
        depths,
        camera,
        settings.keep_distortion,
        size or suiting_size(source.size),
        settings.baseline,
        choose_stride(source),
    )


def name_of(given: ImportInput, out: Path, taken: set[str]) -> str:
    """The folder of a source in the data set: its own name, with its parents' where another source has that."""
    parts = [given.left.resolve().stem if given.left.is_file() else given.left.resolve().name]
    for parent in given.left.resolve().parents:
        name = re.sub(r"[^\w.-]+", "_", "_".join(parts)).lstrip(".") or "sequence"
        record = read_record(out / name)
        path = record and record["plan"]["source"][0]
        if name not in taken and path in (None, str(given.left.resolve())):
            return name
        parts.insert(0, parent.name)
    raise DataError(f"{given.left}: there is a sequence of each of its names in {out}; name another --out.")


def import_or_skip(plan: ImportPlan, folder: Path, on_frame: Callable[[], None]) -> tuple[dict[str, Any], bool]:
    """The record of a sequence, and whether it was there already.

    Raises:
        DataError: it cannot be used, and nothing is left of it; or it was imported in another way.
    """
    record = read_record(folder)
    if record is not None:
        content = plan.as_dict()
        other = [name for name in content if content[name] != record["plan"].get(name)]
        if other:
            raise DataError(
                f"{folder} was imported with another {', '.join(other)}: remove that folder, or name another --out."
            )
        return record, True
    if folder.exists() and not (folder / PLAN).is_file():
        raise DataError(f"{folder} is there, and was not made by an import: name another --out.")
    try:
        return import_sequence(plan, folder, on_frame), False
    except DataError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def frames_to_take(plan: ImportPlan) -> int:
    """How many frames are taken."""
    return len(take_frames(plan.left.times, plan.interval))


def describe_plan(plan: ImportPlan) -> Iterator[str]:
    """What was found of a source and decided, by line."""
    source, stride = plan.left, plan.stride
    height, width = source.size
    text = f"{len(source)} frames of {width}x{height}"
    if not isinstance(source, ImageFolderSource):
        text += f" in {source.times[-1]:.1f} s"
    if source.rotation:
        text += f", turned by {source.rotation} degrees to stand upright"
    yield text
    every = "each frame" if stride.frames == 1 else f"every {stride.frames} frames one"
    yield (
        f"takes {every}: the image then moves by {stride.motion:.2%} of its width, KITTI's by "
        f"{TARGET_MOTION:.2%}; measured at {stride.samples[0]} places, {stride.samples[1]} of them still"
    )
    yield f"camera: {plan.camera.describe()}"
    if stride.motion > 2 * TARGET_MOTION:
        yield "Note: it moves too fast from frame to frame; film with more frames a second, or move more slowly."


def _film_focal_length(source: ImageFolderSource) -> float | None:
    """Of the first image's EXIF data, in millimetres."""
    with open_image(find_images([str(source.path)])[0]) as image:
        value = image.getexif().get_ifd(IFD.Exif).get(Base.FocalLengthIn35mmFilm)
    return float(value) if value else None
