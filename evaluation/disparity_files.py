"""Disparities to score that come from a file, as other code may have predicted them."""

from pathlib import Path

import numpy as np

from common.errors import DataError
from datasets.splits import find_split
from options import Options


def read_disparities(path: Path, num_frames: int, ids: np.ndarray | None = None) -> np.ndarray:
    """Scaled disparities from a file, one for each frame of the split.

    Args:
        path: .npy, float32 (N, H, W).
        num_frames: of the split.
        ids: which of the file's frames are the split's; None for all.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    try:
        scaled_disps = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"--ext_disp_to_eval {path} cannot be read as a .npy file of float32 (frames, height, width): {error}"
        ) from error
    if scaled_disps.ndim != 3 or not np.issubdtype(scaled_disps.dtype, np.floating):
        raise DataError(
            f"--ext_disp_to_eval {path} holds {scaled_disps.dtype} of shape {scaled_disps.shape}; "
            "float32 (frames, height, width) was expected"
        )
    if ids is not None:
        if ids.max() >= len(scaled_disps):
            raise DataError(
                f"--eval_eigen_to_benchmark picks frame {ids.max()} of the Eigen test, but {path} holds "
                f"{len(scaled_disps)} frames; disparities of all Eigen test frames were expected"
            )
        scaled_disps = scaled_disps[ids]
        if len(scaled_disps) != num_frames:
            raise DataError(
                f"--eval_eigen_to_benchmark picks {len(ids)} frames, but the split has {num_frames} test frames; "
                "--eval_split eigen_benchmark was expected"
            )
    if len(scaled_disps) != num_frames:
        raise DataError(f"{path} holds {len(scaled_disps)} disparities, but the split has {num_frames} test frames")
    with np.errstate(over="ignore"):  # what is too large is refused with its frame's name
        return scaled_disps.astype(np.float32, copy=False)


def benchmark_ids(opt: Options) -> np.ndarray | None:
    """Which of the Eigen test frames have improved ground truth; None unless asked for."""
    if not opt.eval_eigen_to_benchmark:
        return None
    path = find_split("benchmark", opt.data_path) / "eigen_to_benchmark_ids.npy"
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"--eval_eigen_to_benchmark needs {path}, the list published with the benchmark split: {error}"
        ) from error
