"""Convert parameter names and layouts between PyTorch and Paddle.

Batch norm buffers have different names, and linear weights are (out, in) in PyTorch and (in, out) in Paddle. The layout
cannot be inferred from the arrays, so ``formats`` decides by the file's format and metadata.
"""

from collections.abc import Iterable, Mapping

import numpy as np

_BUFFERS = {"running_mean": "_mean", "running_var": "_variance"}
_PYTORCH_BUFFERS = {paddle: pytorch for pytorch, paddle in _BUFFERS.items()}
_COUNTER = "num_batches_tracked"
# Entries that a profiler of PyTorch leaves in every layer; the released Lite-Mono weights have them.
_NOT_WEIGHTS = (_COUNTER, "total_ops", "total_params")
# The original implementation's encoders contain an unused classifier and are loaded strictly.
_CLASSIFIER = ("encoder.fc.weight", "encoder.fc.bias")
_NUM_CLASSES = 1000
_LAST_BLOCK = "encoder.layer4.0.downsample.0.weight"


def has_pytorch_buffers(names: Iterable[str]) -> bool:
    """Check for batch norm buffers with PyTorch's names, which Paddle never writes."""
    return any(name.rpartition(".")[2] in (*_BUFFERS, _COUNTER) for name in names)


def to_paddle(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert arrays from PyTorch's names and layouts to Paddle's.

    Batch norm's running statistics are renamed. Its counter is dropped, and so are the entries of a profiler, and an
    all-zero classifier added by ``to_pytorch``. Linear weights are transposed from (out, in) to (in, out).
    """
    empty = _CLASSIFIER if not any(np.any(arrays.get(name, 1)) for name in _CLASSIFIER) else ()
    return {
        _rename(name, _BUFFERS): _transpose_linear(name, array)
        for name, array in arrays.items()
        if name.rpartition(".")[2] not in _NOT_WEIGHTS and name not in empty
    }


def to_pytorch(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert arrays from Paddle's names and layouts to PyTorch's, for strict loading in the original implementation.

    The inverse of ``to_paddle``. Batch norm counters are 0; a ResNet encoder without a classifier gets an all-zero one.
    """
    renamed = {}
    for name, array in arrays.items():
        renamed[_rename(name, _PYTORCH_BUFFERS)] = _transpose_linear(name, array)
        prefix, dot, last = name.rpartition(".")
        if last == "_variance":
            renamed[f"{prefix}{dot}{_COUNTER}"] = np.array(0, np.int64)
    if _LAST_BLOCK in arrays and _CLASSIFIER[0] not in arrays:
        last = arrays[_LAST_BLOCK]
        renamed[_CLASSIFIER[0]] = np.zeros((_NUM_CLASSES, len(last)), last.dtype)
        renamed[_CLASSIFIER[1]] = np.zeros(_NUM_CLASSES, last.dtype)
    return renamed


def _rename(name: str, buffers: Mapping[str, str]) -> str:
    prefix, dot, last = name.rpartition(".")
    return prefix + dot + buffers.get(last, last)


def _transpose_linear(name: str, array: np.ndarray) -> np.ndarray:
    """Transpose the weight of a linear layer; return every other array unchanged."""
    is_linear = name.rpartition(".")[2] == "weight" and np.ndim(array) == 2
    return array.T if is_linear else array
