"""Import one source as a sequence of the dataset: the selected frames at one size, their camera, and a record.

SEQUENCE/left/, right/, depth/, calib.txt  as ``datasets.folder_dataset`` reads them
SEQUENCE/mask.png, mask_picture.png        overlays, if there are any: black; red on one of the frames
SEQUENCE/frames.csv                        each selected frame, in the format of ``datasets.frame_table``
SEQUENCE/sequence.json                     the record; written last, it marks a complete sequence
SEQUENCE/import.json, import.csv           of an incomplete sequence: its plan, and the frames written so far
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from common.atomic_files import write_json
from common.errors import DataError, UserError
from common.image_motion import measure_motion, small_grey, static_frames
from common.images import read_image
from datasets.cameras import Camera, Undistorter, check_keeping
from datasets.depth_maps import encode_depth_png, read_depth_map
from datasets.folder_dataset import CALIBRATION, FOLDERS, MASK, FolderCamera, write_camera
from datasets.frame_table import FRAMES, RECORD, FrameRow, write_frame_table
from datasets.lanczos import resize_lanczos
from serialization.opening import read_json
from tools.video_import.frame_motion import Stride, select_frames
from tools.video_import.sources import ImageFolderSource, Source

PLAN, ROWS = "import.json", "import.csv"
# Entries of the record and of the plan in it that further imports read, and their types.
_ENTRIES = {"frames": int, "frames_still": int, "frames_not_decoded": int, "breaks": int, "field_of_view": list}
_PLAN_ENTRIES = {"source": list, "size": list}
MASK_PICTURE = "mask_picture.png"
MASK_COLOUR = (127, 0, 0)  # added to half of the picture
JPEG_QUALITY = 95
MIN_FRAMES = 9  # per sequence, to split it into train, val and test


@dataclass(frozen=True)
class ImportPlan:
    """The plan to import a source.

    Attributes:
        left: The source.
        right: The right camera of a stereo pair.
        depths: Depth maps of the left frames, in their order and at their size.
        camera: Camera of the source's frames; both cameras of a pair have the same.
        keep_distortion: Keep the distortion in the images and its coefficients in the camera.
        size: (height, width) of the stored frames.
        baseline: Distance in metres between the cameras of a pair.
        stride: Stride between selected frames.
        ignored: bool, at the size of the source's frames or smaller, True on overlays; None without.
        mask_file: The user's mask; None if ``ignored`` was detected.
    """

    left: Source
    right: Source | None
    depths: list[Path] | None
    camera: Camera
    keep_distortion: bool
    size: tuple[int, int]
    baseline: float | None
    stride: Stride
    ignored: np.ndarray | None = None
    mask_file: Path | None = None

    @property
    def intervals(self) -> np.ndarray:
        """Seconds from each frame to the next one to select, (N,); the stride where times are unknown."""
        return self.stride.at_frames(len(self.left)) * float(np.median(np.diff(self.left.times)))

    @property
    def selected(self) -> dict[int, int]:
        """The selected frames, frame number -> index in the source."""
        return select_frames(self.left.times, self.intervals)

    def as_dict(self) -> dict[str, Any]:
        """Convert everything that determines the output to JSON types."""
        camera = self.camera
        sources = {"source": self.left, "right": self.right}
        return {
            **{name: source and [str(source.path.resolve()), *source.version] for name, source in sources.items()},
            "depth": self.depths and str(self.depths[0].parent.resolve()),
            "camera": {
                "origin": camera.origin,
                "K": camera.K.tolist(),
                "size": list(camera.size),
                "distortion": camera.distortion.tolist(),
            },
            "keep_distortion": self.keep_distortion,
            "size": list(self.size),
            "baseline": self.baseline,
            "mask": self.mask_file and str(self.mask_file.resolve()),
            "stride": self.stride.frames if len(self.stride.sections) == 1 else [*map(list, self.stride.sections)],
            # None also in records of earlier versions, which did not know the option.
            "fps": self.left.fps if isinstance(self.left, ImageFolderSource) else None,
        }


def import_sequence(plan: ImportPlan, folder: Path, on_frame: Callable[[], None]) -> dict[str, Any]:
    """Write a sequence, or resume writing it.

    Args:
        plan: The plan.
        folder: Folder of the sequence.
        on_frame: Called for every selected frame.

    Returns:
        The content of sequence.json.

    Raises:
        DataError: If the source cannot be decoded, or yields too few frames.
        UserError: If the folder cannot be written.
    """
    undistorter = Undistorter(plan.camera) if plan.camera.has_distortion and not plan.keep_distortion else None
    if plan.camera.has_distortion and plan.keep_distortion:
        check_keeping(plan.camera)
    camera = (undistorter.camera if undistorter else plan.camera).resized(plan.size)
    selected = plan.selected
    try:
        rows = _begin(plan, folder)
        for _ in rows:
            on_frame()
        with open(folder / ROWS, "a", encoding="utf-8", newline="") as stream:
            for row in _write_frames(plan, folder, selected, rows[-1] if rows else None, undistorter):
                csv.writer(stream).writerow(row)
                stream.flush()
                rows.append(row)
                on_frame()
        kept, static = _remove_static(folder, rows)
        if len(kept) < MIN_FRAMES:
            raise DataError(
                f"{plan.left.path}: {len(kept)} of {len(plan.left)} frames remain with stride {plan.stride.frames}, "
                f"expected at least {MIN_FRAMES}. Record a longer video."
            )
        share = _write_mask(plan, folder, undistorter)
        write_camera(folder / CALIBRATION, FolderCamera(camera.K, camera.size, camera.distortion, plan.baseline))
        write_frame_table(folder / FRAMES, rows, kept)
        record = {**_record(plan, camera, selected, rows, kept, static), "masked_share": share}
        write_json(folder / RECORD, record)
        for name in (PLAN, ROWS):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return record


def read_record(folder: Path) -> dict[str, Any] | None:
    """Read the record of a sequence; None if the sequence is incomplete.

    Raises:
        DataError: If the record cannot be read, or lacks an entry.
    """
    path, advice = folder / RECORD, f"Remove {folder}, and import again."
    if not path.exists():
        return None
    record = read_json(path, advice, DataError)
    entries = record if isinstance(record, dict) else {}
    plan = entries.get("plan") if isinstance(entries.get("plan"), dict) else {}
    values = [*(entries.get(name) for name in _ENTRIES), *(plan.get(name) for name in _PLAN_ENTRIES)]
    kinds = [*_ENTRIES.values(), *_PLAN_ENTRIES.values()]
    if not all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True)):
        raise DataError(f"{path} is damaged: expected {', '.join((*_ENTRIES, 'plan', *_PLAN_ENTRIES))}. {advice}")
    return record


def _begin(plan: ImportPlan, folder: Path) -> list[FrameRow]:
    """Prepare the folder, and return the frames already written; the frames of another plan are removed."""
    content = plan.as_dict()
    rows: list[FrameRow] = []
    try:
        is_same = json.loads((folder / PLAN).read_text(encoding="utf-8")) == content
        if is_same and (folder / ROWS).is_file():
            rows = _read_rows(folder / ROWS)
    except (OSError, ValueError, RecursionError, csv.Error):  # missing or damaged
        is_same = False
    if not is_same:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / PLAN, content)
    for name in (*([FOLDERS["l"]]), *([FOLDERS["r"]] if plan.right else []), *(["depth"] if plan.depths else [])):
        (folder / name).mkdir(exist_ok=True)
    return rows


def _read_rows(path: Path) -> list[FrameRow]:
    """Read the complete rows, and cut off a truncated last one."""
    with open(path, encoding="utf-8", newline="") as stream:
        whole = [line for line in stream if line.endswith("\n")]
    rows = [
        FrameRow(int(a), int(b), float(c) if c else None, float(d) if d else None) for a, b, c, d in csv.reader(whole)
    ]
    path.write_text("".join(whole), encoding="utf-8", newline="")
    return rows


def _write_frames(
    plan: ImportPlan, folder: Path, selected: dict[int, int], last: FrameRow | None, undistorter: Undistorter | None
) -> Iterator[FrameRow]:
    """Store the frames after the last written one; yield each row once its images are complete."""
    numbers = {frame: number for number, frame in selected.items() if last is None or number >= last.number}
    rights = plan.right.read(list(numbers)) if plan.right else None
    before: tuple[int, np.ndarray] | None = None
    for frame in plan.left.read(list(numbers)):
        number = numbers[frame.index]
        right = next(rights, None) if rights else None
        grey = small_grey(frame.pixels)
        if last is None or number > last.number:
            name = f"{number:010d}"
            _store(plan, folder / FOLDERS["l"] / f"{name}.jpg", frame.pixels, undistorter)
            if plan.right:
                if right is None or right.index != frame.index:
                    raise DataError(f"{plan.right.path} has no frame {frame.index}, but {plan.left.path} has.")
                _store(plan, folder / FOLDERS["r"] / f"{name}.jpg", right.pixels, undistorter)
            if plan.depths:
                _store_depth(plan.depths[frame.index], folder / "depth" / f"{name}.png", plan.left, undistorter)
            follows = before is not None and before[0] == number - 1
            motion = measure_motion(before[1], grey) if follows else None
            seconds = float(plan.left.times[frame.index]) if plan.left.has_times else None
            yield FrameRow(number, frame.index, seconds, motion)
        before = number, grey


def _store(plan: ImportPlan, path: Path, pixels: np.ndarray, undistorter: Undistorter | None) -> None:
    image = Image.fromarray(undistorter.image(pixels) if undistorter else pixels)
    resized = resize_lanczos(image, *plan.size).transpose(1, 2, 0)
    Image.fromarray(resized).save(path, quality=JPEG_QUALITY, subsampling=0)


def _write_mask(plan: ImportPlan, folder: Path, undistorter: Undistorter | None) -> float:
    """Write the mask of the stored frames and a picture of it; return the share of the pixels that are ignored."""
    if plan.ignored is None:
        return 0.0
    height, width = plan.left.size
    ignored = cv2.resize(plan.ignored.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    ignored = undistorter.image(ignored[..., None].repeat(3, axis=2))[..., 0] if undistorter else ignored
    # A stored pixel that covers any part of an overlay is ignored.
    ignored = cv2.resize(ignored, plan.size[::-1], interpolation=cv2.INTER_AREA) > 0
    Image.fromarray(np.where(ignored, 0, 255).astype(np.uint8)).save(folder / MASK)
    middle = sorted((folder / FOLDERS["l"]).glob("*.jpg"))
    pixels = read_image(middle[len(middle) // 2]).copy()
    pixels[ignored] = pixels[ignored] // 2 + np.array(MASK_COLOUR, np.uint8)
    Image.fromarray(pixels).save(folder / MASK_PICTURE)
    return float(ignored.mean())


def _store_depth(path: Path, out: Path, source: Source, undistorter: Undistorter | None) -> None:
    if undistorter is None and source.box is None:
        shutil.copyfile(path, out)
        return
    depth = read_depth_map(path)
    depth = source.box.cut(depth) if depth is not None and source.box else depth
    if depth is None or depth.shape != source.size:
        height, width = source.size
        raise DataError(f"--depth {path}: expected a 16-bit grey PNG at the frames' size, {width}x{height}.")
    out.write_bytes(encode_depth_png(undistorter.depth(depth) if undistorter else depth))


def _remove_static(folder: Path, rows: list[FrameRow]) -> tuple[set[int], set[int]]:
    """Remove the images of static frames; return the numbers of the kept and of the static frames."""
    static = static_frames((row.number, row.motion) for row in rows)
    for number in static:
        for path in folder.glob(f"*/{number:010d}.*"):
            path.unlink()
    return {row.number for row in rows} - static, static


def _record(
    plan: ImportPlan, camera: Camera, selected: dict[int, int], rows: list[FrameRow], kept: set[int], static: set[int]
) -> dict[str, Any]:
    source = plan.left
    lens = "none"
    if plan.camera.has_distortion:
        lens = "kept" if plan.keep_distortion else "undone"
    steps = np.diff(source.times)
    motions = [row.motion for row in rows if row.motion is not None and row.number in kept]
    return {
        "plan": plan.as_dict(),
        "source_frames": len(source),
        "source_size": list(source.size),
        "turned_degrees": source.rotation,
        "frames_per_second": 1 / float(np.median(steps)) if source.has_times else None,
        "frame_rate_varies": bool(source.has_times and np.ptp(steps) > 0.1 * np.median(steps)),
        "stride": plan.stride.frames,
        "seconds_apart": float(np.median(plan.intervals)) if source.has_times else None,
        "motion": float(np.median(motions)) if motions else None,
        "motion_by_stride": {str(stride): motion for stride, motion in plan.stride.by_stride.items()},
        "sections": [*map(list, plan.stride.sections)],
        "places_measured": plan.stride.samples[0],
        "places_still": plan.stride.samples[1],
        "frames": len(kept),
        "frames_still": len(static),
        "frames_not_decoded": len(selected) - len(rows),
        "breaks": sum(second - first > 1 for first, second in pairwise(sorted(kept))),
        "K": camera.K.tolist(),
        "distortion": camera.distortion.tolist(),
        "lens": lens,
        "field_of_view": list(camera.view),
        "baseline": plan.baseline,
    }
