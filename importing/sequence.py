"""One source made into a sequence of the data set: chosen frames at one size, their camera, what was decided.

SEQUENCE/left/, right/, depth/, calib.txt  as `datasets.folder_dataset` reads them
SEQUENCE/frames.csv                        each frame that was taken: its number, the source's frame and its time, the
                                           motion since the number before as a share of the width, whether it was kept
SEQUENCE/sequence.json                     what was decided; written last, so that it marks a whole sequence
SEQUENCE/import.json, import.csv           what is there of one that is not whole: its plan, and the frames so far
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from datasets.cameras import Camera, Straightener, check_keeping
from datasets.depth_maps import read_raw_depth
from datasets.folder_dataset import CALIBRATION, FOLDERS, FRAMES, FolderCamera, write_camera
from datasets.transforms import resize_lanczos
from errors import DataError, UserError
from importing.motion import MEASURED_WIDTH, Stride, measure_motion, still_numbers, take_frames
from importing.sources import ImageSource, Source, small_grey
from serialization.atomic import atomic_file, write_json

RECORD, PLAN, ROWS = "sequence.json", "import.json", "import.csv"
JPEG_QUALITY = 95
LEAST_FRAMES = 9  # that a sequence needs to be split
COLUMNS = ("number", "source_frame", "seconds", "motion", "kept")


class Row(NamedTuple):
    """A frame that was taken; the motion since the number before, None where that has no frame."""

    number: int
    source_frame: int
    seconds: float
    motion: float | None


@dataclass(frozen=True)
class Plan:
    """What is to be made of a source.

    Attributes:
        left, right: the source, and the other camera of the pair.
        depths: depth maps of the left source's frames, in their order; of its size.
        camera: of both, for the source's frames.
        keep_lens: leave the distortion in the images, and its coefficients with the camera.
        size: (height, width) of what is stored.
        baseline: metres between the cameras of a pair.
        stride: how far apart frames are taken.
    """

    left: Source
    right: Source | None
    depths: list[Path] | None
    camera: Camera
    keep_lens: bool
    size: tuple[int, int]
    baseline: float | None
    stride: Stride

    @property
    def interval(self) -> float:
        """Seconds between frames; of a folder of images, numbers."""
        return self.stride.frames * float(np.median(np.diff(self.left.times)))

    def as_dict(self) -> dict[str, Any]:
        """All that decides what is written, as JSON can hold it."""
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
            "keep_distortion": self.keep_lens,
            "size": list(self.size),
            "baseline": self.baseline,
            "stride": self.stride.frames,
        }


def import_sequence(plan: Plan, folder: Path, on_frame: Callable[[], None]) -> dict[str, Any]:
    """Writes the sequence, or what is missing of it.

    Args:
        on_frame: called for every frame that is taken.

    Returns:
        What was decided: the content of sequence.json.

    Raises:
        DataError: the source cannot be decoded, or leaves too few frames.
        UserError: the folder cannot be written.
    """
    lens = Straightener(plan.camera) if plan.camera.has_lens and not plan.keep_lens else None
    if plan.camera.has_lens and plan.keep_lens:
        check_keeping(plan.camera)
    camera = (lens.camera if lens else plan.camera).resized(plan.size)
    taken = take_frames(plan.left.times, plan.interval)
    try:
        rows = _begin(plan, folder)
        for _ in rows:
            on_frame()
        with open(folder / ROWS, "a", encoding="utf-8", newline="") as stream:
            for row in _write_frames(plan, folder, taken, rows[-1] if rows else None, lens):
                csv.writer(stream).writerow(row)
                stream.flush()
                rows.append(row)
                on_frame()
        kept, still = _leave_out_still(folder, rows)
        if len(kept) < LEAST_FRAMES:
            raise DataError(
                f"{plan.left.path}: {len(kept)} of its {len(plan.left)} frames remain, {plan.interval:g} apart; at "
                f"least {LEAST_FRAMES} are needed. Take a longer video."
            )
        write_camera(folder / CALIBRATION, FolderCamera(camera.K, camera.size, camera.distortion, plan.baseline))
        _write_table(folder / FRAMES, rows, kept)
        record = _record(plan, camera, taken, rows, kept, still)
        write_json(folder / RECORD, record)
        for name in (PLAN, ROWS):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return record


def read_record(folder: Path) -> dict[str, Any] | None:
    """What was decided of a sequence; None where it is not whole."""
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / RECORD} cannot be read ({error}). Remove {folder}, and import again.") from error


def kept_numbers(folder: Path) -> list[int]:
    """Numbers of the frames of a whole sequence, ascending."""
    with open(folder / FRAMES, encoding="utf-8", newline="") as stream:
        return [int(row["number"]) for row in csv.DictReader(stream) if row["kept"] == "1"]


def _begin(plan: Plan, folder: Path) -> list[Row]:
    """The frames that are there already; of another plan nothing is left."""
    content = plan.as_dict()
    try:
        is_same = json.loads((folder / PLAN).read_text(encoding="utf-8")) == content
    except (OSError, ValueError):
        is_same = False
    if not is_same:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / PLAN, content)
    rows = []
    if (folder / ROWS).is_file():
        with open(folder / ROWS, encoding="utf-8", newline="") as stream:
            whole = [line for line in stream if line.endswith("\n")]  # but for one that was cut off
        rows = [Row(int(a), int(b), float(c), float(d) if d else None) for a, b, c, d in csv.reader(whole)]
        (folder / ROWS).write_text("".join(whole), encoding="utf-8", newline="")
    for name in (*([FOLDERS["l"]]), *([FOLDERS["r"]] if plan.right else []), *(["depth"] if plan.depths else [])):
        (folder / name).mkdir(exist_ok=True)
    return rows


def _write_frames(
    plan: Plan, folder: Path, taken: dict[int, int], last: Row | None, lens: Straightener | None
) -> Iterator[Row]:
    """Stores the frames after the last one that is there; each row comes when its images are whole."""
    numbers = {frame: number for number, frame in taken.items() if last is None or number >= last.number}
    rights = plan.right.read(list(numbers)) if plan.right else None
    before: tuple[int, np.ndarray] | None = None
    for frame in plan.left.read(list(numbers)):
        number = numbers[frame.index]
        right = next(rights, None) if rights else None
        grey = small_grey(frame.pixels, MEASURED_WIDTH)
        if last is None or number > last.number:
            name = f"{number:010d}"
            _store(plan, folder / FOLDERS["l"] / f"{name}.jpg", frame.pixels, lens)
            if plan.right:
                if right is None or right.index != frame.index:
                    raise DataError(f"{plan.right.path} has no frame {frame.index} for that of {plan.left.path}.")
                _store(plan, folder / FOLDERS["r"] / f"{name}.jpg", right.pixels, lens)
            if plan.depths:
                _store_depth(plan.depths[frame.index], folder / "depth" / f"{name}.png", plan.left.size, lens)
            follows = before is not None and before[0] == number - 1
            motion = measure_motion(before[1], grey) if follows else None
            yield Row(number, frame.index, float(plan.left.times[frame.index]), motion)
        before = number, grey


def _store(plan: Plan, path: Path, pixels: np.ndarray, lens: Straightener | None) -> None:
    image = Image.fromarray(lens.image(pixels) if lens else pixels)
    resize_lanczos(image, *plan.size).save(path, quality=JPEG_QUALITY, subsampling=0)


def _store_depth(source: Path, path: Path, size: tuple[int, int], lens: Straightener | None) -> None:
    if lens is None:
        shutil.copyfile(source, path)
        return
    depth = read_raw_depth(source)
    if depth.shape != size:
        raise DataError(f"--depth {source}: expected a 16-bit grey PNG of {size[1]}x{size[0]}, as the frames are.")
    cv2.imwrite(str(path), lens.depth(depth))


def _leave_out_still(folder: Path, rows: list[Row]) -> tuple[set[int], set[int]]:
    """Numbers that are kept, and those whose images are removed, since nothing moves in them."""
    still = still_numbers((row.number, row.motion) for row in rows)
    for number in still:
        for path in folder.glob(f"*/{number:010d}.*"):
            path.unlink()
    return {row.number for row in rows} - still, still


def _write_table(path: Path, rows: list[Row], kept: set[int]) -> None:
    lines = [",".join(COLUMNS)]
    for row in rows:
        motion = "" if row.motion is None else f"{row.motion:.5f}"
        lines.append(f"{row.number},{row.source_frame},{row.seconds:.6f},{motion},{int(row.number in kept)}")
    with atomic_file(path) as stream:
        stream.write(("\n".join(lines) + "\n").encode())


def _record(
    plan: Plan, camera: Camera, taken: dict[int, int], rows: list[Row], kept: set[int], still: set[int]
) -> dict[str, Any]:
    source = plan.left
    steps = np.diff(source.times)
    has_times = not isinstance(source, ImageSource)
    motions = [row.motion for row in rows if row.motion is not None and row.number in kept]
    return {
        "plan": plan.as_dict(),
        "source_frames": len(source),
        "source_size": list(source.size),
        "turned_degrees": source.rotation,
        "frames_per_second": 1 / float(np.median(steps)) if has_times else None,
        "frame_rate_varies": bool(has_times and np.ptp(steps) > 0.1 * np.median(steps)),
        "stride": plan.stride.frames,
        "seconds_apart": plan.interval if has_times else None,
        "motion": float(np.median(motions)) if motions else None,
        "motion_by_stride": {str(stride): motion for stride, motion in plan.stride.by_stride.items()},
        "places_measured": plan.stride.places[0],
        "places_still": plan.stride.places[1],
        "frames": len(kept),
        "frames_still": len(still),
        "frames_not_decoded": len(taken) - len(rows),
        "breaks": sum(second - first > 1 for first, second in pairwise(sorted(kept))),
        "K": camera.K.tolist(),
        "distortion": camera.distortion.tolist(),
        "lens": "kept" if plan.camera.has_lens and plan.keep_lens else "undone" if plan.camera.has_lens else "none",
        "field_of_view": list(camera.view),
        "baseline": plan.baseline,
    }
