"""Which options each command shows in ``--help``: those that it reads. Parsing accepts all options everywhere."""

from dataclasses import dataclass

EPILOG = "Options of the other commands are accepted and ignored, so that all can get the same arguments."

_SETTINGS = ("type", "height", "width", "depth_network", "min_depth", "max_depth")
_POSE_SETTINGS = (*_SETTINGS, "pose_network", "pose_model_type", "pose_model_input", "frame_ids")
_PREDICTION = ("config", "device", "data_path", "dataset", "png", "num_workers", "batch_size", "load_weights_folder")


def accepts_options_of(script: str, examples: str) -> str:
    """Return the epilog of a tool that accepts the options of ``script`` besides its own, with some as examples."""
    return f"All options of {script} are accepted, see python {script} --help:\n{examples}"


@dataclass(frozen=True)
class CommandHelp:
    """The options of a command.

    Attributes:
        groups: Groups of options that the command reads as a whole.
        names: Further options.
        from_weights: Options whose default is the value stored with the weights.
    """

    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    from_weights: tuple[str, ...] = ()

    def shows(self, name: str, group: str) -> bool:
        """Return whether ``--help`` lists the option ``name`` of ``group``."""
        return group in self.groups or name in (*self.names, *self.from_weights)


TRAINING = CommandHelp(
    ("run", "data", "networks", "loss", "ablations", "optimisation", "weights", "log"),
    ("gt_depth",),  # of the validation
)
DEPTH_EVALUATION = CommandHelp(("evaluation",), _PREDICTION, _SETTINGS)
POSE_EVALUATION = CommandHelp(
    (),
    (
        *_PREDICTION,
        *("eval_split", "eval_mono", "eval_stereo", "disable_median_scaling", "pred_depth_scale_factor"),
        *("no_eval", "eval_out_dir"),
    ),
    _POSE_SETTINGS,
)
BASELINES = CommandHelp(
    (),
    (
        *("config", "data_path", "dataset", "split", "png", "num_workers"),
        *("eval_split", "gt_depth", "eval_crop", "eval_max_depth"),
    ),
)
