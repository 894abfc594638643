"""Read PyTorch's ``.pth`` files, zip and legacy stream format, without PyTorch and without executing content.

Both formats contain a pickle in which a tensor is a view (offset, shape, strides) of a storage. A storage is a
contiguous block of numbers in another part of the file: an entry of the zip, or after the pickle. Format: PyTorch's
``torch/serialization.py``.
"""

import io
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from common.errors import WeightsError
from common.text_files import abbreviate
from serialization.opening import ZIP_START, open_weights, report_damage, widen_bfloat16
from serialization.safe_pickle import ArrayUnpickler
from serialization.stand_ins import ARRAY_NAMES, Admitted, ArrayStandIn, StandIn, checked_count, checked_items

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
_BYTE_ORDERS = {b"little": "<", b"big": ">"}
_BFLOAT16 = "BFloat16Storage"
# Storage type -> NumPy type.
_TYPES = {
    **{"DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", _BFLOAT16: "u2"},
    **{"LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1"},
    **{"BoolStorage": "?", "ComplexFloatStorage": "c8", "ComplexDoubleStorage": "c16"},
}


@dataclass(frozen=True)
class TorchFile:
    """Content of a state dict, without renaming."""

    arrays: dict[str, np.ndarray]
    """Tensors and parameters; bfloat16 is converted to float32, which is exact."""
    others: dict[str, Any]
    """All other entries, such as ``height``, ``width`` and ``use_stereo`` of the original implementation."""


def read_torch_file(path: Path) -> TorchFile:
    """Read a state dict written by ``torch.save``, in either format.

    Raises:
        WeightsError: the file is missing, empty, truncated, in another format, refers to anything but numeric tensors,
            or is not a state dict at its top level.
    """
    with open_weights(path, "a PyTorch weight file", own_start=ZIP_START) as stream:
        is_zip = stream.read(2) == b"PK"
        stream.seek(0)
        content = _read_zip(stream, path) if is_zip else _read_stream(stream, path)
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise WeightsError(
            f"'{path}' is not a weight file: expected a state dict from names to tensors, "
            f"found {type(content).__name__}."
        )
    content = _without_wrapper(content)
    arrays = {name: value for name, value in content.items() if isinstance(value, np.ndarray)}
    others = {name: value for name, value in content.items() if name not in arrays}
    containers = [name for name, value in others.items() if isinstance(value, (dict, list, tuple))]
    if containers and not arrays:
        raise WeightsError(
            f"'{path}' contains no tensors at its top level, but {', '.join(map(abbreviate, containers[:8]))}: "
            "a training checkpoint or an optimizer's state. Save the network's state dict only."
        )
    return TorchFile(arrays, others)


def _without_wrapper(content: dict[str, Any]) -> dict[str, Any]:
    """Return the state dict that files of ImageNet training hold under "model"; other contents unchanged."""
    inner = content.get("model")
    holds_arrays = isinstance(inner, dict) and any(isinstance(value, np.ndarray) for value in inner.values())
    is_wrapped = holds_arrays and not any(isinstance(value, np.ndarray) for value in content.values())
    return inner if is_wrapped and all(isinstance(name, str) for name in inner) else content


@dataclass
class _Storage:
    """Contiguous block of numbers; its bytes are read after the pickle."""

    kind: str
    count: int
    order: str = "<"
    raw: bytes = b""

    @property
    def dtype(self) -> np.dtype:
        """NumPy type of the numbers; uint16 for bfloat16."""
        return np.dtype(_TYPES[self.kind]).newbyteorder(self.order)

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return self.count * self.dtype.itemsize


class _StorageType(StandIn):
    """Stand-in for a storage class such as ``torch.FloatStorage``."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Span(StandIn):
    """Stand-in for a storage or a part of one."""

    __slots__ = ("count", "start", "storage")

    def __init__(self, storage: _Storage, start: int, count: int) -> None:
        self.storage = storage
        self.start = start
        self.count = count


class _Tensor(ArrayStandIn):
    """Stand-in for the result of ``_rebuild_tensor`` and ``_rebuild_tensor_v2``; gradients and hooks are ignored."""

    __slots__ = ("_shape", "_span", "_start", "_strides", "nbytes")

    def __init__(self, span: _Span, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> None:
        if not isinstance(span, _Span) or not _are_counts(offset, *shape, *strides) or len(shape) != len(strides):
            raise pickle.UnpicklingError("it has a tensor that is not a view of a storage")
        count = checked_count(shape)
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if count and last >= span.count:
            raise pickle.UnpicklingError(
                f"it has a tensor of shape {abbreviate(shape)} in a storage of {span.count} numbers"
            )
        # bfloat16 becomes float32.
        self.nbytes = count * span.storage.dtype.itemsize * (2 if span.storage.kind == _BFLOAT16 else 1)
        self._span = span
        self._start = span.start + offset
        self._shape = shape
        self._strides = strides

    @property
    def values(self) -> np.ndarray:
        """The array; a view of the storage unless type or byte order require a conversion."""
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
    """Stand-in for ``_rebuild_parameter``, and for ``Parameter``, which PyTorch before 0.4 pickled directly."""

    __slots__ = ("_tensor",)

    def __new__(cls, tensor: object, *_: object) -> "_Parameter":
        parameter = super().__new__(cls)
        parameter._tensor = tensor
        return parameter

    def __setstate__(self, state: object) -> None:
        """Ignore the state, which is ``requires_grad``."""

    @property
    def nbytes(self) -> int:
        """Size of ``values`` in bytes."""
        return self._tensor.nbytes if isinstance(self._tensor, _Tensor) else 0

    @property
    def values(self) -> np.ndarray | None:
        """The array; None if the parameter was not created from a tensor."""
        return self._tensor.values if isinstance(self._tensor, _Tensor) else None


class _StateDict(dict):
    """Stand-in for ``OrderedDict``; ignores the layer versions of a state dict (``_metadata``)."""

    def __setstate__(self, state: object) -> None:
        pass


_TORCH_NAMES = {
    **ARRAY_NAMES,
    **{("torch", kind): _StorageType(kind) for kind in _TYPES},
    ("collections", "OrderedDict"): Admitted(lambda pairs=(): _StateDict(checked_items(pairs))),
    ("torch._utils", "_rebuild_tensor"): Admitted(_Tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Admitted(_Tensor),
    ("torch._utils", "_rebuild_parameter"): Admitted(_Parameter),
    # The class itself, which the pickle makes an object of without calling it.
    ("torch.nn.parameter", "Parameter"): _Parameter,
}


def _are_counts(*values: object) -> bool:
    return all(type(value) is int and 0 <= value < 1 << 62 for value in values)


class _TorchUnpickler(ArrayUnpickler):
    """Unpickler for a state dict that also reads its storages.

    Args:
        stream, source: see ``ArrayUnpickler``.
        file_size: bytes of the file, an upper bound for the total size of the storages.
        fill: reads the data of the storages, key -> storage.
    """

    admitted = _TORCH_NAMES

    def __init__(
        self, stream: BinaryIO, source: Path, file_size: int, fill: Callable[[Mapping[str, _Storage]], None]
    ) -> None:
        super().__init__(stream, source, file_size)
        self._unclaimed = file_size
        self._fill = fill
        self._storages: dict[str, _Storage] = {}

    def persistent_load(self, reference: object) -> _Span:
        """Resolve a storage reference: ("storage", type, key, device, count), optionally with a part of the storage."""
        if not isinstance(reference, tuple) or len(reference) not in (5, 6):
            raise pickle.UnpicklingError("it has a reference that is not a storage")
        word, kind, key, _, count, *part = reference
        if word != "storage" or not (isinstance(kind, _StorageType) and isinstance(key, str) and _are_counts(count)):
            raise pickle.UnpicklingError("it has a reference that is not a storage")
        if key not in self._storages:
            self._storages[key] = _Storage(kind.kind, count)
            self._unclaimed -= self._storages[key].nbytes
        storage = self._storages[key]
        if (storage.kind, storage.count) != (kind.kind, count):
            raise pickle.UnpicklingError(f"it has two descriptions of the storage {abbreviate(key)}")
        if self._unclaimed < 0:
            raise pickle.UnpicklingError("its storages are larger than the file")
        _, start, size = part[0] if part and part[0] is not None else (None, 0, count)
        if not _are_counts(start, size) or start + size > count:
            raise pickle.UnpicklingError(f"it has a part outside the storage {abbreviate(key)} of {count} numbers")
        return _Span(storage, start, size)

    def _load_stand_ins(self) -> object:
        content = super()._load_stand_ins()
        self._fill(self._storages)
        return content


def _read_zip(stream: BinaryIO, path: Path) -> object:
    """Read the zip format: ``TOP/data.pkl``, ``TOP/data/KEY`` per storage, ``TOP/byteorder``, all uncompressed."""
    with report_damage(path, "PyTorch's zip format"), zipfile.ZipFile(stream) as archive:
        return _read_archive(archive, path, os.fstat(stream.fileno()).st_size)


def _read_archive(archive: zipfile.ZipFile, path: Path, file_size: int) -> object:
    names = archive.namelist()
    pickles = [name for name in names if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1 or len(set(names)) != len(names):
        raise zipfile.BadZipFile("expected one entry data.pkl, and each name once")
    top = pickles[0].removesuffix("data.pkl")
    if f"{top}constants.pkl" in names:
        raise WeightsError(f"'{path}' is a TorchScript program, not weights. Save the network's state dict instead.")

    def read(name: str) -> bytes:
        """Read the entry TOP/name. PyTorch compresses none, so that no file may expand in memory."""
        info = archive.getinfo(f"{top}{name}")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > file_size:
            raise zipfile.BadZipFile(f"entry {name} is compressed or larger than the file")
        return archive.read(info)

    order = _BYTE_ORDERS[read("byteorder")] if f"{top}byteorder" in names else "<"

    def fill(storages: Mapping[str, _Storage]) -> None:
        """Read each storage from its entry, in the byte order of the archive."""
        for key, storage in storages.items():
            storage.order = order
            storage.raw = read(f"data/{key}")
            if len(storage.raw) != storage.nbytes:
                raise zipfile.BadZipFile(f"entry data/{key} has {len(storage.raw)} bytes, expected {storage.nbytes}")

    return _TorchUnpickler(io.BytesIO(read("data.pkl")), path, file_size, fill).load()


def _read_stream(stream: BinaryIO, path: Path) -> object:
    """Read the legacy format: magic number, version, type sizes, the pickle, the storage keys, the storages."""
    size = os.fstat(stream.fileno()).st_size
    magic = ArrayUnpickler(stream, path, size).load()
    if not isinstance(magic, int) or magic != _MAGIC_NUMBER:
        raise WeightsError(
            f"'{path}' is not a PyTorch weight file: it is neither a zip archive nor has it PyTorch's magic number."
        )
    version = ArrayUnpickler(stream, path, size).load()
    if not isinstance(version, int) or version != _PROTOCOL_VERSION:
        raise WeightsError(f"'{path}' has protocol version {abbreviate(version)}, expected {_PROTOCOL_VERSION}.")
    # Skip the type sizes of the writer's machine: storages do not depend on them.
    ArrayUnpickler(stream, path, size).load()

    def fill(storages: Mapping[str, _Storage]) -> None:
        """Read the storages that follow the pickle: their keys, then for each its count and numbers."""
        keys = ArrayUnpickler(stream, path, size).load()
        are_keys = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        if not are_keys or sorted(keys) != sorted(storages):
            raise pickle.UnpicklingError("its list of storages differs from the storages of the tensors")
        for key in keys:
            storage = storages[key]
            count = int.from_bytes(stream.read(8), "little", signed=True)
            storage.raw = stream.read(storage.nbytes)
            if count != storage.count or len(storage.raw) != storage.nbytes:
                raise EOFError(f"storage {abbreviate(key)} of {storage.count} numbers is truncated or declares {count}")

    return _TorchUnpickler(stream, path, size, fill).load()
