"""What can be wrong with a dataset: every kind once, with its cause and its remedy."""

from dataclasses import dataclass
from typing import NamedTuple


class FindingKind(NamedTuple):
    """What is known of a kind of finding."""

    is_error: bool
    """Whether training or evaluation would suffer; a warning otherwise."""
    title: str
    advice: str
    """Where it comes from, and what to do."""


_AGAIN = "A download or a copy was cut off: get these files again."

KINDS = {
    "list_unreadable": FindingKind(
        True, "lists that cannot be read", "Each line is 'folder frame side', as splits/README.md says."
    ),
    "test_list_unreadable": FindingKind(
        False,
        "test lists that name no frames of drives",
        "The published split 'benchmark' is such a one: it can be trained on, but not be evaluated on.",
    ),
    "image_missing": FindingKind(
        True,
        "lines whose own image is missing",
        "Training leaves such lines out, evaluation stops. Get the drive, or take the lines out of the list.",
    ),
    "neighbour_missing": FindingKind(
        True,
        "neighbouring frames that are missing",
        "Training leaves out lines without their neighbours (--frame_ids): the first and the last frame of a drive "
        "do not belong into its lists; else get the drive again.",
    ),
    "pair_missing": FindingKind(
        True,
        "images of the other camera that are missing",
        "Training with --use_stereo leaves such lines out: get both cameras' archives, or train on video alone.",
    ),
    "image_damaged": FindingKind(
        True, "images that cannot be decoded", f"Training stops at the first of them. {_AGAIN}"
    ),
    "image_size": FindingKind(
        True,
        "images of another size than the rest of their drive",
        "They are of another drive, or were resized apart from the rest: get them again.",
    ),
    "calibration_missing": FindingKind(
        True,
        "calibration files that are missing",
        "Unpack the day's or the sequence's *_calib.zip there. Video and stereo can be trained on without: "
        "--kitti_mean_intrinsics.",
    ),
    "calibration_incomplete": FindingKind(
        True, "calibration files without lines that are needed", "They were cut off or edited: get them again."
    ),
    "calibration_implausible": FindingKind(
        True,
        "calibrations that no camera has",
        "The file was edited, or is of another kind: get it again. Rectified cameras are meant (P_rect).",
    ),
    "calibration_size": FindingKind(
        True,
        "calibrations for images of another size",
        "They belong to another day, or the images were resized or cropped: get either again.",
    ),
    "stereo_swapped": FindingKind(
        True,
        "drives whose left and right camera are swapped",
        "What is near lies further left in the right image, and here it is the other way round: exchange the two "
        "folders of images.",
    ),
    "depth_damaged": FindingKind(
        True, "ground truth that is empty, cut off or does not fit", f"Validation or evaluation stops there. {_AGAIN}"
    ),
    "test_depth_missing": FindingKind(
        True,
        "test lines without ground truth",
        "Evaluation passes them over. Get the lidar scans (or the improved depth maps) of their drives.",
    ),
    "val_depth_missing": FindingKind(
        False,
        "validation lines without ground truth",
        "The best weights are picked by the depth error of the other lines, by the loss where there are none.",
    ),
    "parts_overlap": FindingKind(
        True,
        "lines that stand in two parts of the split",
        "What is scored must not be trained on: take them out of one of the lists.",
    ),
    "listed_twice": FindingKind(
        False, "lines that a list holds twice", "They count double in each epoch: take them out of the list."
    ),
    "duplicate_frames": FindingKind(
        False,
        "frames that are the same picture as the one before",
        "Nothing moves between them, so there is nothing to learn: leave them out of the training list.",
    ),
    "static_images": FindingKind(
        False,
        "stretches in which hardly anything moves, by the images",
        "Between such frames there is little to learn, and auto-masking leaves it out: better leave them out of the "
        "training list.",
    ),
    "static_speed": FindingKind(
        False,
        "stretches in which the car hardly moves, by its own speed",
        "Between such frames there is little to learn, and auto-masking leaves it out: better leave them out of the "
        "training list.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: a key of ``KINDS``.
        path: the file or folder; None where it is a line that is wrong.
        line: the split line, or the first of those concerned; None where it is a file that is wrong.
        part: the part of the split that the line is from.
        detail: what was found, and what was expected.
        frames: how many frames it is about.
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
