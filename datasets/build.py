"""Datasets by name, their caches and loaders. A further dataset is a class and a line in DATASETS."""

from collections.abc import Sequence

from common.errors import DataError, OptionsError
from datasets.folder_dataset import FolderDataset
from datasets.frame_cache import DiskCache, FrameCache, RamCache
from datasets.kitti_benchmark import KITTIBenchmarkDataset
from datasets.kitti_dataset import KITTIDepthDataset, KITTIOdomDataset, KITTIRawDataset
from datasets.loader import BatchLoader
from datasets.mono_dataset import MonoDataset
from datasets.sampler import EpochSampler
from datasets.splits import SplitLine
from options import Options

DATASETS: dict[str, type[MonoDataset]] = {
    "kitti": KITTIRawDataset,
    "kitti_odom": KITTIOdomDataset,
    "kitti_depth": KITTIDepthDataset,
    "kitti_benchmark": KITTIBenchmarkDataset,
    "folder": FolderDataset,
}


def dataset_from(
    opt: Options,
    lines: Sequence[SplitLine],
    *,
    name: str | None = None,
    frame_ids: Sequence[int | str] = (0,),
    scales: Sequence[int] = (),
    augment: bool = False,
    load_depth: bool = False,
    load_travel: bool = False,
) -> MonoDataset:
    """Build the dataset that the options describe.

    Args:
        opt: has the dataset's name and folder, the images' size and extension, the axis of ground truth, the kind of
            intrinsics, and the seed.
        lines: the frames.
        name: of the dataset, where it is not ``opt.dataset``.
        frame_ids, scales, load_depth, load_travel: as in `MonoDataset`; intrinsics are wanted only with scales.
        augment: flip and jitter, to train on.

    Raises:
        OptionsError: there is no such dataset.
        DataError: the dataset has no mean intrinsics.
    """
    return build_dataset(
        name or opt.dataset,
        opt.data_path,
        lines,
        height=opt.height,
        width=opt.width,
        frame_ids=frame_ids,
        scales=scales,
        train=augment,
        extension=".png" if opt.png else ".jpg",
        load_depth=load_depth,
        load_travel=load_travel,
        gt_depth=opt.gt_depth,
        mean_intrinsics=opt.kitti_mean_intrinsics and bool(scales),
        seed=opt.seed,
    )


def build_dataset(name: str, data_path: str, lines: Sequence[SplitLine], **kwargs) -> MonoDataset:
    """Build the dataset of this name, with the keywords of `MonoDataset`.

    Raises:
        OptionsError: there is none.
    """
    if name not in DATASETS:
        raise OptionsError(f"dataset: got '{name}', allowed: {', '.join(DATASETS)}")
    return DATASETS[name](data_path, lines, **kwargs)


def build_cache(kind: str, dataset: MonoDataset, folder: str) -> FrameCache | None:
    """The cache for the frames of a dataset's lines: "ram", "disk" in this folder, or "none".

    Raises UserError where the folder cannot be written.
    """
    if kind == "ram":
        paths = (path for line in dataset.lines for path in dataset.frame_paths(line))
        return RamCache(dataset.height, dataset.width, paths)
    return DiskCache(dataset.height, dataset.width, folder) if kind == "disk" else None


def build_loader(
    dataset: MonoDataset, *, batch_size: int, num_workers: int, drop_last: bool, **sampling: int
) -> BatchLoader:
    """The loader of a dataset; `sampling` is `EpochSampler`'s. Raises DataError where `drop_last` leaves no batch."""
    sampler = EpochSampler(len(dataset), batch_size, drop_last=drop_last, **sampling)
    if drop_last and not len(sampler):
        raise DataError(
            f"The split has {len(dataset)} usable lines, fewer than one batch of {sampler.round_size}"
            f"{f' ({batch_size} in each process)' if sampler.processes > 1 else ''}: use a smaller --batch_size."
        )
    return BatchLoader(dataset, sampler, num_workers)
