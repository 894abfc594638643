"""Consistency of a resumed run: it keeps its options, except those that do not affect its results, and its data."""

import dataclasses
from pathlib import Path

from common.errors import DataError, OptionsError
from datasets.build import MAP_OPTIONS
from options import OPTION_FIELDS, Options
from serialization.checkpoint import OPTIONS_FILE, RunState
from training.checkpoints import FOLDER, check_no_newer
from training.run_lock import check_not_running

# Options that may differ from the original run. Of the evaluation options, validation uses only gt_depth.
MAY_CHANGE = {
    *("config", "model_name", "log_dir", "device", "data_path", "num_workers", "num_epochs", "max_steps", "compile"),
    *("resume", "keep_checkpoints", "checkpoint_frequency", "log_frequency", "visualdl_frequency", "save_frequency"),
    *("cache", "cache_dir", "watchdog", "distributed_timeout"),
    *(name for name, field in OPTION_FIELDS.items() if field.metadata["group"] == "evaluation" and name != "gt_depth"),
}


def resumed_options(opt: Options, checkpoint: Path) -> Options:
    """Merge the options of a run with those of the command line that may change.

    Args:
        opt: options of the command line.
        checkpoint: the checkpoint to resume from.

    Raises:
        OptionsError: an option of the command line contradicts the run, or the run's options cannot be read.
    """
    run = Options.load(checkpoint / OPTIONS_FILE)
    # The cosine schedule ends with the last epoch, so that another number changes every rate.
    may_change = MAY_CHANGE - ({"num_epochs"} if run.lr_schedule == "cosine" else set())
    # Folders of maps may have moved, as data_path may.
    may_change |= {name for name in MAP_OPTIONS if getattr(opt, name) and getattr(run, name)}
    different = [
        f"{name}: {getattr(run, name)!r} in the run, {getattr(opt, name)!r} now"
        for name in OPTION_FIELDS
        if name in opt.explicitly_set - may_change and getattr(opt, name) != getattr(run, name)
    ]
    if different:
        raise OptionsError(
            f"--resume keeps the options of the run in {checkpoint}, but these differ:\n  "
            + "\n  ".join(different)
            + "\nOmit them, or start a new run from its weights with --load_weights_folder and another --model_name."
        )
    changes = {name: getattr(opt, name) for name in opt.explicitly_set & may_change}
    run_dir = checkpoint.absolute().parents[1]
    if not {"log_dir", "model_name"} & opt.explicitly_set and checkpoint.parent.name == FOLDER:
        # The run may have been moved, or started from another working directory.
        changes |= {"log_dir": str(run_dir.parent), "model_name": run_dir.name}
    # Not the stored value: ``auto`` of this command line is stored for the next time.
    return dataclasses.replace(run, **{**changes, "resume": opt.resume}, explicitly_set=opt.explicitly_set)


def check_resumable(opt: Options, checkpoint: Path, state: RunState, samples: int) -> None:
    """Check that a run can continue from a checkpoint in the same order of samples, and is neither newer nor in use.

    Args:
        opt: options of the resumed run.
        checkpoint: the checkpoint to resume from.
        state: state in ``checkpoint``.
        samples: number of usable lines of the training split.

    Raises:
        DataError: the split has another number of samples.
        UserError: the run's folder has newer checkpoints, or another process trains there.
    """
    check_not_running(opt.run_dir)
    if state.samples != samples:
        raise DataError(
            f"split {opt.split_name} has {samples} usable training lines, but had {state.samples} when {checkpoint} "
            "was saved, so the order of samples differs. Restore the data, or start a new run from the weights with "
            "--load_weights_folder and another --model_name."
        )
    check_no_newer(checkpoint, opt.run_dir, state.step)
