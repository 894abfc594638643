"""Predict the frames of a split with corruptions."""

from collections.abc import Iterator, Sequence

import numpy as np

from common.environment import set_device
from common.progress import Progress
from datasets.build import build_loader
from datasets.corrupted_frames import CorruptedFrames
from datasets.corruptions import SEVERITIES
from datasets.mono_dataset import MonoDataset
from inference.from_options import predictor_from
from options import Options


def predict_corrupted(
    opt: Options, dataset: MonoDataset, names: Sequence[str], severities: Sequence[int] = SEVERITIES
) -> Iterator[np.ndarray]:
    """Predict scaled disparities of frames with corruptions, one frame after the other; the weights are loaded once.

    Args:
        opt: Options of the weights and the loader.
        dataset: The frames.
        names: The C corruptions.
        severities: The S severities.

    Yields:
        float32 (1 + C S, H, W) for each frame: of the clean image, then of all severities of each corruption.

    Raises:
        DataError: An image is missing or damaged.
        WeightsError: The weights are missing or damaged, or do not fit the networks.
    """
    set_device(opt.device)
    predictor = predictor_from(opt)
    height, width = predictor.size
    frames = dataset.replace(frame_ids=predictor.model.depth_frames, height=height, width=width)
    corrupted = CorruptedFrames(frames, names, severities)
    sampling = {"batch_size": 1, "shuffle": False, "seed": opt.seed, "drop_last": False}
    loader = build_loader(corrupted, num_workers=opt.num_workers, **sampling)
    variants = 1 + len(names) * len(severities)
    print(f"Predicting {len(frames)} frames at {width}x{height}, clean and with {variants - 1} corruptions each")
    progress = Progress(len(frames) * variants, "images", seconds=30)
    found: list[np.ndarray] = []
    try:
        for batch in loader:
            images = {key: values[0] for key, values in batch.items()}
            found.append(predictor.predict_loaded(images, opt.post_process))
            progress.update(len(found[-1]))
            if len(found) == 1 + len(names):
                yield np.concatenate(found)
                found = []
    finally:
        progress.close()
        loader.close()
