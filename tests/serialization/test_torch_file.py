"""Test PyTorch's files in both formats: exact reading of real files, and unusual handwritten ones."""

import numpy as np
import pytest
from torch_bytes import ORDERED_DICT, number, state_dict, storage, tensor, text, write_stream, write_zip

from common.errors import WeightsError
from serialization.torch_file import read_torch_file


@pytest.mark.parametrize("name", ["encoder_zip.pth", "encoder_legacy.pth", "parameters_zip.pth"])
def test_files_of_pytorch_are_read_exactly(reference_file, load_reference, name):
    expected = load_reference("files/expected.npz")
    file = read_torch_file(reference_file(name))
    assert file.arrays.keys() == expected.keys()
    for key, array in file.arrays.items():
        assert type(array) is np.ndarray
        assert (array.dtype, array.shape) == (expected[key].dtype, expected[key].shape)
        assert array.tobytes() == expected[key].tobytes(), key
    size = {"height": 192, "width": 640, "use_stereo": True}
    assert file.others == ({} if name.startswith("parameters") else size)


def test_views_of_a_storage(write):
    entries = {
        "matrix": tensor(storage(), (2, 3), (3, 1)),
        "turned": tensor(storage(), (3, 2), (1, 3)),
        "odd": tensor(storage(), (3,), (2,), offset=1),
        "scalar": tensor(storage(), (), (), offset=4),
        "repeated": tensor(storage(), (2, 3), (0, 1)),
        "empty": tensor(storage(), (0, 3), (3, 1)),
        "old": tensor(storage(), (2,), (1,), offset=2, function="_rebuild_tensor"),
    }
    arrays = read_torch_file(write(state_dict(**entries))).arrays
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "matrix": [[0, 1, 2], [3, 4, 5]],
        "turned": [[0, 3], [1, 4], [2, 5]],
        "odd": [1, 3, 5],
        "scalar": 4,
        "repeated": [[0, 1, 2], [0, 1, 2]],
        "empty": [],
        "old": [2, 3],
    }
    assert arrays["empty"].shape == (0, 3) and arrays["scalar"].shape == ()


def test_other_entries_are_separated_from_tensors(write):
    """Layer versions, which state dicts store as an attribute, are not an entry."""
    metadata = b"}" + text("_metadata") + ORDERED_DICT + b"(" + text("bn") + b"}" + text("version") + b"K\x02su" + b"sb"
    content = state_dict(w=tensor(storage()), height=number(192), note=b"N", names=b"]")
    file = read_torch_file(write(content[:-1] + metadata + b"."))
    assert list(file.arrays) == ["w"] and file.others == {"height": 192, "note": None, "names": []}


def test_parameters_of_new_and_old_pytorch(write):
    """Before 0.4, PyTorch pickled a parameter as an object of the class with its state (gradient, volatile, hooks)."""
    new = b"ctorch._utils\n_rebuild_parameter\n(" + tensor(storage()) + b"\x88" + ORDERED_DICT + b"tR"
    old = b"ctorch.nn.parameter\nParameter\n" + tensor(storage()) + b"\x85\x81" + b"\x88\x89" + ORDERED_DICT + b"\x87b"
    arrays = read_torch_file(write(state_dict(new=new, old=old))).arrays
    assert arrays["new"].tolist() == arrays["old"].tolist() == [0, 1, 2, 3, 4, 5]


BFLOAT16 = {0x3F80: 1.0, 0xC000: -2.0, 0x3EAB: 0.333984375, 0x7F80: np.inf, 0x0001: 2.0**-133, 0x8000: -0.0}


def test_bfloat16_is_converted_to_float32_exactly(tmp_path):
    raw = np.array(list(BFLOAT16), "<u2").tobytes()
    kind = "torch\nBFloat16Storage"
    content = state_dict(
        w=tensor(storage(kind=kind)),
        turned=tensor(storage(kind=kind), (3, 2), (1, 3)),
        one=tensor(storage(kind=kind), (), ()),
    )
    path = tmp_path / "w.pth"
    for file in (write_zip(path, content, {"0": raw}), write_stream(path, content, {"0": (6, raw)})):
        arrays = read_torch_file(file).arrays
        expected = np.array(list(BFLOAT16.values()), np.float32)
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
        assert arrays["w"].tobytes() == expected.tobytes()
        assert arrays["turned"].tobytes() == np.ascontiguousarray(expected.reshape(2, 3).T).tobytes()
        assert arrays["one"].shape == () and arrays["one"] == 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("Double", np.array([0.1, -1e300], "<f8")),
        ("Half", np.array([0.5, -65504], "<f2")),
        ("Long", np.array([-(1 << 62), 3], "<i8")),
        ("Int", np.array([-(1 << 30), 3], "<i4")),
        ("Short", np.array([-300, 3], "<i2")),
        ("Char", np.array([-3, 3], "i1")),
        ("Byte", np.array([200, 3], "u1")),
        ("Bool", np.array([True, False])),
        ("ComplexFloat", np.array([1 + 2j, -3j], "<c8")),
        ("ComplexDouble", np.array([1 + 2j, -3j], "<c16")),
    ],
)
def test_types_and_byte_orders(tmp_path, kind, values):
    content = state_dict(w=tensor(storage(count=2, kind=f"torch\n{kind}Storage"), (2,)))
    path, big = tmp_path / "w.pth", values.astype(values.dtype.newbyteorder(">"))
    for file in (
        write_zip(path, content, {"0": values.tobytes()}, byteorder=b"little"),
        write_zip(path, content, {"0": values.tobytes()}),
        write_stream(path, content, {"0": (2, values.tobytes())}),
        write_zip(path, content, {"0": big.tobytes()}, byteorder=b"big"),
    ):
        array = read_torch_file(file).arrays["w"]
        assert array.dtype == values.dtype and array.tolist() == values.tolist()


@pytest.mark.parametrize("top", ["archive/", "resnet18/", "any name.v2/", ""])
def test_any_top_folder_in_the_zip(tmp_path, top):
    path = write_zip(tmp_path / "w.pth", state_dict(w=tensor(storage())), top=top)
    assert read_torch_file(path).arrays["w"].tolist() == [0, 1, 2, 3, 4, 5]


def test_parts_of_a_storage_in_the_legacy_format(tmp_path):
    """The last element of a reference contains key, start and number of elements of the part."""
    part = b"(" + text("1") + number(2) + number(3) + b"t"
    first, second = (tensor(storage(part=part), (size,), (1,), offset) for size, offset in ((3, 0), (2, 1)))
    path = write_stream(tmp_path / "w.pth", state_dict(a=first, b=second, whole=tensor(storage(part=b"N"))))
    arrays = read_torch_file(path).arrays
    assert arrays["a"].tolist() == [2, 3, 4] and arrays["b"].tolist() == [3, 4]
    assert arrays["whole"].tolist() == [0, 1, 2, 3, 4, 5]
    for start, size, reach in ((2, 3, 4), (5, 2, 1), (-1, 3, 1)):
        part = b"(" + text("1") + number(start) + number(size) + b"t"
        write_stream(path, state_dict(a=tensor(storage(part=part), (reach,))))
        with pytest.raises(WeightsError, match=r"a part outside the storage|in a storage of 3 numbers"):
            read_torch_file(path)
