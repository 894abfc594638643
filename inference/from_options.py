"""Build predictors from the options of a command."""

from typing import TYPE_CHECKING, Any

from options import OPTION_FIELDS, Options
from serialization.weights_download import resolve_weights

# Modules that import Paddle are imported where they are used, to report a mistyped option at once.
if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor
    from inference.pose_predictor import PosePredictor

DEPTH_SETTINGS = ("depth_network", "height", "width", "min_depth", "max_depth", "scale", "dataset")
POSE_SETTINGS = (
    *("depth_network", "pose_network", "pose_model_type", "pose_model_input", "frame_ids"),
    *("height", "width", "min_depth", "max_depth"),
)


def with_local_weights(options: Options) -> Options:
    """Replace the name of published weights by the folder that they are downloaded to, once.

    Raises:
        WeightsError: They cannot be downloaded, or are damaged.
    """
    if options.load_weights_folder is None:
        return options
    return options.replace(load_weights_folder=resolve_weights(options.load_weights_folder))


def predictor_from(options: Any, **changes: Any) -> "DepthPredictor":
    """Load the depth predictor of ``options.load_weights_folder``.

    Args:
        options: Options of any command; uses those of ``DEPTH_SETTINGS`` that it has.
        changes: Values of ``load_weights_folder`` or ``DEPTH_SETTINGS`` that override the options.

    Raises:
        WeightsError: A file is missing or damaged, or does not fit the networks.
    """
    from inference.depth_predictor import DepthPredictor

    settings = {**_settings(options, DEPTH_SETTINGS), **changes}
    return DepthPredictor.from_folder(settings.pop("load_weights_folder"), **settings)


def pose_predictor_from(options: Options) -> "PosePredictor":
    """Load the pose predictor of ``options.load_weights_folder``.

    Raises:
        WeightsError: A file is missing or damaged, or does not fit the networks.
    """
    from inference.pose_predictor import PosePredictor

    settings = _settings(options, POSE_SETTINGS)
    return PosePredictor.from_folder(settings.pop("load_weights_folder"), **settings)


def _settings(options: Any, names: tuple[str, ...]) -> dict[str, Any]:
    settings = {name: getattr(options, name) for name in (*names, "load_weights_folder") if hasattr(options, name)}
    if isinstance(options, Options):  # its defaults must not override the values in weights.json
        kept = {*options.explicitly_set, "load_weights_folder", "dataset"}
        settings = {
            name: value for name, value in settings.items() if name in kept or value != OPTION_FIELDS[name].default
        }
    return {name: value for name, value in settings.items() if value is not None}
