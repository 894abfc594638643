"""The frames of a dataset with corruptions, for evaluation."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from common.errors import DataError, UserError
from common.images import read_image
from datasets.corruptions import SEVERITIES, corrupt, frame_seed
from datasets.lanczos import resize_lanczos
from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from datasets.transforms import load_frame


class CorruptedFrames:
    """Frames with corruptions, applied at the size of the image files, before they are resized. For ``BatchLoader``.

    Item i is frame i // (1 + C) of the dataset: first the clean image, then its C corruptions. It has the keys
    "color/F/0", uint8 (V, 3, H, W): V severities of a corruption, or V = 1 clean image.

    Args:
        dataset: Frames; its ``frame_ids`` and size are those of the samples. All frames of a line have the same random
            numbers, of ``frame_seed``.
        names: The C corruptions.
        severities: Severities of each.
    """

    def __init__(self, dataset: MonoDataset, names: Sequence[str], severities: Sequence[int] = SEVERITIES) -> None:
        self.dataset = dataset
        self.names = tuple(names)
        self.severities = tuple(severities)

    @property
    def lines(self) -> list[SplitLine]:
        """The split line of each item."""
        return [line for line in self.dataset.lines for _ in range(1 + len(self.names))]

    @property
    def sample_bytes(self) -> int:
        """Largest size of an item's arrays in bytes."""
        return len(self.severities) * len(self.dataset.frame_ids) * 3 * self.dataset.height * self.dataset.width

    def __len__(self) -> int:
        return len(self.dataset) * (1 + len(self.names))

    def __getitem__(self, key: tuple[int, int]) -> dict[str, np.ndarray]:
        """Load the item of a key (index, epoch).

        Raises:
            DataError: An image is missing or damaged; the message names the split line.
        """
        number, variant = divmod(key[0], 1 + len(self.names))
        line, (height, width) = self.dataset.lines[number], (self.dataset.height, self.dataset.width)
        sample = {}
        try:
            for frame, path in zip(self.dataset.frame_ids, self.dataset.frame_paths(line), strict=True):
                if variant:
                    name, seed, image = self.names[variant - 1], frame_seed(str(line)), read_image(path)
                    images = [Image.fromarray(corrupt(image, name, level, seed)) for level in self.severities]
                    pixels = np.stack([resize_lanczos(image, height, width) for image in images])
                else:
                    intact = load_frame(path, height, width).pixels
                    pixels = np.broadcast_to(intact, (1, 3, height, width))
                sample[f"color/{frame}/0"] = pixels
        except UserError as error:
            raise DataError(f"{error}\n(split line '{line}')") from error
        return sample
