"""Sampling, collation, prepared batches, and worker processes."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from common.errors import DataError
from datasets.batch import prepare_batch
from datasets.build import build_cache, build_loader
from datasets.loader import collate
from datasets.sampler import EpochSampler

ROOT = Path(__file__).resolve().parents[2]


def _loader(dataset, **kwargs):
    defaults = {"batch_size": 3, "shuffle": True, "num_workers": 0, "seed": 0, "drop_last": False}
    return build_loader(dataset, **{**defaults, **kwargs})


def _bytes(batch):
    return {
        key: [np.asarray(item).tobytes() for item in value] if isinstance(value, list) else np.asarray(value).tobytes()
        for key, value in batch.items()
    }


def test_each_epoch_has_every_sample_once_in_its_own_order():
    sampler = EpochSampler(10, 4, shuffle=True, seed=0, drop_last=False)
    epochs = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert [len(batch) for batch in batches] == [4, 4, 2] and len(sampler) == 3
        assert {number for batch in batches for _, number in batch} == {epoch}
        epochs.append([index for batch in batches for index, _ in batch])
        assert sorted(epochs[-1]) == list(range(10))
    assert epochs[0] == epochs[2] != epochs[1]


def test_unshuffled_order_with_drop_last():
    sampler = EpochSampler(5, 2, shuffle=False, seed=0, drop_last=True)
    assert list(sampler) == [[(0, 0), (1, 0)], [(2, 0), (3, 0)]] and len(sampler) == 2


def test_collate_stacks_arrays_and_lists_other_values(make_dataset, line):
    samples = list(make_dataset([line(2), line(3)], load_depth=True))
    batch = collate(samples)
    assert batch["color/s/0"].shape == (2, 3, 32, 64) and batch["color/s/0"].dtype == np.uint8
    assert batch["K/1"].shape == (2, 4, 4) and batch["stereo_T"].shape == (2, 4, 4)
    assert batch["name"] == [str(line(2)), str(line(3))]
    assert batch["depth_gt"][0].shape == (64, 128) and batch["depth_gt"][1] is None


@pytest.mark.parametrize("convert", [np.asarray, paddle.to_tensor])
def test_colour_pyramid_has_area_averages(convert):
    values = np.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8).astype(np.uint8)
    K = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    batch = {
        "color/0/0": convert(values),
        "color_aug/0/0": convert(255 - values),
        "K/0": convert(K),
    }
    prepared = prepare_batch({**batch, "name": ["a", "b"], "depth_gt": [None, values]}, [0, 2])
    assert set(prepared) == {*batch, "color/0/2", "name", "depth_gt"}
    assert prepared["color/0/0"].dtype == paddle.float32
    np.testing.assert_allclose(prepared["color/0/0"].numpy(), values / 255, rtol=2e-7)
    np.testing.assert_allclose(prepared["color_aug/0/0"].numpy(), (255 - values) / 255, rtol=2e-7)
    assert prepared["color_aug/0/0"].max() == 1
    expected = values.reshape(2, 3, 2, 4, 2, 4).mean(axis=(3, 5)) / 255
    np.testing.assert_allclose(prepared["color/0/2"].numpy(), expected, rtol=1e-6)
    assert prepared["name"] == ["a", "b"] and prepared["depth_gt"][1] is values


def test_sources_have_a_pyramid_on_request():
    values = np.arange(3 * 8 * 8).reshape(1, 3, 8, 8).astype(np.uint8)
    batch = {"color/0/0": values, "color/s/0": values}
    assert set(prepare_batch(batch, [0, 1])) == {*batch, "color/0/1"}
    prepared = prepare_batch(batch, [0, 1], pyramid_of_sources=True)
    assert set(prepared) == {*batch, "color/0/1", "color/s/1"}
    np.testing.assert_array_equal(prepared["color/s/1"].numpy(), prepared["color/0/1"].numpy())


def test_batches_do_not_depend_on_workers_and_epochs_differ(make_dataset):
    dataset = make_dataset(train=True)
    runs = []
    for num_workers in (0, 2):
        loader = _loader(dataset, num_workers=num_workers)
        epochs = []
        for epoch in range(2):
            loader.batch_sampler.set_epoch(epoch)
            epochs.append([_bytes(batch) for batch in loader])
        assert [len(batch["name"]) for batch in epochs[0]] == [3, 3, 2] and len(loader) == 3
        runs.append(epochs)
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_abandoned_epoch_is_silent_and_the_next_is_complete(make_dataset, capfd, num_workers):
    dataset = make_dataset(train=True)
    others = set(multiprocessing.active_children())  # of earlier tests, still exiting
    loader = _loader(dataset, num_workers=num_workers, batch_size=1)
    for _ in range(3):
        for _ in loader:
            break
    assert len(list(loader)) == len(dataset)
    loader.close()
    assert not set(multiprocessing.active_children()) - others
    assert len(list(loader)) == len(dataset)  # restarts the workers
    loader.close()
    output = capfd.readouterr()
    assert output.out == "" and output.err == ""


@pytest.mark.parametrize("delay", [0, 0.002, 0.01, 0.02, 0.05])
def test_dead_worker_ends_the_epoch_with_its_sample(make_dataset, delay):
    """The worker may die while it sends a batch, which exceeds the buffer of a pipe."""
    others = set(multiprocessing.active_children())
    loader = _loader(make_dataset(width=640, height=512), num_workers=1, batch_size=1, shuffle=False)
    batches = iter(loader)
    first = next(batches)["name"][0]
    (worker,) = set(multiprocessing.active_children()) - others
    time.sleep(delay)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(DataError) as error:
        list(batches)
    assert "A worker process exited unexpectedly" in str(error.value)
    named = [str(line) for line in loader.dataset.lines if f"\n  {line}" in str(error.value)]
    assert len(named) == 1 and first not in named
    assert len(list(loader)) == len(loader)  # with a new worker
    loader.close()


def test_dead_worker_is_reported_with_the_sample_in_progress(make_dataset, line, tmp_path):
    """The third of four samples: its image is large, so that the worker is killed while reading it."""
    dataset = make_dataset([line(1), line(2), line(3), line(4)], frame_ids=[0])
    (path,) = dataset.frame_paths(line(3))
    Image.new("L", (9400, 9400)).save(path, format="PNG", compress_level=1)
    others = set(multiprocessing.active_children())
    loader = _loader(dataset, num_workers=1, batch_size=4, shuffle=False)
    with ThreadPoolExecutor(1) as thread:
        epoch = thread.submit(list, loader)
        worker = _wait_for_reader(path, others)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(DataError) as error:
            epoch.result()
    assert str(error.value).endswith(f"It was working on:\n  {line(3)}")
    loader.close()


def _wait_for_reader(path: str, others: set) -> multiprocessing.Process:
    """Return the new child process once it has opened the file."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for worker in set(multiprocessing.active_children()) - others:
            for descriptor in Path(f"/proc/{worker.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor) == os.path.realpath(path):
                        return worker
    raise AssertionError("no worker opened the file")


def test_held_batches_do_not_change(make_dataset):
    """Hold more batches than fit in shared memory; each equals the batch loaded without workers."""
    dataset = make_dataset(train=True)
    expected = [_bytes(batch) for batch in _loader(dataset, batch_size=1)]
    loader = _loader(dataset, batch_size=1, num_workers=1)
    held = list(loader)
    assert len(held) == 8 > len(loader._pool.slots._free) == 0
    assert [_bytes(batch) for batch in held] == expected
    held = held[1:]
    assert len(loader._pool.slots._free) == 1
    assert [_bytes(batch) for batch in loader] == expected  # again, with the free slots
    assert [_bytes(batch) for batch in held] == expected[1:]
    del held
    assert len(loader._pool.slots._free) == 5  # 2 prefetched, 1 in progress, 2 held
    loader.close()


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_memory_does_not_grow_over_epochs(make_dataset, cache):
    """A leak of one batch per epoch in any process would add 200 MB; the slots have 41 MB."""
    dataset = make_dataset(train=True, height=192, width=640)
    dataset = dataset.replace(cache=build_cache(cache, dataset, ""))
    loader = _loader(dataset, num_workers=2, batch_size=2)
    others = set(multiprocessing.active_children())
    memory = []
    for epoch in range(36):
        loader.batch_sampler.set_epoch(epoch)
        for _ in loader:
            pass
        workers = set(multiprocessing.active_children()) - others
        memory.append(sum(map(_memory_of, (os.getpid(), *(worker.pid for worker in workers)))))
    assert len(workers) == 2
    loader.close()
    assert memory[-1] - memory[1] < 60e6, [f"{size / 1e6:.0f} MB" for size in memory]


def _memory_of(pid: int) -> int:
    """Return the proportional set size in bytes: shared memory is divided among its processes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except FileNotFoundError:
        pytest.skip("requires Linux")
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def test_workers_exit_with_a_killed_parent(make_dataset, tmp_path):
    script = tmp_path / "load.py"
    script.write_text(
        "import pickle, sys, time\n"
        "if __name__ == '__main__':\n"
        f"    sys.path.insert(0, {str(ROOT)!r})\n"
        "    from datasets.build import build_loader\n"
        f"    dataset = pickle.load(open({str(tmp_path / 'dataset')!r}, 'rb'))\n"
        "    settings = dict(batch_size=1, shuffle=False, num_workers=2, seed=0, drop_last=False)\n"
        "    batches = iter(build_loader(dataset, **settings))\n"
        "    next(batches), next(batches), next(batches)  # by then both workers have answered\n"
        "    import multiprocessing\n"
        "    print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "    time.sleep(60)\n"
    )
    (tmp_path / "dataset").write_bytes(pickle.dumps(make_dataset()))
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in workers if Path("/proc").exists()]
    assert all("memfd:shared" in text and "/dev/shm/" not in text for text in maps)  # nothing can be left behind
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while any(_is_running(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_is_running(pid) for pid in workers)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_workers_do_not_import_paddle():
    code = "import sys, datasets.loader, datasets.build; sys.exit('paddle' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_damaged_file_ends_the_epoch_without_traceback(make_dataset, line, num_workers, capfd):
    dataset = make_dataset()
    path = dataset.frame_paths(line(3, "r"))[0]
    with open(path, "r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError) as error:
        list(_loader(dataset, num_workers=num_workers))
    assert path in str(error.value) and "split line" in str(error.value)
    assert "Traceback" not in str(error.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("num_workers", [0, 2])
def test_bug_keeps_its_traceback(make_dataset, num_workers):
    with pytest.raises(RuntimeError, match=r"split line .* ValueError") as error:
        list(_loader(make_dataset(width=0), num_workers=num_workers))
    assert "resize_lanczos" in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_ground_truth_remains_a_list(make_dataset, line, num_workers):
    dataset = make_dataset([line(2), line(3)], load_depth=True)
    (batch,) = _loader(dataset, shuffle=False, num_workers=num_workers)
    assert batch["name"] == [str(line(2)), str(line(3))]
    assert np.asarray(batch["depth_gt"][0])[25, 69] == 11 and batch["depth_gt"][1] is None


def test_fewer_lines_than_a_batch_are_rejected(make_dataset, line):
    with pytest.raises(DataError, match="1 usable lines, fewer than one batch of 3"):
        _loader(make_dataset([line(2)]), drop_last=True)
