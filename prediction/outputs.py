"""What is written for an image: one writer for each kind, where its file goes, and what the folder was made from.

A further kind is a function and a line in WRITERS.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from errors import DataError
from evaluation.colormap import colourise_disparity
from serialization.atomic import atomic_file

if TYPE_CHECKING:  # it imports Paddle, which nobody needs to be told of a mistyped option
    from inference import Prediction

RECORD = "predict.json"
DEPTH_STEPS = 256  # of KITTI's depth images, in a metre


@dataclass(frozen=True)
class Writer:
    """One kind of output.

    Attributes:
        ending: what follows the image's name, without its own ending, in the file's name.
        write: takes the stream to write to, the image, uint8 (H, W, 3), and its prediction.
        needs_metres: whether it makes no sense without a known scale.
    """

    ending: str
    write: Callable[[BinaryIO, np.ndarray, "Prediction"], None]
    needs_metres: bool = False


def write_picture(stream: BinaryIO, image: np.ndarray, prediction: "Prediction") -> None:
    """PNG (H, 2 W): the image, and to its right the disparity in colours, near bright and far dark."""
    picture = np.concatenate([image, colourise_disparity(prediction.scaled_disp)], axis=1)
    Image.fromarray(picture).save(stream, format="PNG")


def write_disp_npy(stream: BinaryIO, image: np.ndarray, prediction: "Prediction") -> None:
    """float32 (H, W): scaled disparity, one over depth in scene units."""
    np.save(stream, prediction.scaled_disp)


def write_depth_npy(stream: BinaryIO, image: np.ndarray, prediction: "Prediction") -> None:
    """float32 (H, W): depth, metres or scene units."""
    np.save(stream, prediction.depth)


def write_depth_png(stream: BinaryIO, image: np.ndarray, prediction: "Prediction") -> None:
    """16-bit grey PNG (H, W) as KITTI's: metres times 256, up to 255.99 m. 0 would mean unknown, and is not written."""
    steps = (prediction.depth * DEPTH_STEPS).round().clip(1, 65535)
    Image.fromarray(steps.astype(np.uint16)).save(stream, format="PNG")


WRITERS = {
    "picture": Writer("_picture.png", write_picture),
    "disp_npy": Writer("_disp.npy", write_disp_npy),
    "depth_npy": Writer("_depth.npy", write_depth_npy),
    "depth_png": Writer("_depth.png", write_depth_png, needs_metres=True),
}


@dataclass(frozen=True)
class Job:
    """One image and, by kind, the files to be written for it."""

    source: Path
    outputs: Mapping[str, Path]

    def is_done(self, since: int) -> bool:
        """Whether all its files are there, none older than ``since`` (`claim_folder`)."""
        return all(path.is_file() and path.stat().st_mtime_ns >= since for path in self.outputs.values())

    def write(self, image: np.ndarray, prediction: "Prediction") -> None:
        """Writes all files, each whole or not at all. Raises UserError where one cannot be written."""
        for kind, path in self.outputs.items():
            with atomic_file(path) as stream:
                WRITERS[kind].write(stream, image, prediction)


def common_folder(sources: Sequence[Path]) -> Path:
    """The deepest folder that holds all of the files, given as absolute paths."""
    return Path(os.path.commonpath([path.parent for path in sources]))


def plan_jobs(sources: Sequence[Path], output_dir: Path, kinds: Sequence[str]) -> list[Job]:
    """Where the outputs of each image go: images of several folders keep the folders below the one they share.

    Raises:
        DataError: two images would write the same files, or outputs would come to lie among the images.
    """
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
                f"{other} and {source} would both write {stem}{WRITERS[kinds[0]].ending}: predict them in two "
                "runs, by patterns such as '*.png', each with an --output_dir of its own."
            )
        jobs.append(Job(source, {kind: stem.with_name(stem.name + WRITERS[kind].ending) for kind in kinds}))
    taken = {path.parent for job in jobs for path in job.outputs.values()} & {path.parent for path in sources}
    if taken:
        raise DataError(
            f"--output_dir {output_dir}: {min(taken)} holds images to predict, and the next run would take "
            "pictures made here for more of them; name another folder."
        )
    return jobs


def claim_folder(output_dir: Path, settings: Mapping[str, Any], overwrite: bool) -> int:
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
