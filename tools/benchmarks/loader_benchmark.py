"""A training sample from its files to what the networks and the loss are fed, on one core, beside the original's.

Ours is timed as training has it: batches of the loader, made float tensors on the device by ``prepare_batch``; on the
CPU, whose work is counted all the same. It has no processes unless ``--num_workers`` is given, and these then share
the core. Half of the samples are jittered, for both.
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

SAMPLES = 24  # of a run
BASELINE = "the original loader's work, by Pillow and NumPy: RGB, Lanczos pyramid, jitter at each scale, float tensors"


def run(opt: Options, repeat: int) -> Iterator[dict]:
    """Yields two lines: "loader" decodes each image, "loader_cached" finds it in the cache, in memory unless another is
    asked for.

    Raises:
        DataError: there are no images to load.
        UserError: the folder of the cache cannot be written.
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
    """A function that runs the next epoch."""
    epochs = itertools.count()

    def run_epoch() -> None:
        loader.batch_sampler.set_epoch(next(epochs))
        for batch in loader:
            prepare_batch(batch, opt.scales, opt.v1_multiscale)

    return run_epoch


def _build_dataset(opt: Options) -> MonoDataset:
    """The first lines of the split asked for, or of the sample that the tests have."""
    data_path, split = opt.data_path, opt.split
    if "data_path" not in opt.explicitly_set:
        beside = Path(__file__).resolve().parents[3] / "shared" / "kitti_sample"
        data_path, split = os.environ.get("KITTI_SAMPLE_DIR", str(beside)), "kitti_sample"
        if not Path(data_path).is_dir():
            raise DataError(f"{data_path} is absent: name images to load by --data_path and --split")
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
