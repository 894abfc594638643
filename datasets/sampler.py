"""The order of an epoch's samples."""

from collections.abc import Iterator

import numpy as np


class EpochSampler:
    """Batches of keys (index, epoch) for a DataLoader's `batch_sampler`.

    The order depends on the seed and the epoch alone, so that any epoch can be repeated, from any batch on. Call
    `set_epoch` before each one.
    """

    def __init__(self, length: int, batch_size: int, *, shuffle: bool, seed: int, drop_last: bool):
        self.length = length
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        self.first_batch = 0

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Chooses the epoch, and the batch of it, both counted from 0, that the next iteration begins with."""
        self.epoch = epoch
        self.first_batch = first_batch

    def __len__(self) -> int:
        """Number of batches in a whole epoch."""
        if self.drop_last:
            return self.length // self.batch_size
        return -(-self.length // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.length)
        for batch in range(self.first_batch, len(self)):
            start = batch * self.batch_size
            yield [(int(index), epoch) for index in order[start : start + self.batch_size]]
