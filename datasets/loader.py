"""Batches loaded in the background, in the sampler's order.

Not by Paddle's DataLoader: it forks, and a worker forked while an earlier loader's threads are alive, as after an epoch
left halfway, can wait for them for ever (seen with Paddle 3.3.1). Processes of `common.process_pool` make the batches
in shared memory, and import no Paddle.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from common.process_pool import ProcessPool, Workspace
from common.shared_memory import SharedSlots
from datasets.mono_dataset import LISTS, MonoDataset
from datasets.sampler import EpochSampler

PREFETCHED_BATCHES = 2  # for each worker
HELD_BATCHES = 2  # by whoever takes them: the one in use, while the next is handed over
SPARE_BYTES = 4096  # of a batch, for aligning its arrays
Key = tuple[int, int]  # index, epoch
Empty = Callable[[tuple[int, ...], np.dtype], np.ndarray]  # makes an array of a shape and type


class BatchLoader:
    """Collated batches of a dataset; the same whatever the number of workers.

    An epoch may be left halfway, and the next one begun at once. A script that loads with workers needs the guard
    ``if __name__ == "__main__"``, since each of them imports it.

    Args:
        dataset: what to load from.
        batch_sampler: call its ``set_epoch`` before each epoch.
        num_workers: processes that load; 0 loads in a thread of this one.
    """

    def __init__(self, dataset: MonoDataset, batch_sampler: EpochSampler, num_workers: int) -> None:
        self.dataset = dataset
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self._pool: ProcessPool[list[Key], dict] | None = None

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[dict]:
        """The batches of the sampler's epoch. Those in shared memory make room for others when they are dropped.

        Raises:
            DataError: a file is missing or damaged, or a worker died; names the split line, where it is known.
        """
        if self._pool is None:
            self._pool = self._start()
        return self._pool.map(self.batch_sampler, PREFETCHED_BATCHES)

    def close(self) -> None:
        """Ends the workers; they are started again when the loader is next iterated."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _start(self) -> ProcessPool:
        slots = None
        if self.num_workers:
            batch_bytes = self.batch_sampler.batch_size * self.dataset.sample_bytes + SPARE_BYTES
            slots = SharedSlots(PREFETCHED_BATCHES * self.num_workers + 1 + HELD_BATCHES, batch_bytes)
        return ProcessPool(partial(_load_batch, self.dataset), self.num_workers, describe=self._describe, slots=slots)

    def _describe(self, keys: list[Key], part: int) -> str:
        """The split line of a key, or of all where none of them is under way."""
        return "\n  ".join(str(self.dataset.lines[index]) for index, _ in keys[part : part + 1] or keys)


def _load_batch(dataset: MonoDataset, keys: list[Key], workspace: Workspace) -> dict:
    samples = []
    for i, key in enumerate(keys):
        workspace.begin_part(i)
        samples.append(dataset[key])
    workspace.begin_part(len(keys))
    return collate(samples, workspace.empty)


def collate(samples: Sequence[dict], empty: Empty = np.empty) -> dict:
    """One batch of samples with the same keys: arrays stacked to (B, ...), `depth_gt` and `name` as lists."""
    batch = {}
    for key, first in samples[0].items():
        values = [sample[key] for sample in samples]
        batch[key] = values if key in LISTS else np.stack(values, out=empty((len(values), *first.shape), first.dtype))
    return batch
