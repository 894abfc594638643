"""The kinds of findings, each with its cause and advice."""

from dataclasses import dataclass
from typing import NamedTuple


class FindingKind(NamedTuple):
    """Severity and texts of a kind of finding."""

    is_error: bool
    """Whether it affects training or evaluation; otherwise it is a warning."""
    title: str
    advice: str
    """The cause, and what to do."""


_AGAIN = "A download or copy was interrupted. Download or copy these files again."

KINDS = {
    "list_unreadable": FindingKind(
        True, "lists that cannot be read", "Each line must be 'folder frame side' (splits/README.md)."
    ),
    "test_list_unreadable": FindingKind(
        False,
        "test lists without frames of drives",
        "The published split 'benchmark' has one: it supports training, but not evaluation.",
    ),
    "image_missing": FindingKind(
        True,
        "lines with a missing target image",
        "Training skips such lines, evaluation stops. Download the drive, or remove the lines from the list.",
    ),
    "neighbour_missing": FindingKind(
        True,
        "missing neighbouring frames",
        "Training skips lines without their neighbours (--frame_ids). Remove the first and last frame of a drive from "
        "the lists; download the drive again if other frames are missing.",
    ),
    "pair_missing": FindingKind(
        True,
        "missing images of the other camera",
        "Training with --use_stereo skips such lines. Download both cameras' archives, or train on monocular video.",
    ),
    "image_damaged": FindingKind(True, "images that cannot be decoded", f"Training stops at the first one. {_AGAIN}"),
    "image_size": FindingKind(
        True,
        "images that differ in size from the rest of their drive",
        "They belong to another drive, or only they were resized. Download them again.",
    ),
    "calibration_missing": FindingKind(
        True,
        "missing calibration files",
        "For KITTI, unpack the *_calib.zip of the day or sequence there, or train without calibration: "
        "--kitti_mean_intrinsics. For other datasets, see docs/datasets.md.",
    ),
    "calibration_incomplete": FindingKind(
        True, "calibration files with missing entries", "They were truncated or edited. Download them again."
    ),
    "calibration_implausible": FindingKind(
        True,
        "implausible calibrations",
        "The file was edited, or does not describe rectified cameras (P_rect). Download it again.",
    ),
    "calibration_size": FindingKind(
        True,
        "calibrations for images of another size",
        "The file belongs to another day, or the images were resized or cropped. Download both again.",
    ),
    "images_downscaled": FindingKind(
        False,
        "calibrations for larger images of the same shape",
        "The images were downscaled: training, evaluation and prediction rescale the calibration. Nothing to do.",
    ),
    "stereo_swapped": FindingKind(
        True,
        "drives with swapped left and right cameras",
        "Near objects must appear further left in the right image, but appear further right. Swap the two image "
        "folders.",
    ),
    "depth_damaged": FindingKind(
        True,
        "ground truth files that are empty, truncated, in another format or do not match the image",
        f"Validation or evaluation stops there. {_AGAIN} For KITTI, convert lidar scans of other tools to its format.",
    ),
    "test_depth_missing": FindingKind(
        True,
        "test lines without ground truth",
        "Evaluation skips them. Download the lidar scans or depth maps of their drives.",
    ),
    "val_depth_missing": FindingKind(
        False,
        "validation lines without ground truth",
        "The best weights are selected by the depth error of the other lines, or by the loss if there are none.",
    ),
    "parts_overlap": FindingKind(
        True,
        "lines in two parts of the split",
        "Frames used for training must not be scored. Remove the lines from one of the lists.",
    ),
    "listed_twice": FindingKind(
        False, "lines listed twice", "They count twice in each epoch. Remove the duplicates from the list."
    ),
    "duplicate_frames": FindingKind(
        False,
        "frames identical to the previous one",
        "Without motion between frames there is nothing to learn. Remove them from the training list.",
    ),
    "static_images": FindingKind(
        False,
        "static stretches, according to image motion",
        "There is little to learn between such frames, and auto-masking ignores most of it. Remove them from the "
        "training list.",
    ),
    "static_speed": FindingKind(
        False,
        "static stretches, according to the recorded speed of the car",
        "There is little to learn between such frames, and auto-masking ignores most of it. Remove them from the "
        "training list.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One problem of a dataset.

    Attributes:
        kind: Key of ``KINDS``.
        path: The file or folder; None if the problem is a split line.
        line: The first split line that is affected; None if the problem is a list file.
        part: The part of the split that contains the line.
        detail: What was found, and what was expected.
        frames: Number of frames affected.
    """

    kind: str
    path: str | None
    line: str | None
    part: str | None
    detail: str
    frames: int = 1

    def __str__(self) -> str:
        text = self.detail if self.path is None or self.path in self.detail else f"{self.path}: {self.detail}"
        return text if self.line is None else f"{text} ({self.part}: {self.line})"
