"""The full checkpoints of a run, ``run_dir/checkpoints/step_N``: which there are, which to take, how many stay."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from paddle import nn

from common.atomic_files import resolve_complete_dir
from common.errors import UserError, WeightsError
from serialization.checkpoint import STATE_FILE, check_checkpoint

FOLDER = "checkpoints"
# A checkpoint that a save was about to replace stands aside under a name of its own for a moment.
_NAME = re.compile(r"step_(\d+)|\.step_(\d+)\.old")
_SPARE_BYTES = 50e6  # for logs, and what else the disk is wanted for


class Checkpoints:
    """The checkpoints of one run.

    Args:
        run_dir: the run's folder.
        keep: how many of the newest stay.
    """

    def __init__(self, run_dir: Path, keep: int) -> None:
        self.folder = run_dir / FOLDER
        self.keep = keep

    def steps(self) -> list[int]:
        """The steps that there are checkpoints of, the newest first; they may be damaged."""
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        found = {int(match[1] or match[2]) for name in names if (match := _NAME.fullmatch(name))}
        return sorted(found, reverse=True)

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return resolve_complete_dir(self.folder / f"step_{step}")

    def latest_valid(self, note: Callable[[str], None] = print) -> Path | None:
        """The newest checkpoint that is as it was written; None where there is none at all.

        Args:
            note: is told of damaged ones.

        Raises:
            WeightsError: all that there are are damaged.
        """
        steps = self.steps()
        for step in steps:
            path = self.path(step)
            try:
                check_checkpoint(path)
            except WeightsError as fault:
                note(f"Passing over a checkpoint: {fault}")
            else:
                return path
        if steps:
            raise WeightsError(
                f"none of the {len(steps)} checkpoints in {self.folder} is whole. Start again from weights, by "
                f"--load_weights_folder and another --model_name, or remove {self.folder} to begin anew."
            )
        return None

    def resume_hint(self, command: str) -> str:
        """Return how to resume from the newest checkpoint by a command, as the end of a message; empty without any."""
        steps = self.steps()
        return f"\nTo go on: {command} --resume {self.path(steps[0])}" if steps else ""

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Has ``write`` write the checkpoint of a step, then removes those that are not to stay."""
        write(self.folder / f"step_{step}")
        for old in self.steps()[self.keep :]:
            # Renamed first: what is removed by halves must not look like a checkpoint.
            leaving = self.folder / f".step_{old}.tmp"
            shutil.rmtree(leaving, ignore_errors=True)
            os.replace(self.path(old), leaving)
            shutil.rmtree(leaving, ignore_errors=True)

    def clear_leftovers(self) -> None:
        """Removes what a killed process left half-written or half-removed."""
        for path in self.folder.glob(".step_*.tmp"):
            shutil.rmtree(path, ignore_errors=True)


def find_checkpoint(resume: str | None, run_dir: Path) -> Path | None:
    """The checkpoint that ``--resume`` names; None to begin anew.

    Args:
        resume: "auto" for the newest whole one of ``run_dir``, or none where it has none; a checkpoint's folder; a
            run's folder, whose newest whole one it is; or None.

    Raises:
        WeightsError: there is none, or it is damaged.
        UserError: ``run_dir`` holds another run, which would be mixed with the one to come.
    """
    own = Checkpoints(run_dir, keep=1)
    if resume == "auto":
        return own.latest_valid()
    if resume is None:
        _refuse_to_mix(own, run_dir)
        return None
    folder = Path(resume)
    if (folder / FOLDER).is_dir():
        found = Checkpoints(folder, keep=1).latest_valid()
        if found is not None:
            return found
    if not (folder / STATE_FILE).is_file():
        raise WeightsError(
            f"--resume {resume}: a checkpoint's folder (with {STATE_FILE}) or a run's (with {FOLDER}/step_N) was "
            "expected, or auto for the newest of this run; "
            + ("there is no such folder." if not folder.is_dir() else "this folder is neither.")
        )
    check_checkpoint(folder)
    return folder


def _refuse_to_mix(own: Checkpoints, run_dir: Path) -> None:
    weights = sorted(path.name for path in (run_dir / "models").glob("weights_*"))
    if own.steps():
        what = f"checkpoints up to step {own.steps()[0]}; to go on with it, add --resume auto"
    elif weights:
        what = f"{', '.join(weights)}, which would be replaced"
    else:
        return
    raise UserError(
        f"{run_dir} holds a run already: {what}. To begin another, name it by --model_name or --log_dir, or remove "
        "that folder."
    )


def check_no_newer(checkpoint: Path, run_dir: Path, step: int) -> None:
    """Raises UserError where going back to ``checkpoint`` would leave a run with two futures."""
    newer = [other for other in Checkpoints(run_dir, keep=1).steps() if other > step]
    if newer:
        raise UserError(
            f"{run_dir} has checkpoints newer than {checkpoint} (up to step {newer[0]}). To go back to this one, give "
            "the run another --model_name, or remove the newer ones; --resume auto goes on with the newest."
        )


def bytes_to_write(model: nn.Layer, weights_kept: int, checkpoints_kept: int) -> float:
    """What the rest of a run takes on disk: checkpoints with two moments, weights without."""
    weights = sum(value.size * value.element_size() for value in model.state_dict().values())
    folders = 2 + weights_kept  # weights_best is written beside the old one
    return weights * (folders + 3 * (1 + checkpoints_kept))


def check_space(run_dir: Path, needed: float) -> None:
    """Raises UserError where the disk has less room than the run's checkpoints and weights will take.

    Args:
        run_dir: on the disk in question; exists.
        needed: bytes.
    """
    free = shutil.disk_usage(run_dir).free
    if free < needed + _SPARE_BYTES:
        raise UserError(
            f"the run needs about {needed / 1e9:.1f} GB for its checkpoints and weights; {run_dir} has "
            f"{free / 1e9:.1f} GB left. Free some, name another --log_dir, or save less: a smaller --keep_checkpoints, "
            "a larger --save_frequency."
        )
