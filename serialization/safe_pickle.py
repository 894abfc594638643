"""Read pickles of NumPy arrays and plain values without executing code that the file refers to.

A pickle can import and call any function. This reader resolves names only in a table of the few that array files
need, and maps each one to a stand-in. The file never reaches NumPy's or Python's own objects: crafted input can make
NumPy's ``__setstate__`` use bytes of the file as memory addresses.
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
# Booleans, integers, floating-point and complex numbers, objects; sizes in bytes.
_DTYPE_CODE = re.compile(r"\?|b1|[iu][1248]|f(2|4|8|16)|c(8|16|32)|O[48]?")
# Stand-in for the class ``numpy.ndarray``, which array pickles refer to and never call.
_NDARRAY = object()


class StandIn:
    """Object that a pickle receives instead of a real one; the pickle cannot set its attributes."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it changes the state of a stand-in")


class _Dtype(StandIn):
    """Stand-in for ``numpy.dtype``: numbers of one kind, or objects."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not _DTYPE_CODE.fullmatch(code):
            raise pickle.UnpicklingError(f"it has an array of dtype {code!r}, expected numbers")
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple) -> None:
        _, order, *structure = state
        if order not in ("<", ">", "=", "|") or any(part is not None for part in structure[:3]):
            raise pickle.UnpicklingError("it has an array of a structured dtype, expected numbers")
        self.order = order

    @property
    def holds_objects(self) -> bool:
        """Whether the elements are pickled objects instead of numbers."""
        return self.code.startswith("O")

    def to_numpy(self) -> np.dtype:
        """Convert to NumPy's type.

        Raises:
            UnpicklingError: the elements are objects.
        """
        if self.holds_objects:
            raise pickle.UnpicklingError("it has raw bytes for an array of objects")
        return np.dtype(self.code).newbyteorder(self.order)


class ArrayStandIn(StandIn):
    """Stand-in for an array while a pickle is read; ``values`` is the array, None until its data is known."""

    __slots__ = ()
    values: np.ndarray | None


class _Array(ArrayStandIn):
    """Stand-in for ``numpy.ndarray``."""

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
    """Count the elements of ``shape`` after checking that it is a valid shape."""
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise pickle.UnpicklingError(f"it has an array of invalid shape {shape!r}")
    return math.prod(shape)


def _number_array(data: object, dtype: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    """Create an array that views ``data`` without a copy: bytes, or text, as which Python 2 pickled bytes."""
    raw = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(raw, (bytes, bytearray)):
        raise pickle.UnpicklingError(f"it has an array with data of type {type(raw).__name__}")
    numpy_dtype = dtype.to_numpy()
    if len(raw) != _checked_count(shape) * numpy_dtype.itemsize:
        raise pickle.UnpicklingError(f"it has {len(raw)} bytes for an array of shape {shape} and dtype {numpy_dtype}")
    return np.ndarray(shape, numpy_dtype, buffer=raw, order=order)


def _object_array(data: object, shape: tuple[int, ...], is_fortran: object) -> np.ndarray:
    if not isinstance(data, list) or len(data) != _checked_count(shape):
        raise pickle.UnpicklingError(f"it has an array of objects of shape {shape} without a list of that length")
    values = np.empty(len(data), dtype=object)
    for i, element in enumerate(data):
        values[i] = element
    return values.reshape(shape, order="F" if is_fortran else "C")


def _reconstruct(subtype: object, *_: object) -> _Array:
    """Stand-in for NumPy's ``_reconstruct``: create an array that receives shape and data later."""
    if subtype is not _NDARRAY:
        raise pickle.UnpicklingError("it has an array of a type other than numpy.ndarray")
    return _Array()


def _frombuffer(
    data: object, dtype: _Dtype, shape: tuple[int, ...], order: str, axes: tuple[int, ...] | None = None
) -> _Array:
    """Stand-in for NumPy's ``_frombuffer`` (pickle protocol 5); order "K" is C order with permuted axes."""
    array = _number_array(data, dtype, shape, "F" if order == "F" else "C")
    return _Array(array if axes is None else array.transpose(axes))


def _scalar(dtype: _Dtype, data: object) -> np.generic:
    return _number_array(data, dtype, (), "C")[()]


def _encode(text: str, encoding: str) -> bytes:
    """Stand-in for ``_codecs.encode``, which pickle protocol 2 uses for bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it has text in the encoding {encoding!r}")
    return text.encode("latin1")


class Admitted(StandIn):
    """A callable that a pickle may refer to; unlike on a plain function, the pickle cannot set attributes."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *args: object) -> object:
        return self._function(*args)


# (module, name) -> stand-in: every name that arrays of NumPy 1 and 2 refer to.
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
    """Converts unpickled stand-ins to arrays and plain values; rejects other types and recursive containers."""

    _OPEN = object()

    def __init__(self) -> None:
        # Keyed by identity: each container is converted once, however often the pickle refers to it.
        self._converted: dict[int, Any] = {}

    def convert(self, value: object) -> object:
        """Rebuild a value with its containers and arrays.

        Raises:
            UnpicklingError: the value has another type, or contains itself.
        """
        if isinstance(value, _PLAIN_TYPES):
            return value
        if id(value) not in self._converted:
            self._converted[id(value)] = self._OPEN
            self._converted[id(value)] = self._convert_container(value)
        if self._converted[id(value)] is self._OPEN:
            raise pickle.UnpicklingError("it has a container that contains itself")
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
        raise pickle.UnpicklingError(f"it has a {type(value).__name__.lstrip('_').lower()}, expected a value")

    @staticmethod
    def _checked_key(key: object) -> str | int:
        if not isinstance(key, (str, int)):
            raise pickle.UnpicklingError(f"it has a name of type {type(key).__name__}")
        return key


class ArrayUnpickler(pickle.Unpickler):
    """Unpickler for arrays and plain values that rejects every other name.

    Args:
        stream: a seekable binary stream.
        source: the file, for messages.
        error: exception class for unsafe or damaged pickles.
    """

    # Subclasses for other pickled formats extend this table.
    admitted: ClassVar[Mapping[tuple[str, str], object]] = ARRAY_NAMES

    def __init__(self, stream: BinaryIO, source: Path, error: type[UserError] = WeightsError) -> None:
        # Latin-1 preserves bytes that Python 2 pickled as text.
        super().__init__(stream, encoding="latin1")
        self._stream = stream
        self._source = source
        self._error = error

    def find_class(self, module: str, name: str) -> object:
        """Look up the stand-in of ``module.name``; the base class calls this for every name in the pickle."""
        if (module, name) not in self.admitted:
            # Escape control characters, which could manipulate the terminal.
            asked_for = f"{module}.{name}".encode("unicode_escape").decode()[:200]
            raise self._error(
                f"'{self._source}' refers to {asked_for}, which is not allowed. Expected arrays of numbers only. "
                "Nothing was executed; get the file from a source you trust."
            )
        return self.admitted[module, name]

    def load(self) -> Any:
        """Read the pickle: None, numbers, text, bytes, lists, tuples, dicts and arrays (read-only).

        Raises:
            UserError: the pickle is unsafe, truncated or damaged, or not a pickle; raised as the class ``error``.
        """
        with report_damage(self._source, "a pickle of arrays", self._error):
            return _PlainValues().convert(self._load_stand_ins())

    def _load_stand_ins(self) -> object:
        """Read the content with stand-ins for arrays; subclasses load array data from other parts of the file here."""
        self._check_memo()
        return super().load()

    def _check_memo(self) -> None:
        """Reject large memo indices: the unpickler would allocate its memo up to the index."""
        start = self._stream.tell()
        for opcode, argument, position in pickletools.genops(self._stream):
            if opcode.name in _MEMO_OPCODES and argument > position:
                raise pickle.UnpicklingError(f"it has memo index {argument} at byte {position}")
        self._stream.seek(start)
