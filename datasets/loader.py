"""Batches loaded in the background, in the sampler's order.

Not Paddle's DataLoader: it forks, and a worker forked while an earlier loader's threads are alive, as after an epoch
left halfway, can wait for them for ever (seen with Paddle 3.3.1). The workers here are started afresh, import NumPy and
Pillow alone, live as long as the loader, and end with the process that started them.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np

from datasets.mono_dataset import LISTS, MonoDataset
from datasets.sampler import EpochSampler
from errors import DataError

PREFETCHED_BATCHES = 2  # for each worker
Key = tuple[int, int]  # index, epoch


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
        self._executor: Executor | None = None

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[dict]:
        """The batches of the sampler's epoch.

        Raises:
            DataError: a file is missing or damaged, or a worker died; names the split lines.
        """
        if self._executor is None:
            self._executor = self._start()
        under_way: deque[tuple[list[Key], Future]] = deque()
        try:
            for keys in self.batch_sampler:
                under_way.append((keys, self._executor.submit(_load_batch, keys)))
                if len(under_way) > PREFETCHED_BATCHES * max(1, self.num_workers):
                    yield under_way[0][1].result()
                    under_way.popleft()
            while under_way:
                yield under_way[0][1].result()
                under_way.popleft()
        except BrokenProcessPool as error:
            raise self._died([keys for keys, _ in under_way]) from error
        finally:
            for _, future in under_way:
                future.cancel()

    def close(self) -> None:
        """Ends the workers; they are started again when the loader is next iterated."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None

    def _start(self) -> Executor:
        if not self.num_workers:
            return ThreadPoolExecutor(1, initializer=_keep_dataset, initargs=(self.dataset,))
        return ProcessPoolExecutor(
            self.num_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(self.dataset,),
        )

    def _died(self, batches: list[list[Key]]) -> DataError:
        self._executor = None
        names = "\n  ".join(str(self.dataset.lines[index]) for keys in batches for index, _ in keys)
        return DataError(
            "a process that loads data died: it was killed, or ran out of memory (use fewer --num_workers, or 0 to see "
            f"more). These samples were under way:\n  {names}"
        )


_local = threading.local()


def _keep_dataset(dataset: MonoDataset) -> None:
    """Gives a worker its dataset once, not with every batch."""
    _local.dataset = dataset


def _start_worker(dataset: MonoDataset) -> None:
    _keep_dataset(dataset)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the main process decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _load_batch(keys: list[Key]) -> dict:
    return collate([_local.dataset[key] for key in keys])


def collate(samples: Sequence[dict]) -> dict:
    """One batch of samples with the same keys: arrays stacked to (B, ...), `depth_gt` and `name` as lists."""
    return {
        key: [sample[key] for sample in samples] if key in LISTS else np.stack([sample[key] for sample in samples])
        for key in samples[0]
    }
