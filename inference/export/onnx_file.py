"""Encode ONNX models (protocol buffers, https://onnx.ai/onnx/repo-docs/IR.html) without the package ``onnx``.

Each function returns the encoded message of its name in ``onnx.proto``.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

IR_VERSION, OPSET = 8, 17
ELEMENT_TYPES = {"float32": 1, "int64": 7}
Attribute = int | float | str | Sequence[int]

_VARINT, _FIXED32, _BYTES = 0, 5, 2  # wire types


def model(
    name: str,
    nodes: Iterable[bytes],
    initializers: Iterable[bytes],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
) -> bytes:
    """Encode a model.

    Args:
        name: Name of the graph.
        nodes: In topological order, from ``node``.
        initializers: From ``tensor``.
        inputs, outputs: Name -> shape of a float32 tensor; a text names a free size.
    """
    graph = [_field(1, part) for part in nodes]
    graph.append(_field(2, name))
    graph += [_field(5, part) for part in initializers]
    graph += [_field(11, _value(*item)) for item in inputs.items()]
    graph += [_field(12, _value(*item)) for item in outputs.items()]
    opset = _field(2, OPSET)
    return b"".join((_field(1, IR_VERSION), _field(8, opset), _field(7, b"".join(graph))))


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Attribute) -> bytes:
    """Encode a node.

    Args:
        kind: ONNX operator.
        inputs, outputs: Names of its tensors.
        attributes: By the names in ONNX's documentation of the operator.
    """
    parts = [_field(1, name) for name in inputs]
    parts += [_field(2, name) for name in outputs]
    parts.append(_field(4, kind))
    parts += [_field(5, _attribute(*item)) for item in attributes.items()]
    return b"".join(parts)


def tensor(name: str, array: np.ndarray) -> bytes:
    """Encode an array of float32 or int64."""
    array = np.asarray(array, order="C")
    parts = [_field(1, size) for size in array.shape]
    parts += [_field(2, ELEMENT_TYPES[array.dtype.name]), _field(8, name)]
    parts.append(_field(9, array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()))
    return b"".join(parts)


def _attribute(name: str, value: Attribute) -> bytes:
    """Encode an attribute: its name, its value in the field for the type, and the type."""
    if isinstance(value, float):
        return _field(1, name) + _field(2, value) + _field(20, 1)
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, 2)
    if isinstance(value, str):
        return _field(1, name) + _field(4, value) + _field(20, 3)
    return _field(1, name) + b"".join(_field(8, number) for number in value) + _field(20, 7)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    """Encode the name, type and shape of a float32 tensor."""
    sizes = [_field(2 if isinstance(size, str) else 1, size) for size in shape]
    shape_field = _field(2, b"".join(_field(1, size) for size in sizes))
    return _field(1, name) + _field(2, _field(1, _field(1, ELEMENT_TYPES["float32"]) + shape_field))


def _field(number: int, value: int | float | str | bytes) -> bytes:
    """Encode a field of a message; the type of the value selects the wire type."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | _FIXED32) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Encode an integer in groups of seven bits, the lowest first; negative ones as 64-bit two's complement."""
    value &= 2**64 - 1
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*groups, value))
