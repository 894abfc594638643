"""The predictors that the options of a command ask for."""

from typing import TYPE_CHECKING, Any

from options import OPTION_FIELDS, Options

# What imports Paddle is imported where it is used, so that a mistyped option is told at once.
if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor
    from inference.pose_predictor import PosePredictor

DEPTH_SETTINGS = ("depth_network", "height", "width", "min_depth", "max_depth", "scale", "dataset")
POSE_SETTINGS = (
    *("depth_network", "pose_network", "pose_model_type", "pose_model_input", "frame_ids"),
    *("height", "width", "min_depth", "max_depth"),
)


def predictor_from(options: Any, **changes: Any) -> "DepthPredictor":
    """Load the depth predictor of ``options.load_weights_folder``.

    Args:
        options: of any command; those of ``DEPTH_SETTINGS`` that it has count.
        changes: ``load_weights_folder`` or ``DEPTH_SETTINGS`` instead of the options' own.

    Raises:
        WeightsError: something is missing, damaged, or does not fit.
    """
    from inference.depth_predictor import DepthPredictor

    settings = {**_settings(options, DEPTH_SETTINGS), **changes}
    return DepthPredictor.from_folder(settings.pop("load_weights_folder"), **settings)


def pose_predictor_from(options: Options) -> "PosePredictor":
    """Load the pose predictor of ``options.load_weights_folder``.

    Raises:
        WeightsError: something is missing, damaged, or does not fit.
    """
    from inference.pose_predictor import PosePredictor

    settings = _settings(options, POSE_SETTINGS)
    return PosePredictor.from_folder(settings.pop("load_weights_folder"), **settings)


def _settings(options: Any, names: tuple[str, ...]) -> dict[str, Any]:
    settings = {name: getattr(options, name) for name in (*names, "load_weights_folder") if hasattr(options, name)}
    if isinstance(options, Options):  # its values have defaults, while ``weights.json`` names the weights' own
        kept = {*options.explicitly_set, "load_weights_folder", "dataset"}
        settings = {
            name: value for name, value in settings.items() if name in kept or value != OPTION_FIELDS[name].default
        }
    return {name: value for name, value in settings.items() if value is not None}
