"""Test published HDF5 backbones, and the conversion from PyTorch's to Paddle's names."""

import h5py
import numpy as np
import pytest

from common.errors import WeightsError
from serialization.h5 import read_h5
from serialization.naming import to_paddle


def test_published_backbone_is_read_exactly(reference_dir, load_reference):
    path = reference_dir / "files" / "backbone_small.h5"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    expected = load_reference("files/expected.npz")
    arrays = read_h5(path)
    assert arrays
    for name, array in arrays.items():
        reference = expected[f"encoder.{name}"]
        assert (array.dtype, array.shape) == (reference.dtype, reference.shape)
        assert array.tobytes() == reference.tobytes()


def test_error_names_invalid_files(tmp_path):
    path = tmp_path / "r.h5"
    with pytest.raises(WeightsError, match=r"r\.h5' cannot be read: No such file"):
        read_h5(path)
    for content in (b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 200):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"r\.h5' cannot be read as HDF5"):
            read_h5(path)


def test_error_names_a_truncated_file(tmp_path):
    path = tmp_path / "r.h5"
    with h5py.File(path, "w") as file:
        file["conv1.weight"] = np.ones((64, 64), np.float32)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(WeightsError, match=r"r\.h5' cannot be read as HDF5"):
        read_h5(path)


def test_only_numeric_arrays_in_the_file_are_accepted(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones(3)
    for name, value in (
        ("group/weight", np.ones(3)),
        ("text", "words"),
        ("link", h5py.ExternalLink("other.h5", "secret")),
        ("alias", h5py.SoftLink("/absent")),
    ):
        with h5py.File(tmp_path / "r.h5", "w") as file:
            file[name] = value
        with pytest.raises(WeightsError, match=f"'{name.split('/')[0]}' is not a numeric array"):
            read_h5(tmp_path / "r.h5")


def test_external_data_is_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret!!")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.arange(8)
    layout = h5py.VirtualLayout((8,), "i8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "numbers", (8,))
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("w", (8,), "u1", external=[(tmp_path / "secret", 0, 8)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("w", layout)
    for name in ("external.h5", "virtual.h5"):
        with h5py.File(tmp_path / name) as file:
            assert len(file["w"][()]) == 8  # h5py itself reads it
        with pytest.raises(WeightsError, match=f"{name}': 'w' is not a numeric array"):
            read_h5(tmp_path / name)


def test_small_file_that_declares_a_large_array_is_rejected(tmp_path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file.create_dataset("w", (1 << 38,), "f4", chunks=(1 << 20,), compression="gzip")
    with pytest.raises(WeightsError, match=r"r\.h5' .*1099511627776 bytes of arrays"):
        read_h5(tmp_path / "r.h5")


def test_names_and_layouts():
    random = np.random.default_rng(0)
    arrays = {
        "bn1.running_mean": random.random(3),
        "bn1.running_var": random.random(3),
        "bn1.num_batches_tracked": np.array(7),
        "bn1.weight": random.random(3),
        "conv1.weight": random.random((4, 3, 7, 7)),
        "fc.weight": random.random((5, 3)),
        "fc.bias": random.random(5),
    }
    renamed = to_paddle(arrays)
    assert list(renamed) == [
        "bn1._mean",
        "bn1._variance",
        "bn1.weight",
        "conv1.weight",
        "fc.weight",
        "fc.bias",
    ]
    assert renamed["bn1._mean"] is arrays["bn1.running_mean"]
    assert renamed["bn1._variance"] is arrays["bn1.running_var"]
    assert renamed["conv1.weight"].shape == (4, 3, 7, 7)
    np.testing.assert_array_equal(renamed["fc.weight"], arrays["fc.weight"].T)  # (in, out)
