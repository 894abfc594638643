"""The order of an epoch's samples."""

from collections.abc import Iterator

import numpy as np


class EpochSampler:
    """Batches of keys (index, epoch) for a DataLoader's `batch_sampler`: of one process, or this one's of several.

    The order depends on the seed and the epoch alone, so that any epoch can be repeated, from any sample on, by any
    number of processes. In each round every process takes the next `batch_size` samples after those of the process
    before it: together they see what one process with as large a batch as all of theirs would see.
    Call `set_epoch` before each epoch.

    Args:
        length: samples of an epoch.
        batch_size: of one process.
        drop_last: leave out the samples at the end that do not fill a batch of every process.
        rank, processes: which process this is, from 0, and how many there are.
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
        """Samples that all processes together take at once."""
        return self.batch_size * self.processes

    def set_epoch(self, epoch: int, first_sample: int = 0) -> None:
        """Chooses the epoch, and the place in its order, both counted from 0, that the next iteration begins with."""
        self.epoch = epoch
        self.first_sample = first_sample

    def rounds(self, first_sample: int = 0) -> int:
        """How many are left of an epoch from this place on; one that is not full gives some processes nothing."""
        left = self.length - first_sample
        return left // self.global_batch_size if self.drop_last else -(-left // self.global_batch_size)

    def __len__(self) -> int:
        """Number of rounds in a whole epoch: of batches, for one process."""
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
