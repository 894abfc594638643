"""The classic collapses of self-supervised depth, named as they appear: decisions on the scalars of logged steps."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from training.diagnostics import PREFIX

Scalars = Mapping[str, float]


@dataclass(frozen=True)
class FailureMode:
    """A way in which training goes wrong.

    Attributes:
        title: what is seen.
        cause: what is most often behind it.
        remedy: what to do.
    """

    title: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.title}. Likely cause: {self.cause}. Remedy: {self.remedy}."


FAILURE_MODES = {
    "still_poses": FailureMode(
        "the predicted motion is next to none",
        "the frames hardly differ: a stride too small for the speed, or a camera that stands still",
        "look for still stretches by tools/check_dataset.py, leave them out of the split, or take frames further apart "
        "(--frame_ids 0 -2 2)",
    ),
    "constant_disparity": FailureMode(
        "disparity is the same all over the image",
        "the images say nothing about depth (no motion, or wrong intrinsics), or the learning rate threw the decoder "
        "into a state without gradient",
        "look at the field of view and the motion that tools/check_dataset.py prints; start again with a lower "
        "--learning_rate",
    ),
    "saturated_disparity": FailureMode(
        "most of the disparity is at an end of its range",
        "the scale of motion and depth does not fit --min_depth and --max_depth, or the learning rate is too high",
        "widen the range, or start again with a lower --learning_rate",
    ),
    "auto_mask": FailureMode(
        "the auto-mask drops nearly every pixel",
        "the frames hardly differ, so that an unwarped neighbour always matches best, or the motion is too large for "
        "the warp to find",
        "choose the stride so that neighbours differ by some pixels (--frame_ids), start depth and pose from trained "
        "weights (--load_weights_folder), or see by --disable_automasking whether anything is learned without it",
    ),
    "holes": FailureMode(
        "there are holes of infinite depth in the lower part of the image",
        "objects that move as fast as the camera look as if they were infinitely far",
        "keep auto-masking on, leave out stretches behind moving cars, or train on stereo pairs too (--use_stereo)",
    ),
    "still_loss": FailureMode(
        "the loss has not fallen since the training began",
        "the frames cannot be explained by depth and motion: wrong intrinsics, a wrong stride, or a learning rate far "
        "off",
        "check the field of view and the motion by tools/check_dataset.py, then try another --learning_rate",
    ),
    "not_finite": FailureMode(
        "the loss is not a finite number",
        "a learning rate that is too high, or an image or intrinsics that hold no numbers",
        "start from the last good weights with a lower --learning_rate; check the data by tools/check_dataset.py",
    ),
}

# Untrained networks give one disparity all over the image, which is no collapse yet.
FIRST_STEP = 100
# How many of the logged steps one after the other must show a sign: a single batch can be of a car at the lights.
PATIENCE = 10
# The losses of single batches scatter, and from scratch the motion takes its time to be found.
LOSS_FIRST_STEP, LOSS_PATIENCE = 1000, 20

LEAST_MOTION = 0.3  # pixels
LEAST_VARIATION = 0.02
MOST_SATURATED = 0.9  # of the pixels: the sky alone takes up to a third
LEAST_KEPT = 0.03
# Of the pixels below the horizon. In the built-in world it would be 0.01 if all cars at the camera's own speed were
# infinitely far, 0.03 with all cars that move; in the truth it is 0.
MOST_HOLES = 0.005
LEAST_FALL = 0.02


class Watchdog:
    """Remembers the latest scalars, and names each collapse once.

    Args:
        mode: "warn", "stop", or "off", which sees nothing.
        from_start: whether the run begins with untrained networks, whose loss should fall.
    """

    def __init__(self, mode: str, from_start: bool) -> None:
        self.mode = mode
        self._latest: deque[Scalars] = deque(maxlen=PATIENCE)
        self._from_start = from_start
        self._first_losses: list[float] = []
        self._last_losses: deque[float] = deque(maxlen=LOSS_PATIENCE)
        self._told: set[str] = set()

    def look(self, step: int, scalars: Scalars) -> list[str]:
        """The collapses that show now for the first time, keys of ``FAILURE_MODES``.

        Args:
            step: of the run.
            scalars: what the loss and ``training.diagnostics`` gave at a logged step.
        """
        if self.mode == "off":
            return []
        if len(self._first_losses) < PATIENCE:
            self._first_losses.append(scalars["loss"])
        if step < FIRST_STEP:
            return []
        self._latest.append(scalars)
        self._last_losses.append(scalars["loss"])
        found = [name for name in self._signs(step) if name not in self._told]
        self._told.update(found)
        return found

    def _signs(self, step: int) -> Iterator[str]:
        if len(self._latest) < PATIENCE:
            return
        for name, shows in _LASTING.items():
            if all(shows(scalars) for scalars in self._latest):
                yield name
        # A batch has a moving car or has not: what counts is their share over all.
        if _mean([entry[PREFIX + "holes"] for entry in self._latest]) > MOST_HOLES:
            yield "holes"
        due = self._from_start and step >= LOSS_FIRST_STEP and len(self._last_losses) == LOSS_PATIENCE
        if due and _mean(self._last_losses) > (1 - LEAST_FALL) * _mean(self._first_losses):
            yield "still_loss"


_LASTING: dict[str, Callable[[Scalars], bool]] = {
    "still_poses": lambda scalars: scalars.get(PREFIX + "motion", LEAST_MOTION) < LEAST_MOTION,
    "saturated_disparity": lambda scalars: scalars[PREFIX + "saturated"] > MOST_SATURATED,
    # What is saturated is constant too: it is told as the former.
    "constant_disparity": lambda scalars: (
        scalars[PREFIX + "variation"] < LEAST_VARIATION and scalars[PREFIX + "saturated"] <= MOST_SATURATED
    ),
    "auto_mask": lambda scalars: scalars["auto_mask"] < LEAST_KEPT,
}


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)
