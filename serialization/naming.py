"""PyTorch's names and layouts of parameters, and Paddle's.

Batch norm's buffers have other names, and weights of linear layers are (out, in) in PyTorch and (in, out) in Paddle.
The latter cannot be told from the arrays, so ``formats`` decides by the file's format and metadata.
"""

from collections.abc import Iterable, Mapping

import numpy as np

_BUFFERS = {"running_mean": "_mean", "running_var": "_variance"}
_PYTORCH_BUFFERS = {paddle: pytorch for pytorch, paddle in _BUFFERS.items()}
_COUNTER = "num_batches_tracked"
# The original's encoders hold a classifier that nothing uses, and load strictly.
_CLASSIFIER = ("encoder.fc.weight", "encoder.fc.bias")
_NUM_CLASSES = 1000
_LAST_BLOCK = "encoder.layer4.0.downsample.0.weight"


def has_pytorch_buffers(names: Iterable[str]) -> bool:
    """Check for the buffers of PyTorch's batch norm, whose names Paddle never writes."""
    return any(name.rpartition(".")[2] in (*_BUFFERS, _COUNTER) for name in names)


def to_paddle(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays under PyTorch's names -> the same under Paddle's.

    Batch norm's running statistics are renamed and its counter dropped, as is a classifier of zeros that
    ``to_pytorch`` has added; weights of linear layers turn from (out, in) to (in, out).
    """
    empty = _CLASSIFIER if not any(np.any(arrays.get(name, 1)) for name in _CLASSIFIER) else ()
    return {
        _renamed(name, _BUFFERS): _turned(name, array)
        for name, array in arrays.items()
        if name.rpartition(".")[2] != _COUNTER and name not in empty
    }


def to_pytorch(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays under Paddle's names -> the same under PyTorch's, as the original implementation loads them strictly.

    The inverse of ``to_paddle``; batch norm's counters are 0, and a ResNet encoder without a classifier gets one of
    zeros.
    """
    renamed = {}
    for name, array in arrays.items():
        renamed[_renamed(name, _PYTORCH_BUFFERS)] = _turned(name, array)
        prefix, dot, last = name.rpartition(".")
        if last == "_variance":
            renamed[f"{prefix}{dot}{_COUNTER}"] = np.array(0, np.int64)
    if _LAST_BLOCK in arrays and _CLASSIFIER[0] not in arrays:
        last = arrays[_LAST_BLOCK]
        renamed[_CLASSIFIER[0]] = np.zeros((_NUM_CLASSES, len(last)), last.dtype)
        renamed[_CLASSIFIER[1]] = np.zeros(_NUM_CLASSES, last.dtype)
    return renamed


def _renamed(name: str, buffers: Mapping[str, str]) -> str:
    prefix, dot, last = name.rpartition(".")
    return prefix + dot + buffers.get(last, last)


def _turned(name: str, array: np.ndarray) -> np.ndarray:
    """The weight of a linear layer the other way round; every other array as it is."""
    is_linear = name.rpartition(".")[2] == "weight" and np.ndim(array) == 2
    return array.T if is_linear else array
