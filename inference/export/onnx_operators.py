"""Translations of Paddle's operators to ONNX, for ``onnx_graph``.

To add an operator, add a line to ``SAME``, or a function and a line to ``TRANSLATIONS``.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.export import onnx_file

if TYPE_CHECKING:
    from inference.export.onnx_graph import Graph


class UnsupportedOperatorError(Exception):
    """The networks use an operator that this module cannot translate; the message is one line with the reason."""


def reshaped(value: Any) -> np.ndarray:
    """Return the shape of a value for ``Reshape``, where -1 is the batch.

    Raises:
        UnsupportedOperatorError: More than one size is unknown.
    """
    if list(value.shape).count(-1) > 1:
        raise UnsupportedOperatorError(f"{value.get_defining_op().name()} has a shape that depends on the input")
    return np.array(value.shape, np.int64)


def _check(op: Any, attrs: Mapping[str, Any], **allowed: Any) -> None:
    """Check settings that have one translation only.

    Raises:
        UnsupportedOperatorError: A setting has another value.
    """
    for name, value in allowed.items():
        if attrs[name] != value:
            raise UnsupportedOperatorError(f"{op.name()} has {name} {attrs[name]}, translated is only {value}")


def _convolution(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, data_format="NCHW", padding_algorithm="EXPLICIT")
    x, weight = (graph.name(value) for value in op.operands_source())
    settings = {"strides": attrs["strides"], "dilations": attrs["dilations"], "group": attrs["groups"]}
    graph.emit("Conv", [x, weight], graph.name(op.results()[0]), pads=_pads(attrs["paddings"]), **settings)


def _pads(paddings: list[int]) -> list[int]:
    """Convert Paddle's (y, x) or (top, bottom, left, right) to ONNX's (top, left, bottom, right)."""
    top, bottom, left, right = paddings if len(paddings) == 4 else (paddings[0], paddings[0], paddings[1], paddings[1])
    return [top, left, bottom, right]


def _batch_norm(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, data_format="NCHW", use_global_stats=True)
    x, mean, variance, scale, bias = (graph.name(value) for value in op.operands_source())
    inputs = [x, scale, bias, mean, variance]
    graph.emit("BatchNormalization", inputs, graph.name(op.results()[0]), epsilon=float(attrs["epsilon"]))


def _pool(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, data_format="NCHW", padding_algorithm="EXPLICIT", ceil_mode=False, global_pooling=False)
    x, kernel = op.operands_source()
    name, out = graph.name(x), graph.name(op.results()[0])
    sizes = [int(n) for n in graph.array(kernel)]
    is_average = attrs["pooling_type"] == "avg"
    if attrs["adaptive"]:
        if not is_average or sizes != [1, 1]:
            raise UnsupportedOperatorError(f"{op.name()} pools adaptively to {sizes}, translated is only the mean")
        graph.emit("GlobalAveragePool", [name], out)
        return
    settings = {"kernel_shape": sizes, "strides": attrs["strides"], "pads": _pads(attrs["paddings"])}
    if is_average:
        graph.emit("AveragePool", [name], out, count_include_pad=int(not attrs["exclusive"]), **settings)
    else:
        graph.emit("MaxPool", [name], out, **settings)


def _pad(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, data_format="NCDHW")
    mode = {"reflect": "reflect", "replicate": "edge", "constant": "constant"}.get(attrs["mode"])
    if mode is None:
        raise UnsupportedOperatorError(f"{op.name()} has the mode {attrs['mode']}")
    x, paddings = op.operands_source()
    left, right, top, bottom, front, back = (int(n) for n in graph.array(paddings))
    pads = np.array([0, 0, front, top, left, 0, 0, back, bottom, right], np.int64)
    inputs = [graph.name(x), graph.constant(pads), graph.constant(np.float32(attrs["pad_value"]))]
    graph.emit("Pad", inputs, graph.name(op.results()[0]), mode=mode)


def _scale(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, bias_after_scale=True)
    x, factor = op.operands_source()
    out = graph.name(op.results()[0])
    scaled = graph.emit("Mul", [graph.name(x), graph.constant(np.float32(graph.array(factor).item()))], f"{out}_scaled")
    graph.emit("Add", [scaled, graph.constant(np.float32(attrs["bias"]))], out)


def _matmul(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    names = []
    for value, transposed in zip(op.operands_source(), (attrs["transpose_x"], attrs["transpose_y"]), strict=True):
        name = graph.name(value)
        if transposed:
            axes = list(range(len(value.shape)))
            order = [*axes[:-2], axes[-1], axes[-2]]
            name = graph.emit("Transpose", [name], f"{graph.name(op.results()[0])}_{len(names)}", perm=order)
        names.append(name)
    graph.emit("MatMul", names, graph.name(op.results()[0]))


def _slice(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    x, starts, ends = op.operands_source()
    out = graph.name(op.results()[0])
    limits = [graph.constant(np.int64(graph.array(value))) for value in (starts, ends)]
    inputs = [graph.name(x), *limits, graph.constant(np.array(attrs["axes"], np.int64))]
    cut = graph.emit("Slice", inputs, f"{out}_cut")
    graph.emit("Reshape", [cut, graph.constant(reshaped(op.results()[0]))], out)  # drops axes


def _concat(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    parts, axis = op.operands_source()
    graph.emit("Concat", graph.names(parts), graph.name(op.results()[0]), axis=int(graph.array(axis).item()))


def _stack(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    (parts,) = op.operands_source()
    out, axis = graph.name(op.results()[0]), attrs["axis"]
    axes = graph.constant(np.array([axis], np.int64))
    wide = [graph.emit("Unsqueeze", [x, axes], f"{out}_{i}") for i, x in enumerate(graph.names(parts))]
    graph.emit("Concat", wide, out, axis=axis)


def _nearest(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, data_format="NCHW", align_corners=False)
    x, result = op.operands_source()[0], op.results()[0]
    factors = [n / m for n, m in zip(result.shape[2:], x.shape[2:], strict=True)]
    if any(not factor.is_integer() for factor in factors):
        raise UnsupportedOperatorError(f"{op.name()} enlarges by {factors}, translated are only integers")
    inputs = [graph.name(x), "", graph.constant(np.array([1, 1, *factors], np.float32))]
    settings = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    graph.emit("Resize", inputs, graph.name(result), **settings)


def _elu(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    graph.emit("Elu", [graph.name(op.operand_source(0))], graph.name(op.results()[0]), alpha=float(attrs["alpha"]))


def _hard_sigmoid(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    settings = {"alpha": float(attrs["slope"]), "beta": float(attrs["offset"])}
    graph.emit("HardSigmoid", [graph.name(op.operand_source(0))], graph.name(op.results()[0]), **settings)


def _relu6(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    limits = [graph.constant(np.float32(limit)) for limit in (0, 6)]
    graph.emit("Clip", [graph.name(op.operand_source(0)), *limits], graph.name(op.results()[0]))


def _gelu(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, approximate=False)
    x, out = graph.name(op.operand_source(0)), graph.name(op.results()[0])
    scaled = graph.emit("Div", [x, graph.constant(np.float32(2**0.5))], f"{out}_scaled")
    error = graph.emit("Erf", [scaled], f"{out}_erf")
    share = graph.emit("Add", [error, graph.constant(np.float32(1))], f"{out}_share")
    doubled = graph.emit("Mul", [x, share], f"{out}_doubled")
    graph.emit("Mul", [doubled, graph.constant(np.float32(0.5))], out)


def _mean(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    x, axes = op.operands_source()
    settings = {"axes": [int(n) for n in graph.array(axes)], "keepdims": int(attrs["keepdim"])}
    graph.emit("ReduceMean", [graph.name(x)], graph.name(op.results()[0]), **settings)


def _norm(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, porder=2.0, asvector=False)
    settings = {"axes": [attrs["axis"]], "keepdims": int(attrs["keepdim"])}
    graph.emit("ReduceL2", [graph.name(op.operand_source(0))], graph.name(op.results()[0]), **settings)


def _softmax(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    graph.emit("Softmax", [graph.name(op.operand_source(0))], graph.name(op.results()[0]), axis=attrs["axis"])


def _expand(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    x, sizes = op.operands_source()
    shape = graph.constant(np.int64(graph.array(sizes)))
    graph.emit("Expand", [graph.name(x), shape], graph.name(op.results()[0]))


def _unbind(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    x, result = op.operand_source(0), op.results()[0]
    name, axis = graph.name(x), attrs["axis"]
    indices = [graph.constant(np.int64(i)) for i in range(x.shape[axis])]
    parts = [graph.emit("Gather", [name, i], f"value_{result.id}_{i}", axis=axis) for i in indices]
    graph.set_parts(result, parts)


def _transpose(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    graph.emit("Transpose", [graph.name(op.operand_source(0))], graph.name(op.results()[0]), perm=attrs["perm"])


def _layer_norm(graph: "Graph", op: Any, attrs: Mapping[str, Any]) -> None:
    inputs = [graph.name(value) for value in op.operands_source()]
    settings = {"axis": attrs["begin_norm_axis"], "epsilon": float(attrs["epsilon"])}
    graph.emit("LayerNormalization", inputs, graph.name(op.results()[0]), **settings)


CONSTANTS: dict[str, Callable[[Mapping[str, Any]], np.ndarray]] = {
    "full": lambda attrs: np.full(attrs["shape"], attrs["value"], _dtype(attrs)),
    "full_int_array": lambda attrs: np.array(attrs["value"], _dtype(attrs)),
    "assign_value": lambda attrs: np.array(attrs["values"], _dtype(attrs)).reshape(attrs["shape"]),
}
RESHAPES = ("reshape", "flatten", "squeeze", "unsqueeze")
SAME = {
    **{"relu": "Relu", "sigmoid": "Sigmoid", "hardswish": "HardSwish"},
    **{"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "maximum": "Max"},
}
TRANSLATIONS: dict[str, Callable[["Graph", Any, Mapping[str, Any]], None]] = {
    "batch_norm": _batch_norm,
    "concat": _concat,
    "conv2d": _convolution,
    "depthwise_conv2d": _convolution,
    "elu": _elu,
    "expand": _expand,
    "gelu": _gelu,
    "hardsigmoid": _hard_sigmoid,
    "layer_norm": _layer_norm,
    "matmul": _matmul,
    "mean": _mean,
    "nearest_interp": _nearest,
    "pad3d": _pad,
    "p_norm": _norm,
    "pool2d": _pool,
    "relu6": _relu6,
    "scale": _scale,
    "slice": _slice,
    "softmax": _softmax,
    "stack": _stack,
    "transpose": _transpose,
    "unbind": _unbind,
}


def _dtype(attrs: Mapping[str, Any]) -> str:
    """Return NumPy's name of a constant's type.

    Raises:
        UnsupportedOperatorError: The type is not among ``onnx_file.ELEMENT_TYPES``.
    """
    name = attrs["dtype"].name.lower()
    if name not in onnx_file.ELEMENT_TYPES and name != "int32":
        raise UnsupportedOperatorError(f"a constant has the type {name}")
    return "int64" if name == "int32" else name
