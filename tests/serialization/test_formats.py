"""Test that all extensions and naming conventions return equal arrays, and that the original can load the names."""

import json

import h5py
import numpy as np
import pytest
import safetensors.numpy
from torch_bytes import state_dict, storage, tensor, write_zip

from common.errors import WeightsError
from serialization.formats import FORMATS, read_arrays
from serialization.naming import has_pytorch_buffers, to_paddle, to_pytorch
from serialization.pdparams import write_pdparams
from serialization.safetensors_file import write_safetensors

# A batch norm and a linear layer (out 3, in 2) with PyTorch's names, and with Paddle's.
PYTORCH = {
    "bn.running_mean": np.array([0, 1], np.float32),
    "bn.running_var": np.array([2, 3], np.float32),
    "fc.weight": np.array([[0, 1], [2, 3], [4, 5]], np.float32),
}
PADDLE = {"bn._mean": [0, 1], "bn._variance": [2, 3], "fc.weight": [[0, 2, 4], [1, 3, 5]]}


def write_h5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def write_pth(path, _):
    """Write tensors that are views of one storage with the numbers 0 to 5."""
    views = {
        "bn.running_mean": tensor(storage(), (2,)),
        "bn.running_var": tensor(storage(), (2,), offset=2),
        "fc.weight": tensor(storage(), (3, 2), (2, 1)),
    }
    write_zip(path, state_dict(**views))


@pytest.mark.parametrize(
    ("ending", "write"),
    [(".pdparams", write_pdparams), (".safetensors", write_safetensors), (".pth", write_pth), (".h5", write_h5)],
)
def test_every_extension_has_a_reader(tmp_path, ending, write):
    path = tmp_path / f"a.b{ending}"
    write(path, PYTORCH)
    arrays = read_arrays(path)
    assert {name: array.tolist() for name, array in arrays.items()} == PADDLE
    for other in (".pdparams", ".safetensors"):
        again = tmp_path / f"paddle{other}"
        {".pdparams": write_pdparams, ".safetensors": write_safetensors}[other](again, arrays)
        assert {name: array.tolist() for name, array in read_arrays(again).items()} == PADDLE
    with pytest.raises(WeightsError, match=r"a\.npz' cannot be read.*\.pdparams, .* or \.h5"):
        read_arrays(tmp_path / "a.npz")


# A square linear layer without batch norm: neither names nor shapes reveal the convention.
SQUARE = {"norm.weight": np.ones(2, np.float32), "linear.weight": np.array([[0, 1], [2, 3]], np.float32)}
AS_IT_IS, TURNED = [[0, 1], [2, 3]], [[0, 2], [1, 3]]


def write_square_pth(path):
    views = {"norm.weight": tensor(storage(), (2,)), "linear.weight": tensor(storage(), (2, 2), (2, 1))}
    write_zip(path, state_dict(**views))


def test_format_decides_whether_square_layers_are_transposed(tmp_path):
    write_pdparams(tmp_path / "paddle.pdparams", SQUARE)
    write_square_pth(tmp_path / "torch.pth")
    write_h5(tmp_path / "backbone.h5", SQUARE)
    expected = {"paddle.pdparams": AS_IT_IS, "torch.pth": TURNED, "backbone.h5": TURNED}
    read = {name: read_arrays(tmp_path / name)["linear.weight"].tolist() for name in expected}
    assert read == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"format": "pt"}, TURNED),
        ({"format": "pd"}, AS_IT_IS),
        ({"format": "np"}, AS_IT_IS),  # decided by names, as without metadata
        ({"author": "someone"}, AS_IT_IS),
        (None, AS_IT_IS),
    ],
)
def test_metadata_decides_whether_square_layers_are_transposed(tmp_path, metadata, expected):
    """Read files written by the safetensors library."""
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file(SQUARE, path, metadata)
    assert read_arrays(path)["linear.weight"].tolist() == expected
    with_batch_norm = {**SQUARE, "bn.running_mean": np.zeros(2, np.float32)}
    safetensors.numpy.save_file(with_batch_norm, path, metadata)
    assert read_arrays(path)["linear.weight"].tolist() == (AS_IT_IS if metadata == {"format": "pd"} else TURNED)


@pytest.mark.parametrize("name", FORMATS)
def test_every_written_format_is_read_back_without_batch_norm(tmp_path, name):
    form = FORMATS[name]
    path = tmp_path / f"a{form.ending}"
    form.write(path, form.arrange(SQUARE))
    assert {key: array.tolist() for key, array in read_arrays(path).items()} == {
        key: array.tolist() for key, array in SQUARE.items()
    }
    if name == "pytorch":  # as PyTorch's safetensors reader returns it
        assert safetensors.numpy.load_file(path)["linear.weight"].tolist() == TURNED


def test_batch_norm_buffers_identify_pytorch():
    assert has_pytorch_buffers(["conv.weight", "bn.running_var"]) and has_pytorch_buffers(["num_batches_tracked"])
    assert not has_pytorch_buffers(["bn._mean", "running_mean.weight"])


@pytest.mark.parametrize("module", ["encoder18", "encoder50", "pose_encoder", "depth18", "pose", "posecnn"])
def test_written_names_and_shapes_load_strictly_in_the_original(reference_dir, rule_arrays, module):
    """Start from this project's networks, which have no classifier and no counters."""
    layout = json.loads((reference_dir / "parameter_layout.json").read_text())[module]
    original = rule_arrays(module)
    kept = {
        name.replace("running_mean", "_mean").replace("running_var", "_variance"): array
        for name, array in original.items()
        if not name.endswith("num_batches_tracked") and not name.startswith("encoder.fc.")
    }
    written = to_pytorch(kept)
    assert {name: list(array.shape) for name, array in written.items()} == layout
    for name, array in written.items():
        if name.startswith("encoder.fc."):
            assert array.dtype == np.float32 and not array.any()
        elif name.endswith("num_batches_tracked"):
            assert array.dtype == np.int64 and array == 0
        else:
            np.testing.assert_array_equal(array, original[name])
    assert list(to_paddle(written)) == list(kept)


def test_existing_classifier_is_kept(rule_arrays):
    original = rule_arrays("encoder18")
    paddle = to_paddle(original)
    np.testing.assert_array_equal(paddle["encoder.fc.weight"], original["encoder.fc.weight"].T)  # (512, 1000)
    back = to_pytorch(paddle)
    assert back.keys() == original.keys()
    for name, array in original.items():
        np.testing.assert_array_equal(back[name], array)
    # A classifier is dropped only if it is zero everywhere.
    half = {**original, "encoder.fc.weight": np.zeros((1000, 512), np.float32)}
    assert "encoder.fc.weight" in to_paddle(half)
