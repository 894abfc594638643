"""Build datasets by name (``common.registry.DATASETS``), frame caches and loaders."""

import os
from collections.abc import Sequence

from common.errors import DataError, OptionsError
from common.registry import DATASETS, load
from datasets.frame_cache import DiskCache, FrameCache, RamCache
from datasets.loader import BatchLoader
from datasets.map_files import DEPTH_HINTS, MOVING_OBJECTS, PSEUDO_LABELS, MapFolder, MapKind
from datasets.mono_dataset import MonoDataset
from datasets.sampler import EpochSampler
from datasets.splits import SplitLine
from options import Options

# Option that names a folder of maps -> kind of the maps. The loss reads them as "map/OPTION".
MAP_OPTIONS: dict[str, MapKind] = {
    "depth_hints": DEPTH_HINTS,
    "pseudo_labels": PSEUDO_LABELS,
    "mask_dir": MOVING_OBJECTS,
}

AUGMENTATIONS = ("crop_scale", "crop_aspect", "corrupt_training")  # options that arguments of a dataset are named after


def dataset_class(name: str) -> type[MonoDataset]:
    """Return the dataset class of this name.

    Raises:
        OptionsError: There is no dataset of this name.
    """
    if name not in DATASETS:
        raise OptionsError(f"--dataset: got '{name}', allowed: {', '.join(DATASETS)}")
    return load(DATASETS, name)


def dataset_from(
    opt: Options,
    lines: Sequence[SplitLine],
    *,
    kind: type[MonoDataset] | None = None,
    frame_ids: Sequence[int | str] = (0,),
    scales: Sequence[int] = (),
    augment: bool = False,
    load_depth: bool = False,
    load_displacement: bool = False,
    load_maps: bool = False,
    supervise_depth: bool = False,
) -> MonoDataset:
    """Build a dataset from the options.

    Args:
        opt: Options; this reads ``dataset``, ``data_path``, ``height``, ``width``, ``png``, ``gt_depth``,
            ``kitti_mean_intrinsics``, ``seed``, ``pseudo_label_late_epoch``, and those of ``MAP_OPTIONS`` and
            ``AUGMENTATIONS``.
        lines: Frames of the dataset.
        kind: Dataset class, if it differs from ``opt.dataset``.
        frame_ids: Frames of a sample, as in ``MonoDataset``.
        scales: Scales of the intrinsics, as in ``MonoDataset``; empty if intrinsics are not needed.
        augment: Apply random flips, colour jitter, crops and corruptions, for training.
        load_depth: Load the ground truth.
        load_displacement: Load the displacement to the neighbouring frames.
        load_maps: Load the maps of ``MAP_OPTIONS`` whose option is set, and the epoch if their weight depends on it.
        supervise_depth: Load the ground truth as the map "depth".

    Raises:
        OptionsError: The dataset is unknown.
        DataError: The dataset has no mean intrinsics.
    """
    return (kind or dataset_class(opt.dataset))(
        opt.data_path,
        lines,
        height=opt.height,
        width=opt.width,
        frame_ids=frame_ids,
        scales=scales,
        train=augment,
        extension=".png" if opt.png else ".jpg",
        load_depth=load_depth,
        load_displacement=load_displacement,
        supervise_depth=supervise_depth,
        gt_depth=opt.gt_depth,
        mean_intrinsics=opt.kitti_mean_intrinsics and bool(scales),
        seed=opt.seed,
        map_folders=map_folders_from(opt) if load_maps else None,
        load_epoch=load_maps and opt.pseudo_label_late_epoch is not None,
        **{name: getattr(opt, name) for name in (AUGMENTATIONS if augment else ())},
    )


def map_folders_from(opt: Options) -> dict[str, MapFolder]:
    """Return name -> folder of the maps whose option is set.

    Raises:
        DataError: A folder does not exist.
    """
    folders = {name: getattr(opt, name) for name in MAP_OPTIONS if getattr(opt, name) is not None}
    for name, folder in folders.items():
        if not os.path.isdir(folder):
            raise DataError(f"--{name}: got '{folder}', which is not a folder. Make it with {MAP_OPTIONS[name].tool}.")
    return {name: MapFolder(folder, MAP_OPTIONS[name]) for name, folder in folders.items()}


def build_dataset(name: str, data_path: str, lines: Sequence[SplitLine], **kwargs) -> MonoDataset:
    """Build a dataset by name, with the keyword arguments of ``MonoDataset``.

    Raises:
        OptionsError: There is no dataset of this name.
    """
    return dataset_class(name)(data_path, lines, **kwargs)


def build_cache(kind: str, dataset: MonoDataset, folder: str) -> FrameCache | None:
    """Build the frame cache of a dataset.

    Args:
        kind: "ram", "disk" or "none".
        dataset: Dataset whose frames are cached.
        folder: Folder of the disk cache.

    Raises:
        UserError: The folder cannot be written.
    """
    if kind == "ram":
        paths = (path for line in dataset.lines for path in dataset.frame_paths(line))
        return RamCache(dataset.height, dataset.width, paths, window=dataset.REGION)
    return DiskCache(dataset.height, dataset.width, folder, window=dataset.REGION) if kind == "disk" else None


def build_loader(
    dataset: MonoDataset, *, batch_size: int, num_workers: int, drop_last: bool, **sampling: int
) -> BatchLoader:
    """Build the loader of a dataset.

    Args:
        dataset: Dataset to load.
        batch_size: Samples per batch of one process.
        num_workers: Number of worker processes; 0 loads in this process.
        drop_last: Drop the last, incomplete batch.
        sampling: Other arguments of ``EpochSampler``.

    Raises:
        DataError: The dataset has fewer lines than one batch, and ``drop_last`` is set.
    """
    sampler = EpochSampler(len(dataset), batch_size, drop_last=drop_last, **sampling)
    if drop_last and not len(sampler):
        raise DataError(
            f"The split has {len(dataset)} usable lines, fewer than one batch of {sampler.global_batch_size}"
            f"{f' ({batch_size} per process)' if sampler.processes > 1 else ''}. Pass a smaller --batch_size."
        )
    return BatchLoader(dataset, sampler, num_workers)
