"""Registry of networks, models and datasets that options select by name.

Each table maps a name to ``"module:attribute"``. ``options`` reads the allowed names from these tables. The packages
import the attribute on first use, so ``--help`` and a mistyped name do not import Paddle. To add a network, model or
dataset, add a file and a line here.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

# --type: a layer whose ``forward(batch)`` returns the outputs for the loss (``networks.monodepth``).
MODELS: dict[str, Any] = {"MonoDepthv2": "networks.monodepth:Monodepth"}

RESNETS = tuple(f"resnet{num_layers}" for num_layers in (18, 34, 50, 101, 152))

LITE_MONOS = ("lite_mono", "lite_mono_small", "lite_mono_tiny", "lite_mono_8m")

# --depth_network: ``build(name, scales)`` returns an encoder and a decoder (``networks.build``).
DEPTH_NETWORKS: dict[str, Any] = {
    **dict.fromkeys(RESNETS, "networks.resnet_encoder:build_depth_network"),
    "mobilenet_v3_large": "networks.mobilenet_v3:build_depth_network",
    "efficientnet_lite0": "networks.efficientnet_lite:build_depth_network",
    "convnext_tiny": "networks.convnext:build_depth_network",
    **dict.fromkeys(LITE_MONOS, "networks.lite_mono:build_depth_network"),
}

# --scales of depth networks whose decoder cannot make all of the default ones.
DEPTH_SCALES: dict[str, tuple[int, ...]] = dict.fromkeys(LITE_MONOS, (0, 1, 2))

# --pose_network: ``build(name, num_input_images)`` returns an encoder of stacked images.
POSE_ENCODERS: dict[str, Any] = {
    **dict.fromkeys(RESNETS, "networks.resnet_encoder:build_encoder"),
    "mobilenet_v3_large": "networks.mobilenet_v3:build_encoder",
    "efficientnet_lite0": "networks.efficientnet_lite:build_encoder",
    "convnext_tiny": "networks.convnext:build_encoder",
}

# --pose_model_type: a subclass of ``networks.pose_models.PoseModel``.
POSE_MODELS: dict[str, Any] = {
    "posecnn": "networks.pose_models:PoseCNNModel",
    "separate_resnet": "networks.pose_models:SeparatePoseModel",
    "shared": "networks.pose_models:SharedPoseModel",
}

# --dataset: a subclass of ``datasets.mono_dataset.MonoDataset``.
DATASETS: dict[str, Any] = {
    "kitti": "datasets.kitti_dataset:KITTIRawDataset",
    "kitti_odom": "datasets.kitti_dataset:KITTIOdomDataset",
    "kitti_depth": "datasets.kitti_dataset:KITTIDepthDataset",
    "folder": "datasets.folder_dataset:FolderDataset",
    "cityscapes": "datasets.cityscapes_dataset:CityscapesDataset",
    "make3d": "datasets.make3d_dataset:Make3DDataset",
    "nyuv2": "datasets.nyuv2_dataset:NYUv2Dataset",
    "nuscenes": "datasets.nuscenes_dataset:NuScenesDataset",
    "ddad": "datasets.ddad_dataset:DDADDataset",
}

# --corruptions: a function of an image and its ``Strength`` (``datasets.corruptions``).
CORRUPTIONS: dict[str, Any] = {
    **{name: f"datasets.corruption_sensor:{name}" for name in ("brightness", "dark")},
    **{name: f"datasets.corruption_weather:{name}" for name in ("fog", "frost", "snow")},
    "contrast": "datasets.corruption_sensor:contrast",
    **{
        name: f"datasets.corruption_optics:{name}"
        for name in ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "elastic_transform")
    },
    **{
        name: f"datasets.corruption_sensor:{name}"
        for name in (
            *("color_quant", "gaussian_noise", "impulse_noise", "shot_noise", "iso_noise"),
            *("pixelate", "jpeg_compression"),
        )
    },
}

# Datasets whose split lists follow by rule from their tree (tools/prepare_splits.py): ``PublicDataset``.
RULE_DATASETS = ("cityscapes", "make3d", "nyuv2", "nuscenes", "ddad")


def load(table: Mapping[str, Any], name: str) -> Any:
    """Import and return the entry ``name`` of a table. Entries that are not strings are returned unchanged.

    Raises:
        KeyError: The table has no entry ``name``.
    """
    entry = table[name]
    if not isinstance(entry, str):
        return entry
    module, _, attribute = entry.partition(":")
    return getattr(import_module(module), attribute)
