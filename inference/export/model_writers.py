"""Write traced networks as a Paddle inference model, and convert it to ONNX."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import paddle
from paddle import nn
from paddle.static import InputSpec

from common.errors import UserError
from inference.export.traced_network import CoreModel, EndToEndModel, convolved_by_phases
from layers.kernels.ops import disabled

OPSET = 17
ONNX_NEEDS = (
    "ONNX export needs Paddle2ONNX, which is not installed. Run pip install -r requirements-export.txt with Python "
    "3.10 to 3.12; Paddle2ONNX has no wheel for Python 3.13."
)
# In a separate process: Paddle2ONNX aborts its process if it cannot convert a model.
_CONVERT = """
import sys
from common.environment import prepare_environment
prepare_environment()
import paddle2onnx
model, params, target, opset = sys.argv[1:]
paddle2onnx.export(model, params, save_file=target, opset_version=int(opset), optimize_tool=None)
"""
ROOT = Path(__file__).resolve().parents[2]


def write_paddle(model: EndToEndModel | CoreModel, stem: Path) -> None:
    """Write ``STEM.json`` and ``STEM.pdiparams``, for any batch size and, unless the model has one, any image size."""
    if isinstance(model, CoreModel):
        shape, kind = [None, 3, *(model.fixed_size or (None, None))], "float32"
    else:
        shape, kind = [None, None, None, 3], "uint8"
    model.eval()
    with disabled(), convolved_by_phases(model):
        paddle.jit.save(model, str(stem), input_spec=[InputSpec(shape, kind, name="images")])


def cast_weights_fp16(model: nn.Layer) -> None:
    """Store the weights of all convolutions in 16 bits, and cast them to 32 bits on use.

    This changes the networks permanently; load them again for other uses.
    """
    convolutions = [layer for layer in model.sublayers() if isinstance(layer, nn.Conv2D)]
    for layer in convolutions:
        half = layer.weight.astype("float16")
        del layer.weight
        layer.half_weight = layer.create_parameter(half.shape, dtype="float16")
        layer.half_weight.set_value(half)

    def widen(_: nn.Layer, inputs: tuple) -> None:
        for layer in convolutions:
            # Bypass Paddle's __setattr__, which would register a parameter.
            object.__setattr__(layer, "weight", layer.half_weight.astype("float32"))

    # On the model instead of each convolution: other layers also use their weights.
    model.register_forward_pre_hook(widen)


def can_write_onnx() -> bool:
    """Return whether Paddle2ONNX is installed."""
    return importlib.util.find_spec("paddle2onnx") is not None


def write_onnx(stem: Path, target: Path, about: dict[str, str]) -> None:
    """Convert ``STEM.json`` and ``STEM.pdiparams`` to ONNX.

    Args:
        stem: Path of the Paddle model, without suffix.
        target: ONNX file to write.
        about: Metadata of the file.

    Raises:
        UserError: Paddle2ONNX is not installed, or cannot convert the model.
    """
    files = [f"{stem}.json", f"{stem}.pdiparams", str(target), str(OPSET)]
    command = [sys.executable, "-c", _CONVERT, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "GLOG_v": "0"})
    if "No module named 'paddle2onnx'" in done.stderr:
        raise UserError(ONNX_NEEDS)
    if done.returncode or not target.is_file():
        output = (done.stdout + done.stderr).strip()[-1500:]
        raise UserError(f"Paddle2ONNX could not convert the model (exit status {done.returncode}):\n{output}")
    _tidy(target, about)


def _tidy(path: Path, about: dict[str, str]) -> None:
    """Name the output and the free dimensions, remove unused nodes and initializers, and add ``about`` as metadata."""
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    (output,) = graph.output
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name == output.name:
                node.output[i] = about["output"]
    output.name = about["output"]
    (images,) = graph.input
    for value, sizes in ((images, about["input"].split()), (output, ["batch", "height", "width"])):
        for dim, name in zip(value.type.tensor_type.shape.dim, sizes, strict=True):
            if not name.isdigit():
                dim.dim_param = name
    used, nodes = {output.name}, []
    for node in reversed(graph.node):  # nodes are in topological order
        if used.intersection(node.output):
            used.update(node.input)
            nodes.append(node)
    initializers = [initializer for initializer in graph.initializer if initializer.name in used]
    for held, kept in ((graph.node, nodes[::-1]), (graph.initializer, initializers)):
        del held[:]
        held.extend(kept)
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
