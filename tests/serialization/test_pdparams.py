"""Test Paddle's weight files: exact reading, writing for ``paddle.load``, no execution of file content."""

import numpy as np
import paddle
import pytest
from paddle import nn

from common.errors import UserError, WeightsError
from serialization.pdparams import NAME_TABLE, read_paddle_file, read_pdparams, write_pdparams


def files_like(folder, pattern):
    paths = sorted(folder.glob(pattern))
    if not paths:
        pytest.skip(f"{folder} has no {pattern}")
    return paths


def assert_equal_to_the_bit(arrays, expected):
    assert list(arrays) == list(expected)
    for name, array in arrays.items():
        assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)
        assert array.tobytes() == expected[name].tobytes()


def small_network():
    paddle.seed(0)
    return nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4), nn.Linear(4, 2))


def arrays_of(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def test_reads_files_of_paddle_2_and_3(reference_dir):
    for path in files_like(reference_dir / "files", "paddle*.pdparams"):
        with np.load(path.with_name(f"{path.stem}_expected.npz")) as expected:
            assert_equal_to_the_bit(read_pdparams(path), dict(expected))
        table = read_paddle_file(path)[NAME_TABLE]
        assert table and all(isinstance(name, str) for name in table.values())


def test_reads_optimizer_files_of_paddle_2_and_3(reference_dir):
    for path in files_like(reference_dir / "files", "paddle*.pdopt"):
        expected = paddle.load(str(path), return_numpy=True)
        content = read_paddle_file(path)
        content.pop(NAME_TABLE)
        assert_equal_to_the_bit(content, expected)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_files_of_the_installed_paddle(tmp_path, protocol):
    network = small_network()
    scheduler = paddle.optimizer.lr.StepDecay(0.1, step_size=2)
    optimizer = paddle.optimizer.Adam(scheduler, parameters=network.parameters())
    network[0](paddle.ones([1, 3, 5, 5])).mean().backward()
    optimizer.step()
    scheduler.step()
    paddle.save(network.state_dict(), str(tmp_path / "n.pdparams"), protocol=protocol)
    paddle.save(optimizer.state_dict(), str(tmp_path / "o.pdopt"), protocol=protocol)
    assert_equal_to_the_bit(read_pdparams(tmp_path / "n.pdparams"), arrays_of(network))
    content = read_paddle_file(tmp_path / "o.pdopt")
    assert content["LR_Scheduler"]["last_epoch"] == 1
    assert content["LR_Scheduler"]["last_lr"] == scheduler.last_lr
    with pytest.raises(WeightsError, match=r"'LR_Scheduler'.*pdopt"):
        read_pdparams(tmp_path / "o.pdopt")


def test_paddle_reads_written_files(tmp_path):
    arrays = arrays_of(small_network())
    path = tmp_path / "n.pdparams"
    write_pdparams(path, arrays)
    assert_equal_to_the_bit(read_pdparams(path), arrays)
    loaded = paddle.load(str(path))
    assert all(isinstance(value, paddle.Tensor) for value in loaded.values())
    assert_equal_to_the_bit({name: value.numpy() for name, value in loaded.items()}, arrays)
    network = small_network()
    missing, unexpected = network.set_state_dict(loaded)
    assert not missing and not unexpected


def test_equal_arrays_produce_equal_bytes(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    variants = [array, array.T.copy().T, np.frombuffer(array.tobytes(), "<f4").reshape(3, 4)]
    for i, variant in enumerate(variants):
        write_pdparams(tmp_path / f"{i}.pdparams", {"a": variant, "count": np.array(3)})
    assert len({(tmp_path / f"{i}.pdparams").read_bytes() for i in range(len(variants))}) == 1


def test_numbers_among_the_arrays(tmp_path):
    paddle.save({"height": 192, "a": np.ones(2)}, str(tmp_path / "n.pdparams"))
    arrays = read_pdparams(tmp_path / "n.pdparams")
    assert arrays["height"] == 192 and arrays["height"].shape == ()


def test_malicious_files_execute_nothing(reference_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in files_like(reference_dir / "files", "hostile*.pdparams"):
        with pytest.raises(WeightsError, match=rf"{path.name}' refers to (posix\.system|__builtin__\.eval)"):
            read_pdparams(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"PK\x03\x04" + b"\0" * 50, "a zip archive"),
        (b"\x89HDF\r\n\x1a\n", r"an HDF5 file.*\.h5"),
        (b"\x10\0\0\0\0\0\0\0{" + b" " * 20, r"a safetensors file.*\.safetensors"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x80\x04K\x01.", "expected a dict"),
        (b"\x80\x04}K\x01K\x01s.", "expected a dict"),
        (b"\x00\x01", "cannot be read as a pickle of arrays"),
    ],
)
def test_error_identifies_foreign_formats(tmp_path, content, message):
    path = tmp_path / "w.pdparams"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"w\.pdparams' .*{message}"):
        read_pdparams(path)


def test_missing_file_and_unwritable_folder(tmp_path):
    with pytest.raises(WeightsError, match=r"w\.pdparams' cannot be read: No such file"):
        read_pdparams(tmp_path / "w.pdparams")
    with pytest.raises(WeightsError, match="cannot be read: Is a directory"):
        read_pdparams(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"w\.pdparams cannot be written"):
        write_pdparams(tmp_path / "file" / "w.pdparams", {})
