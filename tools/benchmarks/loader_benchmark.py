"""Benchmark of data loading on one core: from image files to the tensors that networks and loss consume.

The loader is timed as in training: it yields batches, which ``prepare_batch`` converts to float tensors on the device.
The baseline is the original implementation's loader (``original_loader``). Without ``--num_workers`` the loader runs in
this process; worker processes would share its core. Both loaders jitter half of the samples.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from common.errors import DataError
from datasets.batch import prepare_batch
from datasets.build import build_cache, build_loader, dataset_from
from datasets.loader import BatchLoader
from datasets.mono_dataset import MonoDataset
from datasets.splits import find_split, read_split_lines
from options import Options
from tools.benchmarks import original_loader
from tools.benchmarks.measure import result_line, time_in_turn

SAMPLES = 24  # per run
BASELINE = "original loader with Pillow and NumPy: RGB, Lanczos pyramid, colour jitter at every scale, float tensors"


def run(opt: Options, repeat: int) -> Iterator[dict]:
    """Yield two result lines: "loader" decodes every image, "loader_cached" reads it from the frame cache.

    The cache is in memory unless ``opt.cache`` names another.

    Raises:
        DataError: There are no images to load.
        UserError: The cache folder cannot be written.
    """
    dataset = _build_dataset(opt)
    cache = "ram" if opt.cache == "none" else opt.cache
    cached = dataset.replace(cache=build_cache(cache, dataset, opt.cache_dir))
    loaders = {"loader": _build_loader(opt, dataset), "loader_cached": _build_loader(opt, cached)}
    runs = {name: _epochs(loader, opt) for name, loader in loaders.items()}
    seconds = time_in_turn({"baseline": lambda: _run_original(dataset, opt), **runs}, repeat)
    for name, loader in loaders.items():
        loader.close()
        yield result_line(
            name,
            "ms/sample",
            seconds[name],
            len(dataset),
            baseline=BASELINE,
            baseline_seconds=seconds["baseline"],
            cache=cache if loader.dataset.cache else "none",
            samples=len(dataset),
            frames=list(opt.all_frames),
            size=f"{opt.width}x{opt.height}",
            batch_size=loader.batch_sampler.batch_size,
            num_workers=loader.num_workers,
        )


def _epochs(loader: BatchLoader, opt: Options) -> Callable[[], None]:
    """Return a function that runs the next epoch."""
    epochs = itertools.count()

    def run_epoch() -> None:
        loader.batch_sampler.set_epoch(next(epochs))
        for batch in loader:
            prepare_batch(batch, opt.scales, opt.v1_multiscale)

    return run_epoch


def _build_dataset(opt: Options) -> MonoDataset:
    """Build a dataset of the first ``SAMPLES`` lines of ``opt.split``, by default the KITTI sample of the tests."""
    data_path, split = opt.data_path, opt.split
    if "data_path" not in opt.explicitly_set:
        default = Path(__file__).resolve().parents[3] / "shared" / "kitti_sample"
        data_path, split = os.environ.get("KITTI_SAMPLE_DIR", str(default)), "kitti_sample"
        if not Path(data_path).is_dir():
            raise DataError(f"No images found in {data_path}. Pass --data_path and --split.")
    return dataset_from(
        opt.replace(data_path=data_path),
        read_split_lines(find_split(split, data_path), "train")[:SAMPLES],
        frame_ids=opt.all_frames,
        scales=opt.scales,
        augment=True,
    )


def _build_loader(opt: Options, dataset: MonoDataset) -> BatchLoader:
    return build_loader(
        dataset,
        batch_size=min(opt.batch_size, len(dataset)),
        shuffle=True,
        num_workers=opt.num_workers if "num_workers" in opt.explicitly_set else 0,
        seed=opt.seed,
        drop_last=False,
    )


def _run_original(dataset: MonoDataset, opt: Options) -> None:
    for i, line in enumerate(dataset.lines):
        original_loader.load_sample(
            dataset.frame_paths(line), opt.height, opt.width, opt.scales, flip=i % 4 < 2, jitter=i % 2 == 0
        )
