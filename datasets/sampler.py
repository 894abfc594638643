"""Order of the samples in an epoch."""

from collections.abc import Iterator

import numpy as np


class EpochSampler:
    """Batch sampler of keys (index, epoch), for one process or for one of several processes.

    The order depends only on the seed and the epoch: an epoch can be repeated, or resumed at any sample, with any
    number of processes. A global batch consists of consecutive samples, ``batch_size`` for each process by rank.
    Together, the processes see the same samples as one process with the global batch size. Call ``set_epoch`` before
    each epoch.

    Args:
        length: Number of samples in an epoch.
        batch_size: Samples per batch of one process.
        shuffle: Shuffle the samples, with a different order in each epoch.
        seed: Seed of the order, not negative.
        drop_last: Drop the last samples of an epoch if they do not fill a global batch.
        rank: Rank of this process, from 0.
        processes: Number of processes.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        drop_last: bool,
        rank: int = 0,
        processes: int = 1,
    ):
        self.length = length
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.rank = rank
        self.processes = processes
        self.epoch = 0
        self.first_sample = 0

    @property
    def global_batch_size(self) -> int:
        """Samples per batch of all processes together."""
        return self.batch_size * self.processes

    def set_epoch(self, epoch: int, first_sample: int = 0) -> None:
        """Set the epoch and the first sample of the next iteration, both counted from 0."""
        self.epoch = epoch
        self.first_sample = first_sample

    def rounds(self, first_sample: int = 0) -> int:
        """Count the remaining global batches of an epoch. If the last is partial, some processes may get none of it."""
        left = self.length - first_sample
        return left // self.global_batch_size if self.drop_last else -(-left // self.global_batch_size)

    def __len__(self) -> int:
        """Return the number of global batches in an epoch."""
        return self.rounds()

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, first_sample = self.epoch, self.first_sample
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.length)
        for round_ in range(self.rounds(first_sample)):
            start = first_sample + round_ * self.global_batch_size + self.rank * self.batch_size
            batch = [(int(index), epoch) for index in order[start : start + self.batch_size]]
            if batch:
                yield batch
