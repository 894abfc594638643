"""Sampling by several processes: together they get the samples of one process, each exactly once."""

import numpy as np
import pytest

from datasets.sampler import EpochSampler


def epoch_of(processes: int, batch_size: int, length: int, *, drop_last: bool, first_sample: int = 0, epoch: int = 3):
    """Return the batches of indices of each process."""
    batches = []
    for rank in range(processes):
        sampler = EpochSampler(
            length, batch_size, shuffle=True, seed=7, drop_last=drop_last, rank=rank, processes=processes
        )
        sampler.set_epoch(epoch, first_sample)
        batches.append([[index for index, _ in batch] for batch in sampler])
    return batches


def order_of(length: int, epoch: int = 3) -> list[int]:
    """Return the expected order of a sampler with seed 7."""
    return np.random.default_rng([7, epoch]).permutation(length).tolist()


def test_processes_share_one_order_by_rank():
    order = order_of(13)
    first, second = epoch_of(2, 3, 13, drop_last=True)
    assert first == [order[0:3], order[6:9]] and second == [order[3:6], order[9:12]]


@pytest.mark.parametrize(("processes", "length"), [(2, 13), (3, 10), (4, 4), (5, 2)])
def test_every_sample_occurs_once_without_drop_last(processes, length):
    shares = epoch_of(processes, 2, length, drop_last=False)
    seen = [index for share in shares for batch in share for index in batch]
    assert sorted(seen) == list(range(length))
    assert all(share == [batch for batch in share if batch] for share in shares)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (4, 1)])
def test_epoch_resumes_with_another_number_of_processes(before, after):
    """Two global batches before and the others after: each sample once, except for the dropped last ones."""
    length, batch_size = 41, 3
    first = [batch for share in epoch_of(before, batch_size, length, drop_last=True) for batch in share[:2]]
    done = 2 * before * batch_size
    rest = [b for s in epoch_of(after, batch_size, length, drop_last=True, first_sample=done) for b in s]
    seen = sorted(index for batch in first + rest for index in batch)
    dropped = (length - done) % (after * batch_size)
    assert seen == sorted(order_of(length)[: length - dropped]) and dropped < after * batch_size


def test_rounds_count_global_batches():
    sampler = EpochSampler(13, 3, shuffle=False, seed=0, drop_last=False, rank=1, processes=2)
    assert (len(sampler), sampler.rounds(6), sampler.rounds(12), sampler.global_batch_size) == (3, 2, 1, 6)
    assert list(sampler) == [
        [(3, 0), (4, 0), (5, 0)],
        [(9, 0), (10, 0), (11, 0)],
    ]  # no samples of the third global batch
