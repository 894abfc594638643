"""What several processes take of an epoch: together what one would take, without repeats or losses."""

import numpy as np
import pytest

from datasets.sampler import EpochSampler


def epoch_of(processes: int, batch_size: int, length: int, *, drop_last: bool, first_sample: int = 0, epoch: int = 3):
    """Each process's batches of indices."""
    batches = []
    for rank in range(processes):
        sampler = EpochSampler(
            length, batch_size, shuffle=True, seed=7, drop_last=drop_last, rank=rank, processes=processes
        )
        sampler.set_epoch(epoch, first_sample)
        batches.append([[index for index, _ in batch] for batch in sampler])
    return batches


def order_of(length: int, epoch: int = 3) -> list[int]:
    """The order that a sampler with seed 7 is to take."""
    return np.random.default_rng([7, epoch]).permutation(length).tolist()


def test_processes_take_turns_in_one_order():
    order = order_of(13)
    first, second = epoch_of(2, 3, 13, drop_last=True)
    assert first == [order[0:3], order[6:9]] and second == [order[3:6], order[9:12]]


@pytest.mark.parametrize(("processes", "length"), [(2, 13), (3, 10), (4, 4), (5, 2)])
def test_without_dropping_every_sample_comes_once(processes, length):
    shares = epoch_of(processes, 2, length, drop_last=False)
    seen = [index for share in shares for batch in share for index in batch]
    assert sorted(seen) == list(range(length))
    assert all(share == [batch for batch in share if batch] for share in shares)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (4, 1)])
def test_an_epoch_goes_on_with_another_number_of_processes(before, after):
    """Two rounds by some, the rest by others: each sample once but for fewer at the end than all take at once."""
    length, batch_size = 41, 3
    first = [batch for share in epoch_of(before, batch_size, length, drop_last=True) for batch in share[:2]]
    done = 2 * before * batch_size
    rest = [b for s in epoch_of(after, batch_size, length, drop_last=True, first_sample=done) for b in s]
    seen = sorted(index for batch in first + rest for index in batch)
    dropped = (length - done) % (after * batch_size)
    assert seen == sorted(order_of(length)[: length - dropped]) and dropped < after * batch_size


def test_rounds_are_counted_for_all_processes():
    sampler = EpochSampler(13, 3, shuffle=False, seed=0, drop_last=False, rank=1, processes=2)
    assert (len(sampler), sampler.rounds(6), sampler.rounds(12), sampler.global_batch_size) == (3, 2, 1, 6)
    assert list(sampler) == [[(3, 0), (4, 0), (5, 0)], [(9, 0), (10, 0), (11, 0)]]  # and nothing of the third
