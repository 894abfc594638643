"""Test malicious, damaged and foreign ``.pth`` files: nothing is executed, and the error describes the problem."""

import contextlib
import struct
import zipfile

import numpy as np
import pytest
from torch_bytes import SIX, number, numbers, state_dict, storage, tensor, text, write_stream, write_zip

from common.errors import WeightsError
from serialization.torch_file import read_torch_file


@pytest.mark.parametrize("name", ["hostile_zip.pth", "hostile_legacy.pth"])
def test_malicious_files_execute_nothing(reference_file, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=rf"{name}' refers to posix\.system.*Nothing was executed"):
        read_torch_file(reference_file(name))
    assert not list(tmp_path.iterdir())


FAR = 1 << 62


@pytest.mark.parametrize(
    "value",
    [
        tensor(storage(), (7,)),
        tensor(storage(), (6,), offset=1),
        tensor(storage(), (2, 3), (4, 1)),
        tensor(storage(), (2,), (FAR,)),
        tensor(storage(), (1,), (1,), offset=FAR),
        tensor(storage(), (-1,)),
        tensor(storage(), (2,), (-1,), offset=3),
        tensor(storage(), (1,), (1,), offset=-1),
        tensor(storage(), (2, 3), (1,)),
        tensor(storage(), (FAR, FAR), (0, 0)),  # a view of one number, too large for any memory
        tensor(number(3)),
        tensor(storage(kind="torch\nLongStorage") + b"0" + storage()),  # two types of one storage
        tensor(storage(count=5) + b"0" + storage()),
        tensor(storage(count=1 << 40)),
        tensor(storage(count=-1)),
        tensor(storage(kind="collections\nOrderedDict")),
        tensor(b"(" + text("module") + b"NNNNtQ"),
        tensor(b"NQ"),
        tensor(b"P0\n"),
        storage(),  # a storage, a type, a class or a function as a value
        b"ctorch\nFloatStorage\n",
        b"ctorch.nn.parameter\nParameter\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch.nn.parameter\nParameter\n)\x81",
        b"ctorch.nn.parameter\nParameter\n" + number(3) + b"\x85\x81",
        # States set on stand-ins: a type, a storage, a tensor, a class, a function.
        b"ctorch\nFloatStorage\nN}" + text("kind") + text("ByteStorage") + b"s\x86b",
        storage() + b"N}" + text("count") + number(1 << 40) + b"s\x86b",
        tensor(storage()) + b"N}" + text("_shape") + numbers(1 << 40) + b"s\x86b",
        b"ctorch.nn.parameter\nParameter\n}" + text("a") + b"Nsb",
        b"ctorch._utils\n_rebuild_tensor_v2\nN}" + text("_function") + b"Ns\x86b",
    ],
)
def test_malicious_tensors_are_rejected(write, value):
    with pytest.raises(WeightsError, match=r"w\.pth' cannot be read as a pickle of arrays"):
        read_torch_file(write(state_dict(w=value)))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(
            ("os", "system"),
            ("builtins", "eval"),
            ("torch", "load"),
            ("torch", "UntypedStorage"),
            ("torch.hub", "load"),
        ),
        *(("torch._utils", "_rebuild_sparse_tensor"), ("torch.storage", "_load_from_bytes"), ("__main__", "Network")),
        *(("torch", "FloatStorage.from_buffer"), ("torch.nn.parameter", "Parameter.__init__"), ("torch._utils", "sys")),
    ],
)
def test_error_names_other_references(write, module, name):
    call = f"c{module}\n{name}\n(".encode() + text("echo executed > EXECUTED") + b"tR"
    with pytest.raises(WeightsError, match=rf"w\.pth' refers to {module}\.{name}, .*Nothing was executed"):
        read_torch_file(write(state_dict(w=tensor(storage()), x=call)))


def test_nested_calls_execute_nothing(tmp_path, monkeypatch):
    """Hide calls in layer versions, a key, a reference, and the headers and key list of the legacy format."""
    monkeypatch.chdir(tmp_path)
    call = b"cposix\nsystem\n" + text("echo executed > EXECUTED") + b"\x85R"
    whole = state_dict(w=tensor(storage()))[:-1]
    path = tmp_path / "w.pth"
    contents = [
        whole + call + b"b.",
        whole + call + b"Ns.",
        whole + text("x") + tensor(b"(" + call + b"NNNNtQ") + b"s.",
    ]
    for content in contents:
        for write in (write_zip, write_stream):
            with pytest.raises(WeightsError, match=r"refers to posix\.system"):
                read_torch_file(write(path, content))

    class Calls:
        def __reduce__(self):
            import os

            return os.system, ("echo executed > EXECUTED",)

    for changed in ({"magic": Calls()}, {"version": Calls()}, {"keys": [Calls()]}):
        with pytest.raises(WeightsError, match=r"refers to (posix|nt)\.system"):
            read_torch_file(write_stream(path, whole + b".", **changed))
    assert [each.name for each in tmp_path.iterdir()] == ["w.pth"]


NESTED = text("state_dict") + state_dict(w=tensor(storage()))[2:-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02}" + NESTED + b"s.", "no tensors .* 'state_dict'"),
        (state_dict(param_groups=b"]" + tensor(storage()) + b"a"), "no tensors .* 'param_groups'"),
        (b"\x80\x02" + tensor(storage()) + b".", "found ndarray"),
        (b"\x80\x02]" + tensor(storage()) + b"a.", "found list"),
        (b"\x80\x02}K\x01" + tensor(storage()) + b"s.", "expected a state dict"),
    ],
)
def test_error_describes_other_content(write, content, message):
    with pytest.raises(WeightsError, match=rf"w\.pth' .*{message}"):
        read_torch_file(write(content))


PLAIN = state_dict(w=tensor(storage()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"compression": zipfile.ZIP_DEFLATED}, "entry data.pkl is compressed"),
        ({"storages": {}}, "data/0"),
        ({"storages": {"0": SIX.tobytes()[:-1]}}, "entry data/0 has 23 bytes, expected 24"),
        ({"storages": {"0": SIX.tobytes() + b"0"}}, "entry data/0 has 25 bytes, expected 24"),
        ({"byteorder": b"middle"}, "middle"),
        ({"top": "../../../tmp/", "storages": {}}, "data/0"),
        ({"code/data.pkl": b"N."}, "one entry data.pkl"),
        ({"constants.pkl": b"N."}, "TorchScript"),
    ],
)
def test_invalid_zips_are_rejected(tmp_path, arguments, message):
    with pytest.raises(WeightsError, match=rf"w\.pth' .*{message}"):
        read_torch_file(write_zip(tmp_path / "w.pth", PLAIN, **arguments))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_zip_entries_are_rejected(tmp_path):
    path = write_zip(tmp_path / "w.pth", PLAIN)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", bytes(24))
    with pytest.raises(WeightsError, match="each name once"):
        read_torch_file(path)


def test_zip_that_declares_more_than_it_contains_is_rejected(tmp_path):
    """Test a compressed storage of 100 MB, a wrong size in the directory, many entries with the same bytes."""
    path = tmp_path / "w.pth"
    content = state_dict(w=tensor(storage(count=25_000_000), (25_000_000,)))
    write_zip(path, content, {"0": bytes(100_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(WeightsError, match="compressed"):
        read_torch_file(path)

    small = write_zip(path, PLAIN).read_bytes()
    claimed = struct.pack("<II", 24, 24)  # compressed and plain size, in the header and in the directory
    assert small.count(claimed) == 2
    path.write_bytes(small.replace(claimed, struct.pack("<II", 1 << 30, 1 << 30)))
    with pytest.raises(WeightsError, match=r"larger than the file|cannot be read"):
        read_torch_file(path)

    with zipfile.ZipFile(path, "w") as archive:
        entries = {f"w{i}": tensor(storage(str(i), 25_000), (25_000,)) for i in range(1000)}
        archive.writestr("archive/data.pkl", state_dict(**entries))
        archive.writestr("archive/data/0", bytes(100_000))
        first = archive.getinfo("archive/data/0")
        for i in range(1, 1000):
            other = zipfile.ZipInfo(f"archive/data/{i}")
            other.header_offset, other.CRC = first.header_offset, first.CRC
            other.file_size = other.compress_size = first.file_size
            archive.filelist.append(other)
            archive.NameToInfo[other.filename] = other
    assert path.stat().st_size < 1_000_000
    with pytest.raises(WeightsError, match="larger than the file"):
        read_torch_file(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"magic": 3}, "magic number"),
        ({"magic": {"w": np.ones(3)}}, "magic number"),
        ({"magic": np.ones(3)}, "magic number"),
        ({"version": 1002}, "protocol version 1002, expected 1001"),
        ({"keys": []}, "list of storages"),
        ({"keys": ["0", "0"]}, "list of storages"),
        ({"keys": ["0", 1]}, "list of storages"),
        ({"keys": 7}, "list of storages"),
        ({"storages": {"0": (6, SIX.tobytes()[:-1])}}, "storage '0' of 6 numbers is truncated"),
        ({"storages": {"0": (5, SIX.tobytes())}}, "declares 5"),
        ({"storages": {"0": (-6, SIX.tobytes())}}, "declares -6"),
    ],
)
def test_invalid_streams_are_rejected(tmp_path, arguments, message):
    with pytest.raises(WeightsError, match=rf"w\.pth' .*{message}"):
        read_torch_file(write_stream(tmp_path / "w.pth", PLAIN, **arguments))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x03\x04" + bytes(100), b"words", b"\x80\x02", bytes(600)])
def test_foreign_and_missing_files_are_reported(tmp_path, content):
    path = tmp_path / "w.pth"
    with pytest.raises(WeightsError, match=r"w\.pth' cannot be read: No such file"):
        read_torch_file(path)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.pth' (is empty|cannot be read)"):
        read_torch_file(path)


def test_numpy_archive_is_rejected(tmp_path):
    with open(tmp_path / "w.pth", "wb") as stream:
        np.savez(stream, w=np.ones(3))
    with pytest.raises(WeightsError, match=r"one entry data\.pkl"):
        read_torch_file(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_every_truncation_and_any_changed_byte(write, tmp_path):
    """Truncation is always detected; a changed byte returns arrays or raises a clear error."""
    path = tmp_path / "w.pth"
    whole = write(state_dict(a=tensor(storage(), (2, 3), (3, 1)), height=number(192))).read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(WeightsError):
            read_torch_file(path)
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for position in random.integers(len(whole), size=random.integers(1, 4)):
            damaged[position] = random.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(WeightsError):
            file = read_torch_file(path)
            assert all(isinstance(array, np.ndarray) for array in file.arrays.values())
