"""Detection of the typical failures of self-supervised depth training, from the scalars of logged steps."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from training.diagnostics import PREFIX

Scalars = Mapping[str, float]


@dataclass(frozen=True)
class FailureMode:
    """A way in which training fails.

    Attributes:
        title: the symptom.
        cause: the most likely causes.
        remedy: what to do.
    """

    title: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.title}. Likely cause: {self.cause}. Remedy: {self.remedy}."


FAILURE_MODES = {
    "still_poses": FailureMode(
        "the predicted motion is close to zero",
        "the frames hardly differ, because the stride is too small for the speed, or the camera is static",
        "find static frames with tools/check_dataset.py and remove them from the split, or use a larger stride "
        "(--frame_ids 0 -2 2)",
    ),
    "constant_disparity": FailureMode(
        "disparity is constant over the image",
        "the images do not constrain depth (no motion, or wrong intrinsics), or a high learning rate has driven the "
        "decoder into a state without gradients",
        "check the field of view and the motion with tools/check_dataset.py; start again with a lower --learning_rate",
    ),
    "saturated_disparity": FailureMode(
        "most of the disparity is at one end of its range",
        "the scale of motion and depth does not match --min_depth and --max_depth, or the learning rate is too high",
        "widen the range, or start again with a lower --learning_rate",
    ),
    "auto_mask": FailureMode(
        "the auto-mask drops nearly every pixel",
        "the frames hardly differ and the unwarped sources always match best, or the motion is too large to be learned",
        "choose a stride at which neighbouring frames differ by a few pixels (--frame_ids), start from trained weights "
        "(--load_weights_folder), or test with --disable_automasking whether anything is learned",
    ),
    "holes": FailureMode(
        "the lower part of the image has holes of infinite depth",
        "objects that move at the camera's speed look infinitely far away",
        "keep auto-masking enabled, remove sequences behind moving cars, or add stereo pairs (--use_stereo)",
    ),
    "still_loss": FailureMode(
        "the loss has not decreased since the start of training",
        "depth and motion cannot explain the frames, because of wrong intrinsics, a wrong stride, or an unsuitable "
        "learning rate",
        "check the field of view and the motion with tools/check_dataset.py, then try another --learning_rate",
    ),
    "not_finite": FailureMode(
        "the loss is not finite",
        "the learning rate is too high, or an image or intrinsics contain NaN",
        "start from the last good weights with a lower --learning_rate; check the data with tools/check_dataset.py",
    ),
}

# Untrained networks predict constant disparity, which is not a failure yet.
FIRST_STEP = 100
# Consecutive logged steps that must show a symptom: a single batch may show a car waiting at traffic lights.
PATIENCE = 10
# Losses of single batches are noisy, and training from scratch needs many steps before motion is learned.
LOSS_FIRST_STEP, LOSS_PATIENCE = 1000, 20

LEAST_MOTION = 0.3  # pixels
LEAST_VARIATION = 0.02
MOST_SATURATED = 0.9  # of all pixels; the sky alone covers up to a third
LEAST_KEPT = 0.03  # of all pixels
# Of the pixels below the horizon. In the built-in world this fraction is 0 for the true depth, 0.01 if all cars at the
# camera's speed are infinitely far, and 0.03 if all moving cars are.
MOST_HOLES = 0.005
LEAST_FALL = 0.02  # relative to the first losses


class Watchdog:
    """Detect failures from the latest scalars, and report each once.

    Args:
        mode: "warn", "stop", or "off" (no detection).
        from_start: whether the run starts with untrained networks, whose loss must decrease.
    """

    def __init__(self, mode: str, from_start: bool) -> None:
        self.mode = mode
        self._latest: deque[Scalars] = deque(maxlen=PATIENCE)
        self._from_start = from_start
        self._first_losses: list[float] = []
        self._last_losses: deque[float] = deque(maxlen=LOSS_PATIENCE)
        self._reported: set[str] = set()

    def look(self, step: int, scalars: Scalars) -> list[str]:
        """Return the failures detected for the first time, keys of ``FAILURE_MODES``.

        Args:
            step: step of the run, from 0.
            scalars: losses and diagnostics (``training.diagnostics``) of a logged step.
        """
        if self.mode == "off":
            return []
        if len(self._first_losses) < PATIENCE:
            self._first_losses.append(scalars["loss"])
        if step < FIRST_STEP:
            return []
        self._latest.append(scalars)
        self._last_losses.append(scalars["loss"])
        found = [name for name in self._signs(step) if name not in self._reported]
        self._reported.update(found)
        return found

    def _signs(self, step: int) -> Iterator[str]:
        if len(self._latest) < PATIENCE:
            return
        for name, shows in _LASTING.items():
            if all(shows(scalars) for scalars in self._latest):
                yield name
        # A mean, not every batch: only some batches show a moving car.
        if _mean([entry[PREFIX + "holes"] for entry in self._latest]) > MOST_HOLES:
            yield "holes"
        due = self._from_start and step >= LOSS_FIRST_STEP and len(self._last_losses) == LOSS_PATIENCE
        if due and _mean(self._last_losses) > (1 - LEAST_FALL) * _mean(self._first_losses):
            yield "still_loss"


_LASTING: dict[str, Callable[[Scalars], bool]] = {
    "still_poses": lambda scalars: scalars.get(PREFIX + "motion", LEAST_MOTION) < LEAST_MOTION,
    "saturated_disparity": lambda scalars: scalars[PREFIX + "saturated"] > MOST_SATURATED,
    # Saturated disparity is constant, too; it is reported only as saturated.
    "constant_disparity": lambda scalars: (
        scalars[PREFIX + "variation"] < LEAST_VARIATION and scalars[PREFIX + "saturated"] <= MOST_SATURATED
    ),
    # Supervision by ground truth alone has no mask.
    "auto_mask": lambda scalars: scalars.get("auto_mask", 1.0) < LEAST_KEPT,
}


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)
