"""Read pickles of NumPy arrays and plain values without executing code that the file refers to.

A pickle can import and call any function. This reader resolves names only in a table of the few that array files
need, and maps each one to a stand-in (``serialization.stand_ins``).
"""

import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from common.errors import UserError, WeightsError
from serialization.opening import content_limit, report_damage
from serialization.stand_ins import ARRAY_NAMES, LARGEST, ArrayStandIn, Latin1, checked_items

_PLAIN_TYPES = (type(None), bool, int, float, str, bytes, np.generic)
# Operations that pickles of arrays and plain values do not need: classes, sets, extensions, out-of-band buffers.
_REJECTED = (
    "PERSID",
    "INST",
    "OBJ",
    "NEWOBJ_EX",
    "EMPTY_SET",
    "FROZENSET",
    "ADDITEMS",
    "EXT1",
    "EXT2",
    "EXT4",
    "NEXT_BUFFER",
    "READONLY_BUFFER",
)
# A ResNet152 needs 30 thousand, 700 depth maps need 15 thousand; 2 million take 2 s and 300 MB.
_MAX_OPERATIONS = 2_000_000


class _PlainValues:
    """Converts unpickled stand-ins to arrays and plain values; rejects other types and recursive containers.

    Args:
        limit: largest total size of the arrays, bytes.
    """

    _OPEN = object()

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unclaimed = limit
        # Keyed by identity: each container is converted once, however often the pickle refers to it.
        self._converted: dict[int, Any] = {}

    def convert(self, value: object) -> object:
        """Rebuild a value with its containers and arrays.

        Raises:
            UnpicklingError: the value has another type or contains itself, or the arrays are too large in total.
        """
        if isinstance(value, _PLAIN_TYPES):
            return value
        if isinstance(value, (ArrayStandIn, Latin1)):
            # Every reference counts, because a copy of the content contains the array as often.
            self._unclaimed -= value.nbytes if isinstance(value, ArrayStandIn) else len(value)
            if self._unclaimed < 0:
                raise pickle.UnpicklingError(f"its arrays have more than {self._limit} bytes, too many for its size")
        if id(value) not in self._converted:
            self._converted[id(value)] = self._OPEN
            self._converted[id(value)] = self._convert_container(value)
        if self._converted[id(value)] is self._OPEN:
            raise pickle.UnpicklingError("it has a container that contains itself")
        return self._converted[id(value)]

    def _convert_container(self, value: object) -> object:
        if isinstance(value, dict):
            return {key: self.convert(element) for key, element in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.convert(element) for element in value)
        if isinstance(value, Latin1):
            return value.encode()
        array = value.values if isinstance(value, ArrayStandIn) else None
        if array is not None:
            if array.dtype.hasobject:
                for index, element in np.ndenumerate(array):
                    array[index] = self.convert(element)
            return array
        raise pickle.UnpicklingError(f"it has a {type(value).__name__.lstrip('_').lower()}, expected a value")


class ArrayUnpickler(pickle._Unpickler):
    """Unpickler for arrays and plain values that rejects every other name.

    It extends the Python version of the unpickler, because the one in C adds any key to a dict, allocates its memo up
    to an index in the file, and cannot be stopped. Array data is read in one piece, so both are equally fast.

    Args:
        stream: a binary stream.
        source: the file, for messages.
        file_size: its size in bytes, which limits the total size of the arrays.
        error: exception class for unsafe or damaged pickles.
    """

    # Subclasses for other pickled formats extend this table.
    admitted: ClassVar[Mapping[tuple[str, str], object]] = ARRAY_NAMES

    def __init__(self, stream: BinaryIO, source: Path, file_size: int, error: type[UserError] = WeightsError) -> None:
        # Latin-1 preserves bytes that Python 2 pickled as text.
        super().__init__(stream, encoding="latin1")
        self._source = source
        self._limit = content_limit(file_size)
        self._error = error
        self._operations = 0
        self.dispatch = _Dispatch(self)

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
            return _PlainValues(self._limit).convert(self._load_stand_ins())

    def _load_stand_ins(self) -> object:
        """Read the content with stand-ins for arrays; subclasses load array data from other parts of the file here."""
        return super().load()

    def count_operations(self, count: int) -> None:
        """Count work that the pickle causes.

        Raises:
            UnpicklingError: it is too much in total.
        """
        self._operations += count
        if self._operations > _MAX_OPERATIONS:
            raise pickle.UnpicklingError(f"it has more than {_MAX_OPERATIONS} operations, too many for arrays")

    # Handlers of operations, which replace those of the base class.

    def load_bytearray8(self) -> None:
        """Read bytes without allocating their declared number first."""
        self.append(self.read(int.from_bytes(self.read(8), "little")))

    def load_put(self) -> None:
        """Store an object under an index of ordinary size: others can have equal hashes."""
        index = int(self.readline()[:-1])
        if not 0 <= index < LARGEST:
            raise pickle.UnpicklingError("it has an invalid memo index")
        self.memo[index] = self.stack[-1]

    def load_dict(self) -> None:
        """Create a dict with checked keys."""
        items = self.pop_mark()
        self.append(dict(checked_items(zip(items[::2], items[1::2], strict=True))))

    def load_setitem(self) -> None:
        """Add an entry to a dict."""
        value, key = self.stack.pop(), self.stack.pop()
        self._add_items([(key, value)])

    def load_setitems(self) -> None:
        """Add entries to a dict."""
        items = self.pop_mark()
        self._add_items(zip(items[::2], items[1::2], strict=True))

    def _add_items(self, pairs: Iterable[tuple[object, object]]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise pickle.UnpicklingError("it has names outside a dict")
        self.stack[-1].update(checked_items(pairs))

    def load_reduce(self) -> None:
        """Call a stand-in."""
        self._count_arguments()
        super().load_reduce()

    def load_newobj(self) -> None:
        """Create a stand-in."""
        self._count_arguments()
        super().load_newobj()

    def _count_arguments(self) -> None:
        """Count the elements of the arguments: a call that takes few bytes can refer to long ones."""
        arguments = self.stack[-1]
        self.count_operations(len(arguments))
        self.count_operations(sum(len(each) for each in arguments if isinstance(each, (tuple, list, dict))))


class _Dispatch:
    """Handlers by opcode; every operation counts.

    Args:
        unpickler: the unpickler that the operations are counted for.
    """

    _REJECTED: ClassVar[set[int]] = {getattr(pickle, name)[0] for name in _REJECTED}

    def __init__(self, unpickler: ArrayUnpickler) -> None:
        self._count = unpickler.count_operations
        self._handlers = {
            code: getattr(type(unpickler), handler.__name__)  # an overridden one, if there is one
            for code, handler in pickle._Unpickler.dispatch.items()
            if code not in self._REJECTED
        }

    def __getitem__(self, code: int) -> Callable[[ArrayUnpickler], None]:
        self._count(1)
        if code not in self._handlers:
            raise pickle.UnpicklingError(f"it has the byte {code:#04x} where an operation is expected")
        return self._handlers[code]
