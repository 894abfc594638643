"""How large the differences between both implementations are, and how large rounding explains.

Training from scratch is chaotic. Adam's first update moves every weight by the learning rate, in the direction of its
gradient's sign; rounding flips the signs of gradients near 0, and every further step amplifies the difference. How much
is measured, not assumed, by the original's difference from itself. With another number of threads, it adds up the same
numbers in another order; that concerns few operations, though, whereas all operations of another implementation round
differently. The repeated run therefore also starts from weights that are changed by one unit in the last place.

- Step 1 precedes any update, so that only the rounding of one forward pass differs: at most ``FIRST_STEP``.
- Later differences may be ``FACTOR`` times the largest difference of the original from itself up to the next step. Both
  curves are single draws of a chaotic process that rise steeply, at times by a factor of 40 in a step; one may lag. The
  last of several steps has no next one and is not judged.
- Metrics of the same disparities have no such excuse: they differ by at most ``SCORES``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

FIRST_STEP = 1e-5
FACTOR = 10.0
SCORES = 1e-5
UNTIMED_STEPS = 2  # first calls of layers allocate and compile


@dataclass(frozen=True)
class Scores:
    """Metrics of the same disparities by both evaluations: scaling -> (N, 7), in the order of ``METRIC_NAMES``."""

    ours: Mapping[str, np.ndarray]
    original: Mapping[str, np.ndarray]

    def means(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return scaling -> the seven metrics of ours and of the original, averaged over frames that both score."""
        means = {}
        for scaling, ours in self.ours.items():
            both = np.isfinite(ours).all(axis=1) & np.isfinite(self.original[scaling]).all(axis=1)
            means[scaling] = ours[both].mean(axis=0), self.original[scaling][both].mean(axis=0)
        return means

    def difference(self) -> float:
        """Return the largest relative difference of a metric of a frame; infinite if only one side scores a frame."""
        largest = 0.0
        for scaling, ours in self.ours.items():
            theirs = self.original[scaling]
            if ours.shape != theirs.shape or (np.isfinite(ours) != np.isfinite(theirs)).any():
                return np.inf
            finite = np.isfinite(ours)
            largest = max(largest, _relative(ours[finite], theirs[finite]).max(initial=0.0))
        return largest


@dataclass(frozen=True)
class Comparison:
    """Results of three runs in lockstep: "ours", "original", and "repeated", the original from perturbed weights.

    Attributes:
        losses, seconds: Of each step, (steps,).
        peak_memory_mb: Of "ours" and "original": peak resident memory, MiB.
        versions: Of "ours" and "original": the framework.
        threads: CPU threads.
        scores: Of the same disparities by both; None without test frames.
    """

    losses: Mapping[str, np.ndarray]
    seconds: Mapping[str, np.ndarray]
    peak_memory_mb: Mapping[str, int]
    versions: Mapping[str, str]
    threads: Mapping[str, int]
    scores: Scores | None

    def differences(self, name: str) -> np.ndarray:
        """Return the relative differences of a run's losses from the original's, (steps,)."""
        return _relative(self.losses[name], self.losses["original"])

    def seconds_per_step(self, name: str) -> float:
        """Return the median time of a step, without the first ``UNTIMED_STEPS``."""
        seconds = self.seconds[name]
        return float(np.median(seconds[UNTIMED_STEPS:] if len(seconds) > UNTIMED_STEPS else seconds))


@dataclass(frozen=True)
class Verdict:
    """Whether the implementations agree, and the sentence that says why."""

    agrees: bool
    reason: str


def allowed_differences(repeated: np.ndarray) -> np.ndarray:
    """Return how much the losses of two correct implementations may differ.

    Args:
        repeated: Relative differences of the original from itself, (steps,).

    Returns:
        Largest relative differences that rounding explains, (steps,); infinite for the last of several steps.
    """
    up_to_next = np.append(np.maximum.accumulate(repeated)[1:], np.inf)
    allowed = np.maximum(FIRST_STEP, FACTOR * up_to_next)
    allowed[0] = FIRST_STEP
    return allowed


def judge_losses(comparison: Comparison) -> Verdict:
    """Judge the losses by the original's differences from itself."""
    losses = np.stack(list(comparison.losses.values()))
    if not np.isfinite(losses).all():
        step = int(np.argmin(np.isfinite(losses).all(axis=0))) + 1
        return Verdict(False, f"A loss of step {step} is not finite.")
    ours, repeated = (comparison.differences(name) for name in ("ours", "repeated"))
    allowed = allowed_differences(repeated)
    outside = np.flatnonzero(ours > allowed)
    if outside.size:
        first = outside[0]
        return Verdict(
            False,
            f"The losses of step {first + 1} differ by {ours[first]:.1e}, but rounding explains only "
            f"{allowed[first]:.1e}.",
        )
    return Verdict(
        True,
        f"The losses differ by {ours[0]:.1e} at step 1 and by up to {ours.max():.1e} over {len(ours)} steps, the "
        f"original from itself by up to {repeated.max():.1e}.",
    )


def judge_scores(scores: Scores | None) -> Verdict | None:
    """Judge the metrics of the same disparities; None without scores."""
    if scores is None:
        return None
    largest = scores.difference()
    if largest > SCORES:
        return Verdict(False, f"The metrics of the same disparities differ by {largest:.1e}, allowed: {SCORES:g}.")
    return Verdict(True, f"The metrics of the same disparities differ by at most {largest:.1e}.")


def _relative(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return |values - reference| / |reference|; 0 where both are 0."""
    difference = np.abs(values - reference)
    return np.divide(difference, np.abs(reference), out=np.where(difference == 0, 0.0, np.inf), where=reference != 0)
