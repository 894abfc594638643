"""Batches loaded in the background, in the sampler's order.

Not Paddle's DataLoader: it forks, and a worker forked while an earlier loader's threads are alive, as after an epoch
left halfway, can wait for them for ever (seen with Paddle 3.3.1). Nor a process pool of the standard library: its
workers answer through one pipe, which one killed in the middle of an answer leaves half-read for ever (seen with Python
3.11.7). The workers here are started afresh, import no Paddle, and have a pipe each, which ends when either side does.
Batches are made in shared memory, and only what describes them goes through the pipe.
"""

import multiprocessing
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize

import cv2
import numpy as np

from common.errors import DataError
from common.shared_memory import SharedBuffer, SharedSlots
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
        self._threads: ThreadPoolExecutor | None = None  # each waits for the answers of its own worker
        self._of_thread = threading.local()
        self._workers: list[_Worker] = []
        self._slots: SharedSlots | None = None  # for the batches of all workers

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[dict]:
        """The batches of the sampler's epoch. Those in shared memory make room for others when they are dropped.

        Raises:
            DataError: a file is missing or damaged, or a worker died; names the split line, where it is known.
        """
        if self._threads is None:
            self._threads = ThreadPoolExecutor(max(1, self.num_workers), "load")
            if self.num_workers:
                batch_bytes = self.batch_sampler.batch_size * self.dataset.sample_bytes + SPARE_BYTES
                self._slots = SharedSlots(PREFETCHED_BATCHES * self.num_workers + 1 + HELD_BATCHES, batch_bytes)
        under_way: deque[Future] = deque()
        try:
            for keys in self.batch_sampler:
                under_way.append(self._threads.submit(self._load, keys))
                if len(under_way) > PREFETCHED_BATCHES * max(1, self.num_workers):
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()

    def close(self) -> None:
        """Ends the workers; they are started again when the loader is next iterated."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None
        for worker in self._workers:
            worker.close()
        self._workers, self._of_thread, self._slots = [], threading.local(), None

    def _load(self, keys: list[Key]) -> dict:
        """Runs in one of the threads."""
        if not self.num_workers:
            return _load_batch(self.dataset, keys)
        worker = getattr(self._of_thread, "worker", None)
        if worker is None:
            worker = self._of_thread.worker = _Worker(self.dataset, self._slots)
            self._workers.append(worker)
        try:
            batch, error, trace = worker.load(keys)
        except (EOFError, OSError) as ended:
            self._of_thread.worker = None
            names = "\n  ".join(str(self.dataset.lines[index]) for index, _ in worker.under_way(keys))
            raise DataError(
                "a process that loads data died: it was killed, or ran out of memory (use fewer --num_workers, or 0 to "
                f"see more). It was loading:\n  {names}"
            ) from ended
        if error is not None:
            raise error from _WorkerError(trace)
        return batch


class _Worker:
    """A process that loads batches, one at a time, into slots of shared memory."""

    def __init__(self, dataset: MonoDataset, slots: SharedSlots) -> None:
        context = multiprocessing.get_context("spawn")
        self._slots = slots
        self._position = SharedBuffer(8)
        self._pipe, pipe_of_process = context.Pipe()
        arguments = (dataset, pipe_of_process, slots, self._position)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        pipe_of_process.close()  # the process holds the only copy: its end is the pipe's
        # Before multiprocessing waits at exit for its processes, which end when their pipe does.
        Finalize(self, self._pipe.close, exitpriority=0)

    def load(self, keys: list[Key]) -> tuple[dict | None, Exception | None, str | None]:
        """The collated samples, or what the dataset raised and its traceback.

        Raises:
            EOFError, OSError: the process died.
        """
        slot = self._slots.take()
        try:
            self._pipe.send((slot, keys))
            answer = self._pipe.recv()
        except (EOFError, OSError):
            self._slots.give_back(slot)
            raise
        return self._slots.read(slot, answer)

    def under_way(self, keys: list[Key]) -> list[Key]:
        """Of a process that died over these keys: the one that it was at, or all where it was at none."""
        position = int(self._position.bytes.view(np.int64)[0])
        return keys[position : position + 1] or keys

    def close(self) -> None:
        """Ends the process; none of its batches may be under way."""
        self._pipe.close()
        self._process.join()


class _WorkerError(Exception):
    """Shows the traceback of a worker's error."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _serve(dataset: MonoDataset, pipe: Connection, slots: SharedSlots, position: SharedBuffer) -> None:
    """Answers each list of keys with (batch, error, traceback) until the pipe ends, as with a parent that is killed."""
    # Ctrl-C, and what schedulers send, reach the whole group: the main process decides.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    cv2.setNumThreads(1)  # the processes fill the cores
    while True:
        try:
            slot, keys = pipe.recv()
        except (EOFError, ConnectionResetError):  # the latter where an answer had not been taken
            return
        writer = slots.writer(slot)
        try:
            answer = _load_batch(dataset, keys, writer.empty, position.bytes.view(np.int64)), None, None
        except Exception as error:
            answer = None, error, traceback.format_exc()
        try:
            pipe.send(writer.pack(answer))
        except BrokenPipeError:
            return


def _load_batch(
    dataset: MonoDataset, keys: list[Key], empty: Empty = np.empty, position: np.ndarray | None = None
) -> dict:
    """The collated samples; ``position`` (1,) says meanwhile which of the keys is under way."""
    samples = []
    for i, key in enumerate(keys):
        if position is not None:
            position[0] = i
        samples.append(dataset[key])
    if position is not None:
        position[0] = len(keys)
    return collate(samples, empty)


def collate(samples: Sequence[dict], empty: Empty = np.empty) -> dict:
    """One batch of samples with the same keys: arrays stacked to (B, ...), `depth_gt` and `name` as lists."""
    batch = {}
    for key, first in samples[0].items():
        values = [sample[key] for sample in samples]
        batch[key] = values if key in LISTS else np.stack(values, out=empty((len(values), *first.shape), first.dtype))
    return batch
