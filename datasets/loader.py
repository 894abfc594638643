"""Background loading of batches, in the order of the sampler.

Paddle's DataLoader forks its workers. A worker forked while threads of an earlier loader are alive, for example after
an abandoned epoch, can deadlock (seen with Paddle 3.3.1). Here workers of ``common.process_pool`` collate the batches
in shared memory, without importing Paddle.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from common.process_pool import ProcessPool, Workspace
from common.shared_memory import SharedSlots
from datasets.mono_dataset import LISTS, MonoDataset
from datasets.sampler import EpochSampler

PREFETCHED_BATCHES = 2  # per worker
HELD_BATCHES = 2  # held by the consumer: the current batch, and the next one during the handover
SPARE_BYTES = 4096  # per batch, for the alignment of its arrays
Key = tuple[int, int]  # index, epoch
Empty = Callable[[tuple[int, ...], np.dtype], np.ndarray]  # allocates an array of a shape and dtype


class BatchLoader:
    """Loader of collated batches. The batches do not depend on the number of workers.

    An epoch may be abandoned at any time, and the next one started immediately. A script that uses workers needs the
    guard ``if __name__ == "__main__"``, because each worker imports it.

    Args:
        dataset: Dataset of the samples.
        batch_sampler: Sampler; call its ``set_epoch`` before each epoch.
        num_workers: Number of worker processes; 0 loads in a thread of this process.
    """

    def __init__(self, dataset: MonoDataset, batch_sampler: EpochSampler, num_workers: int) -> None:
        self.dataset = dataset
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self._pool: ProcessPool[list[Key], dict] | None = None

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[dict]:
        """Yield the batches of the sampler's epoch. Deleting a batch frees its slot of shared memory.

        Raises:
            DataError: A file is missing or damaged, or a worker exited unexpectedly. The message contains the split
                line if it is known.
        """
        if self._pool is None:
            self._pool = self._start()
        return self._pool.map(self.batch_sampler, PREFETCHED_BATCHES)

    def close(self) -> None:
        """Stop the workers; the next iteration starts new ones."""
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
        """Return the split line of the sample being loaded, or all split lines of the batch."""
        return "\n  ".join(str(self.dataset.lines[index]) for index, _ in keys[part : part + 1] or keys)


def _load_batch(dataset: MonoDataset, keys: list[Key], workspace: Workspace) -> dict:
    samples = []
    for i, key in enumerate(keys):
        workspace.begin_part(i)
        samples.append(dataset[key])
    workspace.begin_part(len(keys))
    return collate(samples, workspace.empty)


def collate(samples: Sequence[dict], empty: Empty = np.empty) -> dict:
    """Collate samples with the same keys: arrays stacked to (B, ...), ``depth_gt`` and ``name`` as lists."""
    batch = {}
    for key, first in samples[0].items():
        values = [sample[key] for sample in samples]
        batch[key] = values if key in LISTS else np.stack(values, out=empty((len(values), *first.shape), first.dtype))
    return batch
