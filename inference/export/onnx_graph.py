"""Translate traced networks to ONNX: the operators that depth networks use, at one image size.

``tools/export_model.py`` converts any model for any size with Paddle2ONNX, which is a separate package and takes a
process of its own. This translation needs neither, and serves ``inference.fast_network``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
from paddle.static import InputSpec

from inference.export import onnx_file
from inference.export.onnx_operators import CONSTANTS, RESHAPES, SAME, TRANSLATIONS, UnsupportedOperatorError, reshaped
from inference.export.traced_network import CoreModel, convolved_by_phases
from layers.kernels.ops import disabled

INPUT, OUTPUT = "images", "scaled_disp"


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
    graph = Graph(weights)
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


class Graph:
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
        self._parts: dict[int, list[str]] = {}  # tensors of a list, for builtin.split
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
        elif op.name() == "builtin.split":
            for value, part in zip(op.results(), self._parts[op.operand_source(0).id], strict=True):
                self.emit("Identity", [part], self.name(value))
        elif kind in CONSTANTS:
            self._constants[result.id] = CONSTANTS[kind](op.attrs())
        elif kind in RESHAPES:
            self.emit("Reshape", [self.name(op.operand_source(0)), self.constant(reshaped(result))], self.name(result))
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

    def set_parts(self, value: Any, names: list[str]) -> None:
        """Set the names of the tensors in a list that an operator returns."""
        self._parts[value.id] = names

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
