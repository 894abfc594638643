"""What a resumed run is held to: its own options, but for those that do not touch what it computes, and its data."""

import dataclasses
from pathlib import Path

from common.errors import DataError, OptionsError
from options import OPTION_FIELDS, Options
from serialization.checkpoint import OPTIONS_FILE, RunState
from training.checkpoints import FOLDER, check_no_newer

# What may differ from the run as it began. Of the evaluation's options, validation uses gt_depth alone.
MAY_CHANGE = {
    *("config", "model_name", "log_dir", "device", "data_path", "num_workers", "num_epochs", "max_steps", "compile"),
    *("resume", "keep_checkpoints", "checkpoint_frequency", "log_frequency", "visualdl_frequency", "save_frequency"),
    *("cache", "cache_dir", "watchdog", "distributed_timeout"),
    *(name for name, field in OPTION_FIELDS.items() if field.metadata["group"] == "evaluation" and name != "gt_depth"),
}


def resumed_options(opt: Options, checkpoint: Path) -> Options:
    """The options to go on with: those of the run, and of ``opt`` those that were given and may change.

    Args:
        opt: of this command line.
        checkpoint: whose run goes on.

    Raises:
        OptionsError: what was given contradicts the run, or the run's options cannot be read.
    """
    run = Options.load(checkpoint / OPTIONS_FILE)
    different = [
        f"{name}: {getattr(run, name)!r} in the run, {getattr(opt, name)!r} now"
        for name in OPTION_FIELDS
        if name in opt.explicitly_set - MAY_CHANGE and getattr(opt, name) != getattr(run, name)
    ]
    if different:
        raise OptionsError(
            f"--resume goes on with the run in {checkpoint} as it was, but some options differ:\n  "
            + "\n  ".join(different)
            + "\nLeave them out, or start another run from its weights, by --load_weights_folder and another "
            "--model_name."
        )
    changes = {name: getattr(opt, name) for name in opt.explicitly_set & MAY_CHANGE}
    run_dir = checkpoint.absolute().parents[1]
    if not {"log_dir", "model_name"} & opt.explicitly_set and checkpoint.parent.name == FOLDER:
        # Where the run lies now, whatever folder it was begun from, or moved to.
        changes |= {"log_dir": str(run_dir.parent), "model_name": run_dir.name}
    # Always as this command line has it: auto goes on from here next time too.
    return dataclasses.replace(run, **{**changes, "resume": opt.resume}, explicitly_set=opt.explicitly_set)


def check_resumable(opt: Options, checkpoint: Path, state: RunState, samples: int) -> None:
    """Check that a run can continue from a checkpoint in the same order, and has not got further before.

    Args:
        opt: of the resumed run.
        checkpoint: whose ``state`` it is.
        samples: usable lines of the training split.

    Raises:
        DataError: the split has another number of samples.
        UserError: the run's folder has newer checkpoints.
    """
    if state.samples != samples:
        raise DataError(
            f"split {opt.split_name} has {samples} usable lines to train on; it had {state.samples} when "
            f"{checkpoint} was saved, so the run cannot go on in the same order. Restore the data, or start "
            "another run from the weights, by --load_weights_folder and another --model_name."
        )
    check_no_newer(checkpoint, opt.run_dir, state.step)
