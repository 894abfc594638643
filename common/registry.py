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

# --depth_network: ``build(name, scales)`` returns an encoder and a decoder (``networks.build``).
DEPTH_NETWORKS: dict[str, Any] = dict.fromkeys(RESNETS, "networks.resnet_encoder:build_depth_network")

# --pose_network: ``build(name, num_input_images)`` returns an encoder of stacked images.
POSE_ENCODERS: dict[str, Any] = dict.fromkeys(RESNETS, "networks.resnet_encoder:build_encoder")

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
}


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
