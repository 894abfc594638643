"""Import several sources into one dataset: choose the camera, size and folder name of each."""

import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL.ExifTags import IFD, Base

from common.errors import DataError, OptionsError, printable
from common.image_motion import TARGET_MOTION
from common.images import open_image
from common.input_files import find_images
from datasets.camera_files import read_camera_file
from datasets.cameras import Camera, rescale_and_validate
from datasets.folder_dataset import stored_size
from tools.video_import.frame_motion import Stride, choose_stride, given_stride
from tools.video_import.overlays import cropped, cut_reduced, find_bars, find_overlays, read_mask, sample_frames
from tools.video_import.sequence import MASK_PICTURE, PLAN, ImportPlan, import_sequence, read_record
from tools.video_import.sources import ImageFolderSource, Source, open_source

USUAL_PIXELS = 640 * 192  # the usual area of the networks' input, kept for other aspect ratios
MULTIPLE, LEAST_SIDE = 32, 64  # pixels; sizes that the networks accept


@dataclass(frozen=True)
class ImportSettings:
    """Settings of an import.

    Attributes:
        out: Folder of the dataset.
        size: (height, width) of the stored frames; None for the size of the existing dataset, or else a size for the
            aspect ratio of the first source.
        camera_file: File of the camera; None to use ``view``.
        view: Horizontal FOV in degrees; None to use the EXIF data of images, or else a guess.
        keep_distortion: Keep the distortion in the images.
        baseline: Distance in metres between the cameras of a stereo pair.
        fps: Frames per second of folders of images; None if unknown.
        mask_file: Image that is black on the pixels to ignore; None to find overlays.
        stride: Select one of this many frames; None to choose by parallax.
        selected_fps: Frames per second to select; None to choose by parallax.
    """

    out: Path
    size: tuple[int, int] | None = None
    camera_file: Path | None = None
    view: float | None = None
    keep_distortion: bool = False
    baseline: float | None = None
    fps: float | None = None
    mask_file: Path | None = None
    stride: int | None = None
    selected_fps: float | None = None


@dataclass(frozen=True)
class ImportInput:
    """The paths of a source as the user passes them: left camera, right camera, folder of depth maps."""

    left: Path
    right: Path | None = None
    depth: Path | None = None


def settled_size(settings: ImportSettings) -> tuple[int, int] | None:
    """Return the size (height, width) of the stored frames; None if the first source decides.

    Raises:
        OptionsError: If the dataset already has another size.
    """
    stored = stored_size(settings.out)
    if stored and settings.size not in (None, stored):
        raise OptionsError(
            f"{settings.out} already contains frames of {stored[1]}x{stored[0]}. Omit --height and --width, or choose "
            "another --out."
        )
    return stored or settings.size


def default_size(size: tuple[int, int]) -> tuple[int, int]:
    """Choose a size (height, width) that the networks accept, with the usual area and about this aspect ratio."""
    height, width = size
    ideal = math.sqrt(USUAL_PIXELS * height / width), math.sqrt(USUAL_PIXELS * width / height)
    return tuple(max(LEAST_SIDE, MULTIPLE * round(side / MULTIPLE)) for side in ideal)


def choose_camera(settings: ImportSettings, source: Source) -> Camera:
    """Choose the camera of a source: from its file, the field of view, EXIF data, or else a guess.

    Raises:
        DataError: If the camera does not match the images.
    """
    if settings.camera_file:
        camera = read_camera_file(settings.camera_file, source.size)
    elif settings.view:
        camera = Camera.from_view(settings.view, source.size, "by --fov", source.pixel_aspect)
    else:
        millimetres = _exif_focal_length(source) if isinstance(source, ImageFolderSource) else None
        if millimetres:
            origin = f"by EXIF: {millimetres:g} mm on 35 mm film"
            camera = Camera.from_35mm_equivalent(millimetres, source.size, origin)
        else:
            camera = Camera.guessed(source.size, source.pixel_aspect)
    return rescale_and_validate(camera, source.size, str(source.path))


def plan_import(settings: ImportSettings, given: ImportInput, size: tuple[int, int] | None) -> ImportPlan:
    """Open a source, measure its motion, and choose its camera, size and stride.

    Args:
        settings: Settings of the import.
        given: Paths of the source.
        size: (height, width) of the stored frames; None if this source decides.

    Raises:
        DataError: If the source cannot be imported.
    """
    source = open_source(given.left, settings.fps)
    right = open_source(given.right, settings.fps) if given.right else None
    if right and (len(right), right.size) != (len(source), source.size):
        raise DataError(
            f"{given.right} has {len(right)} frames of {right.size[1]}x{right.size[0]}, but {given.left} has "
            f"{len(source)} of {source.size[1]}x{source.size[0]}. Both cameras need the same number and size."
        )
    depths = find_images([str(given.depth)]) if given.depth else None
    if depths and len(depths) != len(source):
        raise DataError(f"{given.depth} has {len(depths)} depth maps, but {given.left} has {len(source)} frames.")
    camera = choose_camera(settings, source)
    frames = sample_frames(source)
    ignored = read_mask(settings.mask_file, source.size) if settings.mask_file else None
    if box := find_bars(frames, source.size):
        camera = cropped(camera, box)
        ignored = None if ignored is None else box.cut(ignored)
        frames = [cut_reduced(frame, box, source.size) for frame in frames]
        for cropped_source in filter(None, (source, right)):
            cropped_source.crop(box)
    if ignored is None:
        ignored = find_overlays(frames)
    if right and camera.has_distortion:
        raise DataError(
            f"The camera {camera.origin} has distortion, but stereo pairs must be rectified. Rectify the images, and "
            "pass the camera of the rectified images with --camera."
        )
    return ImportPlan(
        source,
        right,
        depths,
        camera,
        settings.keep_distortion,
        size or default_size(source.size),
        settings.baseline,
        _stride_of(settings, source, camera),
        ignored,
        settings.mask_file,
    )


def _stride_of(settings: ImportSettings, source: Source, camera: Camera) -> Stride:
    """Return the stride that the user chose, or else choose it by parallax."""
    if settings.stride:
        return given_stride(settings.stride)
    if settings.selected_fps:
        rate = 1 / float(np.median(np.diff(source.times)))
        return given_stride(max(1.0, rate / settings.selected_fps))
    return choose_stride(source, camera.K[0, 0] / camera.size[1])


def name_of(given: ImportInput, out: Path, taken: set[str]) -> str:
    """Choose the folder of a source in the dataset: its own name, prefixed by its parents' where that is taken."""
    parts = [given.left.resolve().stem if given.left.is_file() else given.left.resolve().name]
    for parent in given.left.resolve().parents:
        name = re.sub(r"[^\w.-]+", "_", "_".join(parts)).lstrip(".") or "sequence"
        record = read_record(out / name)
        path = record and record["plan"]["source"][0]
        if name not in taken and path in (None, str(given.left.resolve())):
            return name
        parts.insert(0, parent.name)
    raise DataError(f"{given.left}: every possible name is taken by a sequence in {out}. Choose another --out.")


def import_or_skip(plan: ImportPlan, folder: Path, on_frame: Callable[[], None]) -> tuple[dict[str, Any], bool]:
    """Import a sequence unless it is already complete.

    Returns:
        The record of the sequence, and whether it was already complete.

    Raises:
        DataError: If the source cannot be imported, in which case its folder is removed; or if the folder was imported
            with different settings.
    """
    record = read_record(folder)
    if record is not None:
        content = plan.as_dict()
        other = [name for name in content if content[name] != record["plan"].get(name)]
        if not plan.stride.is_given and "stride" in other:  # it was chosen by another version, or by the user
            other.remove("stride")
        if other:
            raise DataError(
                f"{folder} was imported with different settings ({', '.join(other)}). Remove the folder, or choose "
                "another --out."
            )
        return record, True
    if folder.exists() and not (folder / PLAN).is_file():
        raise DataError(f"{folder} exists, and was not created by an import. Choose another --out.")
    try:
        return import_sequence(plan, folder, on_frame), False
    except DataError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def frames_to_take(plan: ImportPlan) -> int:
    """Count the frames that the import selects."""
    return len(plan.selected)


def describe_plan(plan: ImportPlan) -> Iterator[str]:
    """Describe a source and its plan, line by line."""
    source, stride = plan.left, plan.stride
    height, width = source.size
    text = f"{len(source)} frames of {width}x{height}"
    if source.has_times:
        text += f" in {source.times[-1]:.1f} s"
    if source.stated_rate:
        text += " (no reliable time stamps: decoded in order, timed by the stated "
        text += f"{source.stated_rate:g} frames per second)"
    if source.box:
        text += f", inside letterbox bars that are cropped (from x {source.box.left}, y {source.box.top})"
    if source.rotation:
        text += f", rotated by {source.rotation} degrees to be upright"
    yield text
    yield from _describe_stride(stride)
    if plan.ignored is not None:
        origin = (
            f"by '{printable(plan.mask_file)}'" if plan.mask_file else "fixed to the image, such as a bonnet or text"
        )
        yield f"mask: {plan.ignored.mean():.1%} of the pixels, {origin}; see {MASK_PICTURE} in the sequence's folder"
    yield f"camera: {plan.camera.describe()}"


def _describe_stride(stride: Stride) -> Iterator[str]:
    """Describe how the frames are selected, with notes on what may be wrong."""
    if stride.is_given:
        yield f"stride {stride.sections[0][1]:g}, as given"
        return
    text = f"stride {stride.frames}"
    if len(stride.sections) > 1:
        text = "stride " + ", ".join(f"{its_stride} from frame {first}" for first, its_stride in stride.sections)
    what = "image motion" if stride.only_turns else "parallax"
    yield (
        f"{text}: {what} between frames {stride.motion / TARGET_MOTION:.2f} of KITTI's, measured at "
        f"{stride.samples[0]} positions, {stride.samples[1]} of them without"
    )
    if stride.wanted:
        yield (
            f"Note: the parallax asks for stride {stride.wanted}, but that leaves too few frames. Record a longer "
            "video, or move faster."
        )
    if stride.only_turns:
        yield (
            "Note: no parallax found: the camera only turns, or sees a flat scene. Depth cannot be learned from "
            "turns; move the camera."
        )
    elif stride.motion > 2 * TARGET_MOTION:
        yield "Note: the motion between frames is too large. Record at a higher frame rate, or move more slowly."


def _exif_focal_length(source: ImageFolderSource) -> float | None:
    """Read the 35 mm equivalent focal length in mm from the EXIF data of the first image."""
    with open_image(find_images([str(source.path)])[0]) as image:
        value = image.getexif().get_ifd(IFD.Exif).get(Base.FocalLengthIn35mmFilm)
    return float(value) if value else None
