"""The checkpoints of a run, ``run_dir/checkpoints/step_N``: find, validate, rotate."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from paddle import nn

from common.atomic_files import resolve_complete_dir
from common.errors import UserError, WeightsError, shell_quoted
from serialization.checkpoint import STATE_FILE, check_checkpoint
from serialization.weights_folder import INFO_FILE
from training.run_lock import check_not_running

FOLDER = "checkpoints"
# .step_N.old: a checkpoint that a save was replacing when the process was killed.
_NAME = re.compile(r"step_(\d+)|\.step_(\d+)\.old")
_SPARE_BYTES = 50e6  # for logs and other files


class Checkpoints:
    """The checkpoints of one run.

    Args:
        run_dir: folder of the run.
        keep: number of checkpoints to keep, the newest.
    """

    def __init__(self, run_dir: Path, keep: int) -> None:
        self.folder = run_dir / FOLDER
        self.keep = keep

    def steps(self) -> list[int]:
        """Return the steps of all checkpoints, newest first, without validating them."""
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        found = {int(match[1] or match[2]) for name in names if (match := _NAME.fullmatch(name))}
        return sorted(found, reverse=True)

    def path(self, step: int) -> Path:
        """Return the folder of a step's checkpoint."""
        return resolve_complete_dir(self.folder / f"step_{step}")

    def latest_valid(self, note: Callable[[str], None] = print) -> Path | None:
        """Return the newest checkpoint with intact contents; None if there are no checkpoints.

        Args:
            note: called with a message for each damaged checkpoint.

        Raises:
            WeightsError: all checkpoints are damaged.
        """
        steps = self.steps()
        for step in steps:
            path = self.path(step)
            try:
                check_checkpoint(path)
            except WeightsError as fault:
                note(f"Skipping corrupt checkpoint: {fault}")
            else:
                return path
        if steps:
            raise WeightsError(
                f"all {len(steps)} checkpoints in {self.folder} are damaged. Start a new run from weights with "
                f"--load_weights_folder and another --model_name, or remove {self.folder} to start over."
            )
        return None

    def resume_hint(self, command: str) -> str:
        """Return the command that resumes from the newest checkpoint, to append to a message; empty without any."""
        steps = self.steps()
        return f"\nTo resume: {command} --resume {shell_quoted(self.path(steps[0]))}" if steps else ""

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Save a step's checkpoint, then remove the oldest ones beyond ``keep``.

        Args:
            step: steps done.
            write: writes a checkpoint to the given folder.
        """
        write(self.folder / f"step_{step}")
        for old in self.steps()[self.keep :]:
            # Renamed first, so that a partly removed folder never looks like a checkpoint.
            leaving = self.folder / f".step_{old}.tmp"
            shutil.rmtree(leaving, ignore_errors=True)
            os.replace(self.path(old), leaving)
            shutil.rmtree(leaving, ignore_errors=True)

    def check_newest(self, step: int) -> None:
        """Check that no other process has saved checkpoints that this run has not done.

        Args:
            step: steps that this run has done.

        Raises:
            UserError: there are some.
        """
        steps = self.steps()
        if steps and steps[0] > step:
            raise UserError(
                f"another run has saved checkpoints up to step {steps[0]} in {self.folder} meanwhile. Pass --resume "
                "auto to continue it, or start another run with --model_name or --log_dir."
            )

    def clear_leftovers(self) -> None:
        """Remove the partly written or partly removed checkpoints of a killed process."""
        for path in self.folder.glob(".step_*.tmp"):
            shutil.rmtree(path, ignore_errors=True)


def find_checkpoint(resume: str | None, run_dir: Path) -> Path | None:
    """Return the checkpoint that ``--resume`` selects; None to start a new run.

    Args:
        resume: "auto" (the newest valid checkpoint of ``run_dir``, if any), a checkpoint's folder, a run's folder (its
            newest valid checkpoint), or None.
        run_dir: folder of the run to be trained.

    Raises:
        WeightsError: the folder is not a checkpoint or a run, or the checkpoint is damaged.
        UserError: ``resume`` is None, but ``run_dir`` already contains a run, or another process trains there.
    """
    own = Checkpoints(run_dir, keep=1)
    if resume in (None, "auto"):
        check_not_running(run_dir)
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
        found = "this folder contains no checkpoint" if folder.is_dir() else "folder not found"
        raise WeightsError(
            f"--resume {resume}: {found}. Pass the folder of a checkpoint (with {STATE_FILE}) or of a run (with "
            f"{FOLDER}/step_N), or auto for the newest checkpoint of this run.{_hint(folder)}"
        )
    check_checkpoint(folder)
    return folder


def _hint(folder: Path) -> str:
    """Return what to do with a folder of a run or of weights, such as ``RUN/models/weights_best``; empty for others."""
    hint = ""
    run = next((parent for parent in list(folder.absolute().parents)[:2] if (parent / FOLDER).is_dir()), None)
    if run:
        hint += f" To resume its run: --resume {shell_quoted(run)}."
    if (folder / INFO_FILE).is_file():
        hint += f" To start a new run from its weights: --load_weights_folder {folder}."
    return hint


def _refuse_to_mix(own: Checkpoints, run_dir: Path) -> None:
    weights = sorted(path.name for path in (run_dir / "models").glob("weights_*"))
    if own.steps():
        found, advice = f"checkpoints up to step {own.steps()[0]}", "Pass --resume auto to resume it, or start"
    elif weights:
        found, advice = ", ".join(weights), "Start"
    else:
        return
    raise UserError(
        f"{run_dir} already contains a run ({found}). {advice} another run with --model_name or --log_dir, or remove "
        "this folder."
    )


def check_no_newer(checkpoint: Path, run_dir: Path, step: int) -> None:
    """Check that a run has no checkpoints after the one to resume from, which would no longer belong to the run.

    Args:
        checkpoint: the checkpoint to resume from.
        run_dir: folder of the resumed run.
        step: step of ``checkpoint``.

    Raises:
        UserError: there are newer checkpoints.
    """
    newer = [other for other in Checkpoints(run_dir, keep=1).steps() if other > step]
    if newer:
        raise UserError(
            f"{run_dir} has checkpoints newer than {checkpoint} (up to step {newer[0]}). Pass --resume auto to resume "
            "from the newest. To resume from this one, pass another --model_name or remove the newer ones."
        )


def bytes_to_write(model: nn.Layer, weights_kept: int, checkpoints_kept: int, averaged: bool = False) -> float:
    """Estimate the bytes on disk that a run needs for weights, and for checkpoints, which add Adam's two moments.

    Args:
        model: the networks.
        weights_kept: folders ``weights_N``.
        checkpoints_kept: checkpoints besides the one that is being written.
        averaged: whether the average of the weights is saved too, in folders of its own and in checkpoints.
    """
    weights = sum(value.size * value.element_size() for value in model.state_dict().values())
    folders = 2 + weights_kept  # 2: the new weights_best is complete before the old one is removed
    return weights * (folders * (1 + averaged) + (3 + averaged) * (1 + checkpoints_kept))


def check_space(run_dir: Path, needed: float) -> None:
    """Check that the disk has enough space for the run's checkpoints and weights.

    Args:
        run_dir: an existing folder on that disk.
        needed: bytes.

    Raises:
        UserError: the disk has too little free space.
    """
    free = shutil.disk_usage(run_dir).free
    if free < needed + _SPARE_BYTES:
        raise UserError(
            f"the run needs about {needed / 1e9:.1f} GB for checkpoints and weights, but {run_dir} has only "
            f"{free / 1e9:.1f} GB free. Free disk space, pass another --log_dir, or save less (lower "
            "--keep_checkpoints, higher --save_frequency)."
        )
