"""PyTorch's ``.pth`` files, the zip and the older stream, read without PyTorch and without running anything.

Both hold a pickle in which a tensor is a view (offset, shape, strides) of a storage, a run of numbers that lies
elsewhere in the file: as an entry of the zip, or after the pickle. Format: PyTorch's ``torch/serialization.py``.
"""

import io
import math
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from common.errors import WeightsError
from serialization.opening import ZIP_START, open_weights, report_damage, widen_bfloat16
from serialization.safe_pickle import ARRAY_NAMES, Admitted, ArrayStandIn, ArrayUnpickler, StandIn

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
_BYTE_ORDERS = {b"little": "<", b"big": ">"}
# What a view may repeat its storage to, in numbers: more would be a trap for whoever copies it.
_LARGEST_REPEATED = 1 << 26
_BFLOAT16 = "BFloat16Storage"
# Type of storage -> NumPy's type of its numbers.
_TYPES = {
    **{"DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", _BFLOAT16: "u2"},
    **{"LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1"},
    **{"BoolStorage": "?", "ComplexFloatStorage": "c8", "ComplexDoubleStorage": "c16"},
}


@dataclass(frozen=True)
class TorchFile:
    """What a state dict holds, under its own names."""

    arrays: dict[str, np.ndarray]
    """Tensors and parameters; bfloat16 as float32, which is exact."""
    others: dict[str, Any]
    """What stands beside them: the ``height``, ``width`` and ``use_stereo`` of the original implementation."""


def read_torch_file(path: Path) -> TorchFile:
    """A state dict as ``torch.save`` wrote it, in either format.

    Raises:
        WeightsError: the file is missing, empty, cut off, of another format, asks for more than tensors of numbers, or
            holds no state dict at its top.
    """
    with open_weights(path, "a PyTorch weight file", own_start=ZIP_START) as stream:
        is_zip = stream.read(2) == b"PK"
        stream.seek(0)
        content = _read_zip(stream, path) if is_zip else _read_stream(stream, path)
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise WeightsError(
            f"{path} is no file of weights: a state dict from names to tensors was expected, "
            f"what it holds is of type {type(content).__name__}."
        )
    arrays = {name: value for name, value in content.items() if isinstance(value, np.ndarray)}
    others = {name: value for name, value in content.items() if name not in arrays}
    containers = [name for name, value in others.items() if isinstance(value, (dict, list, tuple))]
    if containers and not arrays:
        raise WeightsError(
            f"{path} holds no tensors at its top, but {', '.join(map(repr, containers))}: it is a whole training "
            "checkpoint or an optimizer's state. Save the state dict of the network alone."
        )
    return TorchFile(arrays, others)


@dataclass
class _Storage:
    """A run of numbers; which ones is known once the pickle has been read."""

    kind: str
    count: int
    order: str = "<"
    raw: bytes = b""

    @property
    def dtype(self) -> np.dtype:
        """NumPy's type of the numbers; those of bfloat16 count as uint16."""
        return np.dtype(_TYPES[self.kind]).newbyteorder(self.order)

    @property
    def nbytes(self) -> int:
        """Its size in the file."""
        return self.count * self.dtype.itemsize


class _StorageType(StandIn):
    """Stands in for ``torch.FloatStorage`` and its like."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Span(StandIn):
    """Stands in for a storage: all of one, or some of its numbers."""

    __slots__ = ("count", "start", "storage")

    def __init__(self, storage: _Storage, start: int, count: int) -> None:
        self.storage = storage
        self.start = start
        self.count = count


class _Tensor(ArrayStandIn):
    """Stands in for what ``_rebuild_tensor`` and ``_rebuild_tensor_v2`` make; gradients and hooks are passed over."""

    __slots__ = ("_shape", "_span", "_start", "_strides")

    def __init__(self, span: _Span, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> None:
        if not isinstance(span, _Span) or not _are_counts(offset, *shape, *strides) or len(shape) != len(strides):
            raise pickle.UnpicklingError("a tensor that is no view of a storage")
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        is_within = 0 in shape or last < span.count
        if not is_within or math.prod(shape) > max(span.count, _LARGEST_REPEATED):
            raise pickle.UnpicklingError(f"a tensor of shape {shape} over a storage of {span.count} numbers")
        self._span = span
        self._start = span.start + offset
        self._shape = shape
        self._strides = strides

    @property
    def values(self) -> np.ndarray:
        """The array: a view of the storage where its type and byte order are NumPy's own."""
        storage, dtype = self._span.storage, self._span.storage.dtype
        if 0 in self._shape:
            array = np.empty(self._shape, dtype)
        else:
            start, strides = self._start * dtype.itemsize, [stride * dtype.itemsize for stride in self._strides]
            array = np.ndarray(self._shape, dtype, buffer=storage.raw, offset=start, strides=strides)
        if storage.kind == _BFLOAT16:
            return widen_bfloat16(array)
        return array.astype(dtype.newbyteorder("="), copy=False)


class _Parameter(ArrayStandIn):
    """Stands in for ``_rebuild_parameter``, and for ``Parameter`` itself, by which PyTorch before 0.4 wrote them."""

    __slots__ = ("_tensor",)

    def __new__(cls, tensor: object, *_: object) -> "_Parameter":
        parameter = super().__new__(cls)
        parameter._tensor = tensor
        return parameter

    def __setstate__(self, state: object) -> None:
        """Whether it wants a gradient: not needed."""

    @property
    def values(self) -> np.ndarray | None:
        """The array; None where the parameter was made of anything but a tensor."""
        return self._tensor.values if isinstance(self._tensor, _Tensor) else None


class _StateDict(dict):
    """Stands in for ``OrderedDict``; state dicts carry the versions of their layers (``_metadata``): not needed."""

    def __setstate__(self, state: object) -> None:
        pass


_TORCH_NAMES = {
    **ARRAY_NAMES,
    **{("torch", kind): _StorageType(kind) for kind in _TYPES},
    ("collections", "OrderedDict"): Admitted(_StateDict),
    ("torch._utils", "_rebuild_tensor"): Admitted(_Tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Admitted(_Tensor),
    ("torch._utils", "_rebuild_parameter"): Admitted(_Parameter),
    # The class itself, which the pickle makes an object of without calling it.
    ("torch.nn.parameter", "Parameter"): _Parameter,
}


def _are_counts(*values: object) -> bool:
    return all(type(value) is int and value >= 0 for value in values)


class _TorchUnpickler(ArrayUnpickler):
    """Reads the pickle of a state dict, then its storages.

    Args:
        stream, source: as for ``ArrayUnpickler``.
        file_size: bytes in the whole file, which all its storages together cannot exceed.
        fill: reads the storages, given by their keys.
    """

    admitted = _TORCH_NAMES

    def __init__(
        self, stream: BinaryIO, source: Path, file_size: int, fill: Callable[[Mapping[str, _Storage]], None]
    ) -> None:
        super().__init__(stream, source)
        self._unclaimed = file_size
        self._fill = fill
        self._storages: dict[str, _Storage] = {}

    def persistent_load(self, reference: object) -> _Span:
        """The storage that the pickle refers to: ("storage", type, key, device, count), and perhaps the part of it."""
        word, kind, key, _, count, *part = reference
        if word != "storage" or not (isinstance(kind, _StorageType) and isinstance(key, str) and _are_counts(count)):
            raise pickle.UnpicklingError("a reference to something else than a storage")
        if key not in self._storages:
            self._storages[key] = _Storage(kind.kind, count)
            self._unclaimed -= self._storages[key].nbytes
        storage = self._storages[key]
        if (storage.kind, storage.count) != (kind.kind, count):
            raise pickle.UnpicklingError(f"two descriptions of the storage {key!r}")
        if self._unclaimed < 0:
            raise pickle.UnpicklingError("storages that are larger than the file")
        _, start, size = part[0] if part and part[0] is not None else (None, 0, count)
        if not _are_counts(start, size) or start + size > count:
            raise pickle.UnpicklingError(f"a part outside the storage {key!r} of {count} numbers")
        return _Span(storage, start, size)

    def _load_stand_ins(self) -> object:
        content = super()._load_stand_ins()
        self._fill(self._storages)
        return content


def _read_zip(stream: BinaryIO, path: Path) -> object:
    """The zip: ``TOP/data.pkl``, ``TOP/data/KEY`` for each storage, ``TOP/byteorder``; nothing is compressed."""
    with report_damage(path, "PyTorch's zip format"), zipfile.ZipFile(stream) as archive:
        return _read_archive(archive, path, os.fstat(stream.fileno()).st_size)


def _read_archive(archive: zipfile.ZipFile, path: Path, file_size: int) -> object:
    names = archive.namelist()
    pickles = [name for name in names if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1 or len(set(names)) != len(names):
        raise zipfile.BadZipFile("one entry data.pkl was expected, and each name once")
    top = pickles[0].removesuffix("data.pkl")
    if f"{top}constants.pkl" in names:
        raise WeightsError(f"{path} is a TorchScript program, not weights: save the network's state dict instead.")

    def read(name: str) -> bytes:
        info = archive.getinfo(f"{top}{name}")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > file_size:
            raise zipfile.BadZipFile(f"its entry {name} is compressed, or larger than the file")
        return archive.read(info)

    order = _BYTE_ORDERS[read("byteorder")] if f"{top}byteorder" in names else "<"

    def fill(storages: Mapping[str, _Storage]) -> None:
        for key, storage in storages.items():
            storage.order = order
            storage.raw = read(f"data/{key}")
            if len(storage.raw) != storage.nbytes:
                raise zipfile.BadZipFile(f"its entry data/{key} has {len(storage.raw)} bytes, not {storage.nbytes}")

    return _TorchUnpickler(io.BytesIO(read("data.pkl")), path, file_size, fill).load()


def _read_stream(stream: BinaryIO, path: Path) -> object:
    """The older stream: magic number, version, the writer's types, the pickle, keys of the storages, these."""
    magic = ArrayUnpickler(stream, path).load()
    if not isinstance(magic, int) or magic != _MAGIC_NUMBER:
        raise WeightsError(
            f"{path} is not a PyTorch weight file: it has neither the form of a zip nor the magic number."
        )
    version = ArrayUnpickler(stream, path).load()
    if not isinstance(version, int) or version != _PROTOCOL_VERSION:
        raise WeightsError(f"{path} is of the protocol version {version!r}; {_PROTOCOL_VERSION} was expected.")
    ArrayUnpickler(stream, path).load()  # sizes of types on the writer's machine: storages do not depend on them

    def fill(storages: Mapping[str, _Storage]) -> None:
        keys = ArrayUnpickler(stream, path).load()
        if not isinstance(keys, list) or sorted(keys) != sorted(storages):
            raise pickle.UnpicklingError("a list of other storages than the tensors have")
        for key in keys:
            storage = storages[key]
            count = int.from_bytes(stream.read(8), "little", signed=True)
            storage.raw = stream.read(storage.nbytes)
            if count != storage.count or len(storage.raw) != storage.nbytes:
                raise EOFError(f"the storage {key!r} of {storage.count} numbers is cut off or has {count}")

    return _TorchUnpickler(stream, path, os.fstat(stream.fileno()).st_size, fill).load()
