"""Reads pickles that hold NumPy arrays and plain values alone, and runs nothing that a file asks for.

A pickle may name any function of any module and have it called. Here a name is looked up in a table of the
few that array files need, and even those are stand-ins: neither NumPy's nor Python's own objects are within
the file's reach, because NumPy's own ``__setstate__`` can be talked into using bytes of the file as
addresses.
"""

import math
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from common.errors import UserError, WeightsError
from serialization.opening import report_damage

_PLAIN_TYPES = (type(None), bool, int, float, str, bytes, np.generic)
_MEMO_OPCODES = {"PUT", "BINPUT", "LONG_BINPUT"}
# Booleans, integers, floating-point and complex numbers, and arrays of objects; sizes in bytes.
_DTYPE_CODE = re.compile(r"\?|b1|[iu][1248]|f(2|4|8|16)|c(8|16|32)|O[48]?")
# Stands in for the class ``numpy.ndarray``, which array pickles name and never call.
_NDARRAY = object()


class StandIn:
    """What a pickle gets instead of a real object; it cannot set attributes of it."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a change to what the file was given")


class _Dtype(StandIn):
    """Stands in for ``numpy.dtype``: numbers of one kind, or objects."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not _DTYPE_CODE.fullmatch(code):
            raise pickle.UnpicklingError(f"an array of dtype {code!r}; numbers were expected")
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple) -> None:
        _, order, *structure = state
        if order not in ("<", ">", "=", "|") or any(part is not None for part in structure[:3]):
            raise pickle.UnpicklingError("an array of a structured dtype; numbers were expected")
        self.order = order

    @property
    def holds_objects(self) -> bool:
        """Whether the elements are pickled values, not numbers."""
        return self.code.startswith("O")

    def to_numpy(self) -> np.dtype:
        """NumPy's own type; raises UnpicklingError for objects."""
        if self.holds_objects:
            raise pickle.UnpicklingError("raw bytes for an array of objects")
        return np.dtype(self.code).newbyteorder(self.order)


class ArrayStandIn(StandIn):
    """Stands in for an array while a pickle is read; ``values`` is the array, once it is known."""

    __slots__ = ()
    values: np.ndarray | None


class _Array(ArrayStandIn):
    """Stands in for ``numpy.ndarray``."""

    __slots__ = ("values",)

    def __init__(self, values: np.ndarray | None = None) -> None:
        self.values = values

    def __setstate__(self, state: tuple) -> None:
        shape, dtype, is_fortran, data = state[-4:]
        if dtype.holds_objects:
            self.values = _object_array(data, shape, is_fortran)
        else:
            self.values = _number_array(data, dtype, shape, "F" if is_fortran else "C")


def _checked_count(shape: object) -> int:
    """Number of elements of ``shape``."""
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise pickle.UnpicklingError(f"an array of shape {shape!r}")
    return math.prod(shape)


def _number_array(data: object, dtype: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    """The array over ``data`` without a copy: bytes, or text as Python 2 wrote bytes."""
    raw = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(raw, (bytes, bytearray)):
        raise pickle.UnpicklingError(f"an array made of a {type(raw).__name__}")
    numpy_dtype = dtype.to_numpy()
    if len(raw) != _checked_count(shape) * numpy_dtype.itemsize:
        raise pickle.UnpicklingError(f"{len(raw)} bytes for an array of shape {shape} and dtype {numpy_dtype}")
    return np.ndarray(shape, numpy_dtype, buffer=raw, order=order)


def _object_array(data: object, shape: tuple[int, ...], is_fortran: object) -> np.ndarray:
    if not isinstance(data, list) or len(data) != _checked_count(shape):
        raise pickle.UnpicklingError(f"an array of objects of shape {shape} without a list of as many")
    values = np.empty(len(data), dtype=object)
    for i, element in enumerate(data):
        values[i] = element
    return values.reshape(shape, order="F" if is_fortran else "C")


def _reconstruct(subtype: object, *_: object) -> _Array:
    """Stands in for NumPy's ``_reconstruct``: an array whose shape and data follow."""
    if subtype is not _NDARRAY:
        raise pickle.UnpicklingError("an array of a type other than numpy.ndarray")
    return _Array()


def _frombuffer(
    data: object, dtype: _Dtype, shape: tuple[int, ...], order: str, axes: tuple[int, ...] | None = None
) -> _Array:
    """Stands in for NumPy's ``_frombuffer`` (pickle protocol 5); "K" is C order with the axes permuted."""
    array = _number_array(data, dtype, shape, "F" if order == "F" else "C")
    return _Array(array if axes is None else array.transpose(axes))


def _scalar(dtype: _Dtype, data: object) -> np.generic:
    return _number_array(data, dtype, (), "C")[()]


def _encode(text: str, encoding: str) -> bytes:
    """Stands in for ``_codecs.encode``, by which protocol 2 writes bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in the encoding {encoding!r}")
    return text.encode("latin1")


class Admitted(StandIn):
    """A callable that a pickle may name; unlike a plain function, the pickle cannot set attributes of it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *args: object) -> object:
        return self._function(*args)


# (module, name) -> its stand-in: all that arrays need in files of NumPy 1 and 2.
ARRAY_NAMES: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Admitted(_Dtype),
    ("_codecs", "encode"): Admitted(_encode),
    ("collections", "OrderedDict"): Admitted(dict),
}
for _core in ("numpy.core", "numpy._core"):
    ARRAY_NAMES[f"{_core}.multiarray", "_reconstruct"] = Admitted(_reconstruct)
    ARRAY_NAMES[f"{_core}.multiarray", "scalar"] = Admitted(_scalar)
    ARRAY_NAMES[f"{_core}.numeric", "_frombuffer"] = Admitted(_frombuffer)


class _PlainValues:
    """Turns what was unpickled into arrays and plain values; refuses all else, and what holds itself."""

    _OPEN = object()

    def __init__(self) -> None:
        # By identity, so that a container is converted once however often the pickle refers to it.
        self._converted: dict[int, Any] = {}

    def convert(self, value: object) -> object:
        """The value, its containers and arrays rebuilt; raises UnpicklingError for anything else."""
        if isinstance(value, _PLAIN_TYPES):
            return value
        if id(value) not in self._converted:
            self._converted[id(value)] = self._OPEN
            self._converted[id(value)] = self._convert_container(value)
        if self._converted[id(value)] is self._OPEN:
            raise pickle.UnpicklingError("a container that holds itself")
        return self._converted[id(value)]

    def _convert_container(self, value: object) -> object:
        if isinstance(value, dict):
            return {self._checked_key(key): self.convert(element) for key, element in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.convert(element) for element in value)
        array = value.values if isinstance(value, ArrayStandIn) else None
        if array is not None:
            if array.dtype.hasobject:
                for index, element in np.ndenumerate(array):
                    array[index] = self.convert(element)
            return array
        raise pickle.UnpicklingError(f"a {type(value).__name__.lstrip('_').lower()} where a value was expected")

    @staticmethod
    def _checked_key(key: object) -> str | int:
        if not isinstance(key, (str, int)):
            raise pickle.UnpicklingError(f"a {type(key).__name__} as a name")
        return key


class ArrayUnpickler(pickle.Unpickler):
    """Reads one pickle of arrays and plain values; whatever else it asks for is refused by name.

    Args:
        stream: seekable, open for reading bytes.
        source: the file, for messages.
        error: what is raised when the pickle is refused or damaged.
    """

    # A reader of another pickled format extends this table in a subclass.
    admitted: ClassVar[Mapping[tuple[str, str], object]] = ARRAY_NAMES

    def __init__(self, stream: BinaryIO, source: Path, error: type[UserError] = WeightsError) -> None:
        # Bytes that Python 2 wrote as text come back unchanged through Latin-1.
        super().__init__(stream, encoding="latin1")
        self._stream = stream
        self._source = source
        self._error = error

    def find_class(self, module: str, name: str) -> object:
        """The stand-in of ``module.name``; called by the pickle for every name that it uses."""
        if (module, name) not in self.admitted:
            # Escaped, so that a file cannot write control characters to the terminal.
            asked_for = f"{module}.{name}".encode("unicode_escape").decode()[:200]
            raise self._error(
                f"{self._source} asks for {asked_for}: refused; nothing of it was run. "
                "Only arrays of numbers are read. Take the file from a source you trust."
            )
        return self.admitted[module, name]

    def load(self) -> Any:
        """The pickle's content: None, numbers, text, bytes, lists, tuples, dicts and arrays (read-only).

        Raises:
            UserError: of the class given; the pickle is refused, cut off, damaged, or no pickle at all.
        """
        with report_damage(self._source, "a pickle of arrays", self._error):
            return _PlainValues().convert(self._load_stand_ins())

    def _load_stand_ins(self) -> object:
        """The content with stand-ins for arrays; a reader whose arrays lie elsewhere in the file fetches them here."""
        self._check_memo()
        return super().load()

    def _check_memo(self) -> None:
        """Refuses a far index into the unpickler's memory, which would be allocated up to there."""
        start = self._stream.tell()
        for opcode, argument, position in pickletools.genops(self._stream):
            if opcode.name in _MEMO_OPCODES and argument > position:
                raise pickle.UnpicklingError(f"a reference to entry {argument} at byte {position}")
        self._stream.seek(start)
