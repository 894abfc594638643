"""Test safetensors files against hand-written bytes: eight bytes of length, a JSON header, the numbers."""

import contextlib
import json
import struct

import numpy as np
import pytest

from common.errors import UserError, WeightsError
from serialization.safetensors_file import read_safetensors, write_safetensors

ABOUT = {"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
SIX = np.arange(6, dtype="<f4").tobytes()


def content(header, numbers=SIX):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + numbers


def read(path, raw):
    path.write_bytes(raw)
    return read_safetensors(path).arrays


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.safetensors"


def test_reads_handwritten_bytes(path):
    header = {
        "__metadata__": {"format": "pt"},
        "b": {"dtype": "F64", "shape": [1], "data_offsets": [24, 32]},
        "a": {"dtype": "I64", "shape": [], "data_offsets": [32, 40]},
        "empty": {"dtype": "F32", "shape": [0, 3], "data_offsets": [40, 40]},
        **ABOUT,
    }
    arrays = read(path, content(header, SIX + struct.pack("<dq", 0.1, -3)))
    assert list(arrays) == ["a", "b", "empty", "w"]
    assert arrays["w"].dtype == np.float32 and arrays["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays["b"].dtype == np.float64 and arrays["b"].tolist() == [0.1]
    assert arrays["a"].dtype == np.int64 and arrays["a"].shape == () and arrays["a"] == -3
    assert arrays["empty"].shape == (0, 3)


def test_bfloat16_is_converted_to_float32_exactly(path):
    """The bfloat16 numbers are the upper halves of these float32 numbers."""
    numbers = struct.pack("<4H", 0x3F80, 0xC000, 0x3EAB, 0x7F80)
    header = {"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}
    array = read(path, content(header, numbers))["w"]
    assert array.dtype == np.float32 and array.tolist() == [[1, -2], [0.333984375, np.inf]]


@pytest.mark.parametrize("kind", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"])
def test_writes_the_expected_bytes(path, kind):
    """Include arrays with another memory order or byte order."""
    plain = np.array([[0, 1, 2], [3, 4, 5]]).astype(kind)
    name = {"f": "F", "i": "I", "u": "U", "b": "BOOL"}[plain.dtype.kind]
    name += "" if name == "BOOL" else str(8 * plain.itemsize)
    for array in (
        plain,
        np.asfortranarray(plain),
        plain.astype(plain.dtype.newbyteorder(">")),
        np.tile(plain, 2)[:, :3],
    ):
        write_safetensors(path, {"w": array})
        raw = path.read_bytes()
        size = struct.unpack("<Q", raw[:8])[0]
        about = {"dtype": name, "shape": [2, 3], "data_offsets": [0, plain.nbytes]}
        assert json.loads(raw[8 : 8 + size]) == {"w": about}
        assert raw[8 + size :] == plain.astype(plain.dtype.newbyteorder("<")).tobytes()
        back = read_safetensors(path).arrays["w"]
        assert back.dtype == plain.dtype and back.tolist() == plain.tolist()


def test_scalars_and_equal_bytes_for_equal_arrays(path, tmp_path):
    arrays = {"b": np.array(3), "a": np.zeros((0, 3), np.float32), "w": np.ones(2)}
    write_safetensors(path, arrays)
    back = read_safetensors(path).arrays
    assert {name: array.shape for name, array in back.items()} == {"a": (0, 3), "b": (), "w": (2,)} and back["b"] == 3
    write_safetensors(tmp_path / "again.safetensors", dict(reversed(arrays.items())))
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_unwritable_arrays_and_paths_are_reported(path, tmp_path):
    for array in (np.ones(2, np.complex64), np.array(["words"]), np.array([None])):
        with pytest.raises(WeightsError, match=r"w\.safetensors': .*'w'"):
            write_safetensors(path, {"w": array})
    assert not path.exists()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_safetensors(tmp_path / "file" / "w.safetensors", {"w": np.ones(2)})


def about(**changes):
    return {"w": {**ABOUT["w"], **changes}}


@pytest.mark.parametrize(
    "raw",
    [
        content(about(shape=[2, 4])),
        content(about(shape=[2])),
        content(about(shape=[-2, -3])),
        content(about(shape=[1 << 62, 4, 0])),
        content(about(shape=[1 << 32, 1 << 32])),
        content(about(dtype="F64")),
        content(about(dtype="V8")),
        content(about(data_offsets=[0, 1 << 60])),
        content(about(data_offsets=[24, 0])),
        content(about(data_offsets=[4, 28])),
        content(about(data_offsets=[-24, 0])),
        content({**ABOUT, "other": ABOUT["w"]}),  # two tensors with the same bytes
        content(ABOUT, SIX + b"more"),
        content(ABOUT, SIX[:-1]),
        content(b"{" + b'"a":{' * 100_000),
        content(b"{not JSON}"),
        content(b'{"w": 3}'),
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{}",
        b"\x08\0\0\0\0\0\0\0{",
        b"short",
        bytes(100),
        b"\x80\x04cposix\nsystem\nX\x04\x00\x00\x00echo\x85R.",
    ],
)
def test_inconsistent_headers_and_foreign_files_are_reported(path, raw):
    with pytest.raises(WeightsError, match=r"w\.safetensors' cannot be read as safetensors"):
        read(path, raw)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"PK\x03\x04" + bytes(30), r"is not a safetensors file: it is a zip archive"),
        (b"\x89HDF\r\n\x1a\n", r"is not a safetensors file: it is an HDF5 file"),
        (
            content(about(dtype="F8_E4M3", shape=[24])),
            "contains numbers of an unsupported type: 'w' of type F8_E4M3",
        ),
    ],
)
def test_error_identifies_other_content(path, raw, message):
    with pytest.raises(WeightsError, match=rf"w\.safetensors' {message}"):
        read(path, raw)
    path.unlink()
    with pytest.raises(WeightsError, match=r"w\.safetensors' cannot be read: No such file"):
        read_safetensors(path)


@pytest.mark.parametrize("shape", [[1] * 200, [0, 1 << 62], [0, 1 << 40, 1 << 40], [0] * 100])
def test_shapes_that_numpy_does_not_support_are_rejected(path, shape):
    size = 4 * int(0 not in shape)
    raw = content({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}}, SIX[:size])
    with pytest.raises(WeightsError, match=r"w\.safetensors' cannot be read as safetensors"):
        read(path, raw)


def test_every_truncation_and_any_changed_byte(path):
    whole = content(ABOUT)
    for size in range(len(whole)):
        with pytest.raises(WeightsError):
            read(path, whole[:size])
    random = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(whole)
        for position in random.integers(len(whole), size=random.integers(1, 4)):
            damaged[position] = random.integers(256)
        with contextlib.suppress(WeightsError):
            assert all(isinstance(array, np.ndarray) for array in read(path, damaged).values())
