"""Translate traced networks to ONNX: the operators that depth networks use, at one image size.

``tools/export_model.py`` converts any model for any size with Paddle2ONNX, which is a separate package and takes a
process of its own. This translation needs neither, and serves ``inference.fast_network``. To add an operator, add a
line to ``SAME``, or a function and a line to ``TRANSLATIONS``.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import paddle
from paddle.static import InputSpec

from inference.export import onnx_file
from inference.export.traced_network import CoreModel, convolved_by_phases
from layers.kernels.ops import disabled

INPUT, OUTPUT = "images", "scaled_disp"


class UnsupportedOperatorError(Exception):
    """The networks use an operator that this module cannot translate; the message is one line with the reason."""


def to_onnx(model: CoreModel, size: tuple[int, int]) -> bytes:
    """Trace networks and translate them.

    Args:
        model: Networks in evaluation mode.
        size: (height, width) of the input.

    Returns:
        ONNX model from ``INPUT``, float32 (batch, 3, height, width) in [0, 1], to ``OUTPUT``, float32 (batch, height,
        width).

    Raises:
        UnsupportedOperatorError: An operator or one of its settings is unknown, or Paddle cannot trace the networks.
    """
    spec = InputSpec([None, 3, *size], "float32", name=INPUT)
    try:
        with disabled(), convolved_by_phases(model):
            traced = paddle.jit.to_static(model, input_spec=[spec], full_graph=True).forward.concrete_program
    except Exception as error:  # registered networks can fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        raise UnsupportedOperatorError(f"the networks cannot be traced: {reason}") from error
    weights = {tensor.name: tensor.numpy() for tensor in model.state_dict().values()}
    graph = _Graph(weights)
    (result,) = traced.outputs
    for op in _needed(traced.main_program.global_block().ops, result):
        graph.add(op)
    graph.emit("Identity", [graph.name(result)], OUTPUT)
    sizes = ("batch", *size)
    return onnx_file.model("depth", graph.nodes, graph.initializers(), {INPUT: ("batch", 3, *size)}, {OUTPUT: sizes})


def _needed(ops: list, result: Any) -> list:
    """Return the operators that the result depends on, in order."""
    needed, chosen = {result.id}, []
    for op in reversed(ops):
        if any(value.id in needed for value in op.results()):
            needed.update(value.id for value in op.operands_source() if value.initialized())
            chosen.append(op)
    return chosen[::-1]


class _Graph:
    """ONNX nodes and constants, built operator by operator.

    Args:
        weights: Name of a parameter -> value.

    Attributes:
        nodes: Encoded nodes.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self.nodes: list[bytes] = []
        self._weights = weights
        self._constants: dict[int, np.ndarray] = {}  # by the id of the value
        self._groups: dict[int, list] = {}  # values of builtin.combine
        self._held: dict[str, np.ndarray] = {}  # initializers in use

    def add(self, op: Any) -> None:
        """Translate an operator.

        Raises:
            UnsupportedOperatorError: There is no translation.
        """
        kind = op.name().removeprefix("pd_op.").removesuffix("_")
        result = op.results()[0]
        if op.name() == "builtin.parameter":
            self._constants[result.id] = self._weights[op.attrs()["parameter_name"]]
        elif op.name() == "builtin.combine":
            self._groups[result.id] = op.operands_source()
        elif kind in CONSTANTS:
            self._constants[result.id] = CONSTANTS[kind](op.attrs())
        elif kind in RESHAPES:
            self.emit("Reshape", [self.name(op.operand_source(0)), self.constant(_shape(result))], self.name(result))
        elif kind in SAME:
            self.emit(SAME[kind], [self.name(value) for value in op.operands_source()], self.name(result))
        elif kind in TRANSLATIONS:
            TRANSLATIONS[kind](self, op, op.attrs())
        elif op.name() != "pd_op.data":
            raise UnsupportedOperatorError(f"the networks use the operator {op.name()}, which has no translation")

    def name(self, value: Any) -> str:
        """Return the name of a value's tensor."""
        op = value.get_defining_op()
        if op.name() == "pd_op.data":
            return INPUT
        if value.id in self._constants:
            return self.constant(self._constants[value.id], f"constant_{value.id}")
        return f"value_{value.id}"

    def names(self, value: Any) -> list[str]:
        """Return the names of the tensors in a list."""
        return [self.name(part) for part in self._groups[value.id]]

    def array(self, value: Any) -> np.ndarray:
        """Return the value of a constant.

        Raises:
            UnsupportedOperatorError: It is computed from the input.
        """
        if value.id not in self._constants:
            raise UnsupportedOperatorError(f"{value.get_defining_op().name()} computes a setting of an operator")
        return self._constants[value.id]

    def constant(self, array: Any, name: str | None = None) -> str:
        """Add a constant, and return its name."""
        name = name or f"setting_{len(self._held)}"
        self._held[name] = np.asarray(array)
        return name

    def emit(self, kind: str, inputs: list[str], output: str, **attributes: onnx_file.Attribute) -> str:
        """Add a node, and return the name of its output."""
        self.nodes.append(onnx_file.node(kind, inputs, [output], **attributes))
        return output

    def initializers(self) -> list[bytes]:
        """Return the encoded constants."""
        return [onnx_file.tensor(name, array) for name, array in self._held.items()]


def _shape(value: Any) -> np.ndarray:
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


def _convolution(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, data_format="NCHW", padding_algorithm="EXPLICIT")
    x, weight = (graph.name(value) for value in op.operands_source())
    settings = {"strides": attrs["strides"], "dilations": attrs["dilations"], "group": attrs["groups"]}
    graph.emit("Conv", [x, weight], graph.name(op.results()[0]), pads=_pads(attrs["paddings"]), **settings)


def _pads(paddings: list[int]) -> list[int]:
    """Convert Paddle's (y, x) or (top, bottom, left, right) to ONNX's (top, left, bottom, right)."""
    top, bottom, left, right = paddings if len(paddings) == 4 else (paddings[0], paddings[0], paddings[1], paddings[1])
    return [top, left, bottom, right]


def _batch_norm(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, data_format="NCHW", use_global_stats=True)
    x, mean, variance, scale, bias = (graph.name(value) for value in op.operands_source())
    inputs = [x, scale, bias, mean, variance]
    graph.emit("BatchNormalization", inputs, graph.name(op.results()[0]), epsilon=float(attrs["epsilon"]))


def _max_pool(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    fixed = {"pooling_type": "max", "ceil_mode": False, "global_pooling": False, "adaptive": False}
    _check(op, attrs, data_format="NCHW", padding_algorithm="EXPLICIT", **fixed)
    x, kernel = op.operands_source()
    settings = {"kernel_shape": [int(n) for n in graph.array(kernel)], "strides": attrs["strides"]}
    graph.emit("MaxPool", [graph.name(x)], graph.name(op.results()[0]), pads=_pads(attrs["paddings"]), **settings)


def _pad(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, data_format="NCDHW")
    mode = {"reflect": "reflect", "replicate": "edge", "constant": "constant"}.get(attrs["mode"])
    if mode is None:
        raise UnsupportedOperatorError(f"{op.name()} has the mode {attrs['mode']}")
    x, paddings = op.operands_source()
    left, right, top, bottom, front, back = (int(n) for n in graph.array(paddings))
    pads = np.array([0, 0, front, top, left, 0, 0, back, bottom, right], np.int64)
    inputs = [graph.name(x), graph.constant(pads), graph.constant(np.float32(attrs["pad_value"]))]
    graph.emit("Pad", inputs, graph.name(op.results()[0]), mode=mode)


def _scale(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, bias_after_scale=True)
    x, factor = op.operands_source()
    out = graph.name(op.results()[0])
    scaled = graph.emit("Mul", [graph.name(x), graph.constant(np.float32(graph.array(factor).item()))], f"{out}_scaled")
    graph.emit("Add", [scaled, graph.constant(np.float32(attrs["bias"]))], out)


def _matmul(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    names = []
    for value, transposed in zip(op.operands_source(), (attrs["transpose_x"], attrs["transpose_y"]), strict=True):
        name = graph.name(value)
        if transposed:
            axes = list(range(len(value.shape)))
            order = [*axes[:-2], axes[-1], axes[-2]]
            name = graph.emit("Transpose", [name], f"{graph.name(op.results()[0])}_{len(names)}", perm=order)
        names.append(name)
    graph.emit("MatMul", names, graph.name(op.results()[0]))


def _slice(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    x, starts, ends = op.operands_source()
    out = graph.name(op.results()[0])
    limits = [graph.constant(np.int64(graph.array(value))) for value in (starts, ends)]
    inputs = [graph.name(x), *limits, graph.constant(np.array(attrs["axes"], np.int64))]
    cut = graph.emit("Slice", inputs, f"{out}_cut")
    graph.emit("Reshape", [cut, graph.constant(_shape(op.results()[0]))], out)  # drops axes


def _concat(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    parts, axis = op.operands_source()
    graph.emit("Concat", graph.names(parts), graph.name(op.results()[0]), axis=int(graph.array(axis).item()))


def _stack(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    (parts,) = op.operands_source()
    out, axis = graph.name(op.results()[0]), attrs["axis"]
    axes = graph.constant(np.array([axis], np.int64))
    wide = [graph.emit("Unsqueeze", [x, axes], f"{out}_{i}") for i, x in enumerate(graph.names(parts))]
    graph.emit("Concat", wide, out, axis=axis)


def _nearest(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, data_format="NCHW", align_corners=False)
    x, result = op.operands_source()[0], op.results()[0]
    factors = [n / m for n, m in zip(result.shape[2:], x.shape[2:], strict=True)]
    if any(not factor.is_integer() for factor in factors):
        raise UnsupportedOperatorError(f"{op.name()} enlarges by {factors}, translated are only integers")
    inputs = [graph.name(x), "", graph.constant(np.array([1, 1, *factors], np.float32))]
    settings = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    graph.emit("Resize", inputs, graph.name(result), **settings)


def _elu(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    graph.emit("Elu", [graph.name(op.operand_source(0))], graph.name(op.results()[0]), alpha=float(attrs["alpha"]))


def _hard_sigmoid(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    settings = {"alpha": float(attrs["slope"]), "beta": float(attrs["offset"])}
    graph.emit("HardSigmoid", [graph.name(op.operand_source(0))], graph.name(op.results()[0]), **settings)


def _relu6(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    limits = [graph.constant(np.float32(limit)) for limit in (0, 6)]
    graph.emit("Clip", [graph.name(op.operand_source(0)), *limits], graph.name(op.results()[0]))


def _gelu(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    _check(op, attrs, approximate=False)
    x, out = graph.name(op.operand_source(0)), graph.name(op.results()[0])
    scaled = graph.emit("Div", [x, graph.constant(np.float32(2**0.5))], f"{out}_scaled")
    error = graph.emit("Erf", [scaled], f"{out}_erf")
    share = graph.emit("Add", [error, graph.constant(np.float32(1))], f"{out}_share")
    doubled = graph.emit("Mul", [x, share], f"{out}_doubled")
    graph.emit("Mul", [doubled, graph.constant(np.float32(0.5))], out)


def _mean(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    x, axes = op.operands_source()
    settings = {"axes": [int(n) for n in graph.array(axes)], "keepdims": int(attrs["keepdim"])}
    graph.emit("ReduceMean", [graph.name(x)], graph.name(op.results()[0]), **settings)


def _transpose(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
    graph.emit("Transpose", [graph.name(op.operand_source(0))], graph.name(op.results()[0]), perm=attrs["perm"])


def _layer_norm(graph: _Graph, op: Any, attrs: Mapping[str, Any]) -> None:
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
    **{"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div"},
}
TRANSLATIONS: dict[str, Callable[[_Graph, Any, Mapping[str, Any]], None]] = {
    "batch_norm": _batch_norm,
    "concat": _concat,
    "conv2d": _convolution,
    "depthwise_conv2d": _convolution,
    "elu": _elu,
    "gelu": _gelu,
    "hardsigmoid": _hard_sigmoid,
    "layer_norm": _layer_norm,
    "matmul": _matmul,
    "mean": _mean,
    "nearest_interp": _nearest,
    "pad3d": _pad,
    "pool2d": _max_pool,
    "relu6": _relu6,
    "scale": _scale,
    "slice": _slice,
    "stack": _stack,
    "transpose": _transpose,
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
