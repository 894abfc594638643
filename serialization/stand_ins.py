"""Stand-ins for the objects that pickles of arrays create.

The file never reaches NumPy's or Python's own objects: crafted input can make NumPy's ``__setstate__`` use bytes of the
file as memory addresses. Stand-ins only describe arrays, which are created once their total size is known: a pickle can
declare more than it contains, for example arrays that share their bytes.
"""

import math
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from common.text_files import abbreviate

_MAX_DIMENSIONS = 32
_OBJECT_COST = 64  # bytes that take as long to read as an element of an array of objects
_MAX_SCALAR = 32  # bytes
LARGEST = 1 << 60  # below the modulus of Python's hash of integers: different keys have different hashes
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
            raise pickle.UnpicklingError(f"it has an array of dtype {abbreviate(code)}, expected numbers")
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple) -> None:
        order, *structure = state[1:5]
        if order not in ("<", ">", "=", "|") or any(part is not None for part in structure):
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
    """Stand-in for an array while a pickle is read."""

    __slots__ = ()
    nbytes: int
    """Size of ``values`` in bytes, known before they are created."""
    values: np.ndarray | None
    """The array; None if the pickle has no data for it."""


class Latin1(StandIn):
    """Stand-in for bytes that pickle protocol 2 stores as text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __len__(self) -> int:
        return len(self.text)

    def encode(self) -> bytes:
        """Convert to bytes."""
        return self.text.encode("latin1")


class _Array(ArrayStandIn):
    """Stand-in for ``numpy.ndarray``."""

    __slots__ = ("_axes", "_data", "_dtype", "_order", "_shape")

    def __init__(self) -> None:
        self._data: Any = None

    def __setstate__(self, state: tuple) -> None:
        shape, dtype, is_fortran, data = state[-4:]
        self.describe(data, dtype, shape, "F" if is_fortran else "C")

    def describe(self, data: object, dtype: _Dtype, shape: object, order: str, axes: object = None) -> "_Array":
        """Set the data after checking that its size fits the shape.

        Args:
            data: A list of objects; or bytes, or text, as which Python 2 pickled bytes.
            dtype: The type of the elements.
            shape: The shape.
            order: "C" or "F".
            axes: Permutation of the axes, or None.
        """
        count = checked_count(shape)
        if not isinstance(data, list if dtype.holds_objects else (bytes, bytearray, str, Latin1)):
            raise pickle.UnpicklingError(f"it has an array with data of type {type(data).__name__}")
        if len(data) != count * (1 if dtype.holds_objects else dtype.to_numpy().itemsize):
            raise pickle.UnpicklingError(
                f"it has data of length {len(data)} for an array of shape {abbreviate(shape)} and dtype {dtype.code}"
            )
        self._data, self._dtype, self._shape, self._order, self._axes = data, dtype, shape, order, axes
        return self

    @property
    def nbytes(self) -> int:
        """Size of ``values`` in bytes; what converting them costs, for objects."""
        if self._data is None:
            return 0
        return len(self._data) * (_OBJECT_COST if self._dtype.holds_objects else 1)

    @property
    def values(self) -> np.ndarray | None:
        """The array; a view of the data if that is bytes."""
        if self._data is None:
            return None
        if self._dtype.holds_objects:
            objects = np.empty(len(self._data), dtype=object)
            for i, element in enumerate(self._data):
                objects[i] = element
            return objects.reshape(self._shape, order=self._order)
        raw = _raw(self._data)
        array = np.ndarray(self._shape, self._dtype.to_numpy(), buffer=raw, order=self._order)
        return array if self._axes is None else array.transpose(self._axes)


def _raw(data: bytes | bytearray | str | Latin1) -> bytes | bytearray:
    if isinstance(data, (bytes, bytearray)):
        return data
    return data.encode() if isinstance(data, Latin1) else data.encode("latin1")


def checked_count(shape: object) -> int:
    """Count the elements of a shape.

    Raises:
        UnpicklingError: the shape is not a tuple of at most 32 integers in [0, 2^60).
    """
    is_valid = isinstance(shape, tuple) and len(shape) <= _MAX_DIMENSIONS
    if not is_valid or not all(type(size) is int and 0 <= size < LARGEST for size in shape):
        raise pickle.UnpicklingError(f"it has an array of invalid shape {abbreviate(shape)}")
    return math.prod(shape)


def checked_items(pairs: Iterable[tuple[object, object]]) -> Iterator[tuple[str | int, object]]:
    """Check that the keys are texts or integers of at most 60 bits.

    Others can have equal hashes, which makes a dict quadratic, or hashes that take exponential time.

    Raises:
        UnpicklingError: a key is anything else.
    """
    for key, value in pairs:
        if not isinstance(key, str) and not (isinstance(key, int) and -LARGEST < key < LARGEST):
            raise pickle.UnpicklingError(f"it has the name {abbreviate(key)}, expected a text")
        yield key, value


def _reconstruct(subtype: object, *_: object) -> _Array:
    """Stand-in for NumPy's ``_reconstruct``: create an array that receives shape and data later."""
    if subtype is not _NDARRAY:
        raise pickle.UnpicklingError("it has an array of a type other than numpy.ndarray")
    return _Array()


def _frombuffer(
    data: object, dtype: _Dtype, shape: tuple[int, ...], order: str, axes: tuple[int, ...] | None = None
) -> _Array:
    """Stand-in for NumPy's ``_frombuffer`` (pickle protocol 5); order "K" is C order with permuted axes."""
    return _Array().describe(data, dtype, shape, "F" if order == "F" else "C", axes)


def _scalar(dtype: _Dtype, data: Any) -> np.generic:
    if len(data) > _MAX_SCALAR:
        raise pickle.UnpicklingError(f"it has a number of {len(data)} bytes")
    return _Array().describe(data, dtype, (), "C").values[()]


def _encode(text: str, encoding: str) -> Latin1:
    """Stand-in for ``_codecs.encode``, which pickle protocol 2 uses for bytes."""
    if encoding != "latin1" or not isinstance(text, str):
        raise pickle.UnpicklingError(f"it has text in the encoding {abbreviate(encoding)}")
    return Latin1(text)


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
    ("collections", "OrderedDict"): Admitted(lambda pairs=(): dict(checked_items(pairs))),
}
for _core in ("numpy.core", "numpy._core"):
    ARRAY_NAMES[f"{_core}.multiarray", "_reconstruct"] = Admitted(_reconstruct)
    ARRAY_NAMES[f"{_core}.multiarray", "scalar"] = Admitted(_scalar)
    ARRAY_NAMES[f"{_core}.numeric", "_frombuffer"] = Admitted(_frombuffer)
