"""The numbers of type bfloat16, which NumPy lacks: the upper halves of float32 numbers."""

import numpy as np


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The same numbers as float32, exactly.

    Args:
        bits: uint16, of any shape: what a bfloat16 number consists of.
    """
    halves = np.zeros((*bits.shape, 2), "<u2")
    halves[..., 1] = bits
    return halves.view("<f4").reshape(bits.shape)
