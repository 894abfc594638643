"""Write PyTorch files by hand, with the pickle opcodes that PyTorch uses; each opcode's bytes are written literally."""

import pickle
import struct
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
SIX = np.arange(6, dtype="<f4")
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key="0", count=6, kind="torch\nFloatStorage", part=b"") -> bytes:
    """Build a reference to a storage; ``part`` is the last element, used by the legacy format only."""
    return (
        b"(" + text("storage") + b"c" + kind.encode() + b"\n" + text(key) + text("cpu") + number(count) + part + b"tQ"
    )


def tensor(base: bytes, shape=(6,), strides=(1,), offset=0, function="_rebuild_tensor_v2") -> bytes:
    gradient_and_hooks = b"\x89" + ORDERED_DICT if function == "_rebuild_tensor_v2" else b""
    view = number(offset) + numbers(*shape) + numbers(*strides) + gradient_and_hooks
    return f"ctorch._utils\n{function}\n(".encode() + base + view + b"tR"


def state_dict(**entries: bytes) -> bytes:
    items = b"".join(text(name) + value for name, value in entries.items())
    return b"\x80\x02" + ORDERED_DICT + b"(" + items + b"u."


def write_zip(path, content, storages=None, top="archive/", compression=zipfile.ZIP_STORED, **others):
    """Write PyTorch's zip format; ``others`` are additional entries."""
    storages = {"0": SIX.tobytes()} if storages is None else storages
    entries = {"data.pkl": content, **{f"data/{key}": raw for key, raw in storages.items()}, **others}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, raw in entries.items():
            archive.writestr(f"{top}{name}", raw)
    return path


def write_stream(path, content, storages=None, keys=None, magic=MAGIC, version=1001):
    """Write the legacy stream format; ``storages`` are pairs of count and bytes."""
    storages = {"0": (6, SIX.tobytes())} if storages is None else storages
    types = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    heads = b"".join(pickle.dumps(value, 2) for value in (magic, version, types))
    tail = pickle.dumps(list(storages) if keys is None else keys, 2)
    tail += b"".join(struct.pack("<q", count) + raw for count, raw in storages.values())
    path.write_bytes(heads + content + tail)
    return path


def write_state_dict(path, arrays, **others):
    """Write arrays as a PyTorch file, one storage per tensor; ``others`` are pickled further entries."""
    entries, storages = {}, {}
    for name, array in arrays.items():
        array = np.ascontiguousarray(array).reshape(array.shape)
        kind = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage"}[array.dtype.str[1:]]
        strides = [stride // array.itemsize for stride in array.strides]
        entries[name] = tensor(storage(name, array.size, f"torch\n{kind}"), array.shape, strides)
        storages[name] = array.tobytes()
    return write_zip(path, state_dict(**entries, **others), storages)
