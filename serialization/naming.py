"""PyTorch's names and layouts of parameters, and Paddle's."""

from collections.abc import Mapping

import numpy as np

_BUFFERS = {"running_mean": "_mean", "running_var": "_variance"}


def to_paddle(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays under PyTorch's names -> the same under Paddle's.

    Batch norm's running statistics are renamed and its counter dropped; weights of linear layers turn from
    (out, in) to (in, out).
    """
    renamed = {}
    for name, array in arrays.items():
        prefix, dot, last = name.rpartition(".")
        if last == "num_batches_tracked":
            continue
        is_linear = last == "weight" and np.ndim(array) == 2
        renamed[prefix + dot + _BUFFERS.get(last, last)] = array.T if is_linear else array
    return renamed
