"""Build datasets by name (``common.registry.DATASETS``), and their caches and loaders."""

from collections.abc import Sequence

from common.errors import DataError, OptionsError
from common.registry import DATASETS, load
from datasets.frame_cache import DiskCache, FrameCache, RamCache
from datasets.loader import BatchLoader
from datasets.mono_dataset import MonoDataset
from datasets.sampler import EpochSampler
from datasets.splits import SplitLine
from options import Options


def dataset_class(name: str) -> type[MonoDataset]:
    """Return the dataset of this name.

    Raises:
        OptionsError: there is none.
    """
    if name not in DATASETS:
        raise OptionsError(f"dataset: got '{name}', allowed: {', '.join(DATASETS)}")
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
) -> MonoDataset:
    """Build the dataset that the options describe.

    Args:
        opt: has the dataset's name and folder, the images' size and extension, the axis of ground truth, the kind of
            intrinsics, and the seed.
        lines: the frames.
        kind: the dataset's class, where it is not that of ``opt.dataset``.
        frame_ids, scales, load_depth, load_displacement: as in `MonoDataset`; intrinsics are wanted only with scales.
        augment: flip and jitter, to train on.

    Raises:
        OptionsError: there is no such dataset.
        DataError: the dataset has no mean intrinsics.
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
        gt_depth=opt.gt_depth,
        mean_intrinsics=opt.kitti_mean_intrinsics and bool(scales),
        seed=opt.seed,
    )


def build_dataset(name: str, data_path: str, lines: Sequence[SplitLine], **kwargs) -> MonoDataset:
    """Build the dataset of this name, with the keywords of `MonoDataset`; raises OptionsError if there is none."""
    return dataset_class(name)(data_path, lines, **kwargs)


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
            f"The split has {len(dataset)} usable lines, fewer than one batch of {sampler.global_batch_size}"
            f"{f' ({batch_size} in each process)' if sampler.processes > 1 else ''}: use a smaller --batch_size."
        )
    return BatchLoader(dataset, sampler, num_workers)
