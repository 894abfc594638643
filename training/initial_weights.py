"""Initial weights of a run: from a folder of weights, from pretrained encoders, or random."""

from pathlib import Path

import paddle
from paddle import nn

from common.errors import WeightsError
from layers.initialisation import start_sigmoid_at
from networks.build import pose_encoder_name
from networks.resnet_encoder import stack_first_convolution
from options import Options
from serialization.backbone import find_backbone, read_backbone
from serialization.matching import MatchReport, load_into, match_table
from serialization.weights_folder import load_weights, roles_in

# --initial_disparity with stereo pairs: 2 units of depth, which they see 3 % of the width apart. From the published
# 0.5, 29 % apart, parts of the decoder never find the match. Video alone starts as published: its pose network starts
# at no motion, to which near depth fits better.
INITIAL_DISPARITY = 0.05


def initialise_weights(model: nn.Layer, opt: Options) -> list[str]:
    """Load networks from ``--load_weights_folder``, and the remaining encoders from ``--weights_init``.

    A depth decoder that is not loaded starts at ``--initial_disparity``, if it has ``heads``.

    Returns:
        Lines of the table of matched parameters, and a line with the networks that were not loaded; empty if nothing
        was loaded.

    Raises:
        WeightsError: weights are missing, damaged, or do not fit the networks.
    """
    networks = model.networks()
    reports: dict[str, MatchReport] = {}
    loaded: tuple[str, ...] = ()
    if opt.load_weights_folder:
        wanted = set(opt.models_to_load)
        if "models_to_load" not in opt.explicitly_set:  # by default, also learned intrinsics
            wanted |= {"intrinsics"} & roles_in(Path(opt.load_weights_folder))
        loaded = tuple(role for role in networks if role in wanted)
        reports.update(load_weights(opt.load_weights_folder, networks, loaded))
    names = {"encoder": opt.depth_network, "pose_encoder": pose_encoder_name(opt.pose_network, opt.depth_network)}
    if opt.weights_init != "scratch":
        wanted_names = {role: name for role, name in names.items() if role in networks and role not in loaded}
        _check_one_network(opt, set(wanted_names.values()))
        for role, name in wanted_names.items():
            reports[role] = _load_backbone(networks[role], find_backbone(opt.weights_init, name), name)
    value = opt.initial_disparity or (INITIAL_DISPARITY if opt.use_stereo else None)
    if value and "depth" in networks and "depth" not in loaded:
        start_sigmoid_at(getattr(networks["depth"], "heads", ()), value)
    if not reports:
        return []
    random = [role for role in networks if role not in reports]
    return [*match_table(reports).splitlines(), *([f"not loaded, random: {', '.join(random)}"] if random else [])]


def _load_backbone(encoder: nn.Layer, path: Path, name: str) -> MatchReport:
    """Load the pretrained weights of the encoder ``name``; adapt the first convolution if it takes several images."""
    backbone = getattr(encoder, "backbone", encoder)
    arrays = read_backbone(path, name)
    first = getattr(encoder, "first_convolution", "")
    if first in arrays:
        num_images = backbone.state_dict()[first].shape[1] // 3
        if num_images > 1:
            arrays[first] = stack_first_convolution(paddle.to_tensor(arrays[first]), num_images).numpy()
    return load_into(backbone, arrays, path)


def _check_one_network(opt: Options, names: set[str]) -> None:
    """Check that a file for ``--weights_init`` is for all networks that it initialises.

    Raises:
        WeightsError: they differ.
    """
    if len(names) > 1 and Path(opt.weights_init).expanduser().is_file():
        raise WeightsError(
            f"--weights_init: '{opt.weights_init}' is a file of one network, expected a folder for "
            f"{' and '.join(sorted(names))}. Pass a folder with a file for each, such as {min(names)}.pth."
        )
