"""A training sample from its files to what the networks and the loss are fed, on one core, beside the original's.

Ours is timed as training has it: batches of the loader, made float tensors on the device by ``prepare_batch``; on the
CPU, whose work is counted all the same. It has no processes unless ``--num_workers`` is given, and these then share
the core. Half of the samples are jittered, for both.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from datasets.batch import prepare_batch
from datasets.build import build_dataset, build_loader
from datasets.loader import BatchLoader
from datasets.mono_dataset import MonoDataset
from datasets.splits import find_split, read_split_lines
from errors import DataError
from options import Options
from tools.benchmarks import original_loader
from tools.benchmarks.measure import result_line, time_in_turn

SAMPLES = 24  # of a run
BASELINE = "the original loader's work, by Pillow and NumPy: RGB, Lanczos pyramid, jitter at each scale, float tensors"


def run(opt: Options, repeat: int) -> Iterator[dict]:
    """Yields the line.

    Raises:
        DataError: there are no images to load.
    """
    dataset = _build_dataset(opt)
    samples = len(dataset)
    loader = _build_loader(opt, dataset)
    epochs = iter(range(10**9))

    def load() -> None:
        loader.batch_sampler.set_epoch(next(epochs))
        for batch in loader:
            prepare_batch(batch, opt.scales)

    seconds = time_in_turn({"baseline": lambda: _run_original(dataset, opt), "ours": load}, repeat)
    loader.close()
    about = {
        "samples": samples,
        "frames": list(opt.all_frames),
        "size": f"{opt.width}x{opt.height}",
        "batch_size": loader.batch_sampler.batch_size,
        "num_workers": loader.num_workers,
    }
    comparison = {"baseline": BASELINE, "baseline_seconds": seconds["baseline"]}
    yield result_line("loader", "ms/sample", seconds["ours"], samples, **comparison, **about)


def _build_dataset(opt: Options) -> MonoDataset:
    """The first lines of the split asked for, or of the sample that the tests have."""
    data_path, split = opt.data_path, opt.split
    if "data_path" not in opt.given:
        beside = Path(__file__).resolve().parents[3] / "shared" / "kitti_sample"
        data_path, split = os.environ.get("KITTI_SAMPLE_DIR", str(beside)), "kitti_sample"
        if not Path(data_path).is_dir():
            raise DataError(f"{data_path} is absent: name images to load by --data_path and --split")
    return build_dataset(
        opt.dataset,
        data_path,
        read_split_lines(find_split(split, data_path), "train")[:SAMPLES],
        height=opt.height,
        width=opt.width,
        frame_ids=opt.all_frames,
        scales=opt.scales,
        train=True,
        extension=".png" if opt.png else ".jpg",
        mean_intrinsics=opt.kitti_mean_intrinsics,
        seed=opt.seed,
    )


def _build_loader(opt: Options, dataset: MonoDataset) -> BatchLoader:
    return build_loader(
        dataset,
        batch_size=min(opt.batch_size, len(dataset)),
        shuffle=True,
        num_workers=opt.num_workers if "num_workers" in opt.given else 0,
        seed=opt.seed,
        drop_last=False,
    )


def _run_original(dataset: MonoDataset, opt: Options) -> None:
    for i, line in enumerate(dataset.lines):
        original_loader.load_sample(
            dataset.frame_paths(line), opt.height, opt.width, opt.scales, flip=i % 4 < 2, jitter=i % 2 == 0
        )
