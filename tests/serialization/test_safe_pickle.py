"""Test the restricted unpickler: arrays are read exactly, and no file content is executed."""

import contextlib
import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError, WeightsError
from serialization.safe_pickle import ArrayUnpickler

COMMAND = "echo executed > EXECUTED"


class Calls:
    """Pickled as a call of ``function``, like a malicious file."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Builds:
    """Pickled as the result of a call with a state set on it."""

    def __init__(self, function, arguments, state):
        self.parts = (function, arguments, state)

    def __reduce__(self):
        return self.parts


def load(content: bytes):
    return ArrayUnpickler(io.BytesIO(content), Path("some.file"), len(content)).load()


def named(module: str, name: str, *arguments: str) -> bytes:
    """Build a protocol 2 pickle that calls ``module.name``, without importing it in the test."""
    texts = b"".join(b"X" + struct.pack("<I", len(text)) + text.encode() for text in arguments)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + texts + b"tR."


ARRAYS = [
    np.arange(24, dtype="<f4").reshape(2, 3, 4),
    np.arange(24, dtype=">f8").reshape(2, 3, 4),
    np.arange(24, dtype=np.float16).reshape(2, 3, 4).T,
    np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(1, 0, 2),
    np.arange(24)[::2],
    np.array(7, np.int64),
    np.array([True, False]),
    np.array([1 + 2j], np.complex64),
    np.array([np.nan, -np.inf, -0.0], np.float32),
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}-{array.shape}")
def test_arrays_are_read_exactly(array, protocol):
    content = load(pickle.dumps({"a": array, "again": array}, protocol))
    for loaded in content.values():
        assert type(loaded) is np.ndarray
        assert (loaded.dtype, loaded.shape) == (array.dtype, array.shape)
        assert loaded.tobytes() == array.tobytes()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_empty_arrays(protocol):
    assert load(pickle.dumps(np.zeros((0, 3)), protocol)).shape == (0, 3)


def test_plain_values_and_arrays_of_arrays():
    ragged = np.empty((2, 1), object)
    ragged[0, 0], ragged[1, 0] = np.ones((2, 3), np.float32), [None, "text"]
    content = {
        "numbers": (1, 2.5, True, None, np.float64(0.1)),
        "list": [b"bytes", {1: "x"}],
        "ragged": ragged,
    }
    loaded = load(pickle.dumps(content, 4))
    assert loaded["numbers"] == content["numbers"] and loaded["list"] == content["list"]
    np.testing.assert_array_equal(loaded["ragged"][0, 0], ragged[0, 0])
    assert loaded["ragged"].shape == (2, 1) and loaded["ragged"][1, 0] == [None, "text"]


def test_shared_containers_are_converted_once():
    nested = [1.0]
    for _ in range(60):  # 2**60 elements if each reference were converted separately
        nested = [nested, nested]
    loaded = load(pickle.dumps(nested))
    assert loaded[0] is loaded[1]


def test_reads_files_of_numpy_1_and_python_2():
    array = np.arange(3, dtype=np.float32)
    by_numpy_1 = pickle.dumps(array, 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    np.testing.assert_array_equal(load(by_numpy_1), array)
    python_2_text = b"\x80\x02U\x0c" + array.tobytes() + b"."
    assert load(python_2_text).encode("latin1") == array.tobytes()


HOSTILE_CALLS = [
    ("posix", "system", COMMAND),
    ("os", "system", COMMAND),
    ("nt", "system", COMMAND),
    ("subprocess", "getoutput", COMMAND),
    ("builtins", "eval", f"__import__('os').system({COMMAND!r})"),
    ("__builtin__", "eval", f"__import__('os').system({COMMAND!r})"),
    ("builtins", "exec", f"import os; os.system({COMMAND!r})"),
    ("builtins", "getattr", "numpy", "load"),
    ("builtins", "open", "EXECUTED", "w"),
    ("importlib", "import_module", "os"),
    ("runpy", "run_path", "EXECUTED"),
    ("pickle", "loads", COMMAND),
    ("numpy", "load", "EXECUTED"),
    ("numpy", "fromfile", "EXECUTED"),
    ("numpy", "memmap", "EXECUTED"),
    ("numpy", "ndarray.tofile"),
    ("numpy.testing._private.utils", "runstring", COMMAND),
    ("numpy.core.multiarray", "fromfile", "EXECUTED"),
    ("numpy._core.multiarray", "__builtins__"),
    ("numpy.ctypeslib", "load_library", "x", "y"),
    ("collections", "OrderedDict.fromkeys", COMMAND),
    ("functools", "partial", COMMAND),
    ("copyreg", "_reconstructor"),
]


@pytest.mark.parametrize(("module", "name", "arguments"), [(m, n, a) for m, n, *a in HOSTILE_CALLS])
def test_error_names_rejected_calls(module, name, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=f"some.file' refers to {module}.{name}, .*Nothing was executed"):
        load(named(module, name, *arguments))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nested_calls_are_rejected(protocol, tmp_path, monkeypatch):
    import os

    monkeypatch.chdir(tmp_path)
    call = Calls(os.system, COMMAND)
    ragged = np.empty(1, object)
    ragged[0] = call
    for content in ({"weight": {"deep": [1, (2, call)]}}, ragged, [call], {call: 1}):
        with pytest.raises(WeightsError, match=r"refers to (posix|nt)\.system"):
            load(pickle.dumps(content, protocol))
    assert not list(tmp_path.iterdir())


def test_error_has_the_requested_class_and_no_control_characters():
    with pytest.raises(DataError, match=r"refers to os\\x1b\[31m\.system"):
        ArrayUnpickler(io.BytesIO(named("os\x1b[31m", "system")), Path("x.npz"), 100, error=DataError).load()


_RECONSTRUCT, _FIRST = np.empty(0).__reduce__()[:2]


def array_pickle(*state: object) -> bytes:
    return pickle.dumps(Builds(_RECONSTRUCT, _FIRST, state), 4)


def dtype_pickle(code: str, *state: object) -> bytes:
    """Build the pickle of an 8-byte array whose dtype has the given ``state``."""
    dtype = Builds(np.dtype, (code, False, True), state)
    return array_pickle(1, (1,), dtype, False, b"\x41" * 8)


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    "content",
    [
        # Bytes interpreted as object addresses: directly, with cleared dtype flags, in a field.
        array_pickle(1, (1,), np.dtype(object), False, b"\x41" * 8),
        dtype_pickle("O8", 3, "|", None, None, None, -1, -1, 0),
        dtype_pickle("V8", 3, "|", None, ("a",), {"a": (np.dtype(object), 0)}, 8, 1, 16),
        # A field outside the array, a shape larger than the data, a shape that overflows.
        dtype_pickle("V8", 3, "|", None, ("a",), {"a": (np.dtype("f8"), 1 << 20)}, 8, 1, 16),
        dtype_pickle("f8", 3, "<", (np.dtype("f8"), (1 << 20,)), None, None, -1, -1, 0),
        array_pickle(1, (1 << 40,), np.dtype("f8"), False, b"\x41" * 8),
        array_pickle(1, (1 << 62, 4), np.dtype("f8"), False, b""),
        array_pickle(1, (-1, -8), np.dtype("u1"), False, b"\x41" * 8),
        array_pickle(1, (3,), np.dtype(object), False, [1]),
        array_pickle(1, (1.5,), np.dtype("f8"), False, b"\x41" * 8),
        # An array without its state; a dtype or a class as a value; a state set on a function or a class.
        pickle.dumps(Calls(_RECONSTRUCT, *_FIRST)),
        pickle.dumps(np.dtype("f4")),
        pickle.dumps({"weight": np.ndarray}),
        pickle.dumps(Calls(np.ndarray, (2, 2))),
        pickle.dumps(Calls(np.dtype, "f8,f8")),
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02ccollections\nOrderedDict\nN}X\x06\x00\x00\x00__call__K\x01s\x86b.",
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        # A persistent object outside the pickle, a registered extension.
        b"\x80\x02X\x01\x00\x00\x00aQ.",
        b"\x80\x02\x82\x01.",
        # A list that contains itself, a list as a key, lists nested too deeply.
        b"\x80\x02]q\x00h\x00a.",
        b"\x80\x02}]q\x00K\x01s.",
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        # Not a pickle, or a truncated one.
        b"",
        b"\x80",
        b"not a pickle",
        b"\x00" * 100,
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x00x.",
    ],
)
def test_damaged_and_malicious_pickles_are_rejected(content):
    with pytest.raises(WeightsError, match=r"some.file' (cannot be read as a pickle of arrays|refers to)"):
        load(content)


def test_every_truncation_is_detected():
    content = pickle.dumps({"a": np.arange(6.0), "b": [1, "x"]}, 4)
    for size in range(len(content)):
        with pytest.raises(WeightsError):
            load(content[:size])


def test_any_changed_byte_returns_plain_values_or_a_clear_error():
    content = pickle.dumps({"a": np.arange(6.0), "b": [1, "x"]}, 4)
    random = np.random.default_rng(0)
    for _ in range(3000):
        damaged = bytearray(content)
        for position in random.integers(len(content), size=random.integers(1, 4)):
            damaged[position] = random.integers(256)
        with contextlib.suppress(WeightsError):
            load(bytes(damaged))
