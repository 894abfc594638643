"""Read disparities from a file, for example predictions of other code."""

from pathlib import Path

import numpy as np

from common.errors import DataError
from datasets.splits import find_split
from options import Options


def read_disparities(path: Path, num_frames: int, ids: np.ndarray | None = None) -> np.ndarray:
    """Read scaled disparities from a file, one per frame of the split.

    Args:
        path: .npy, float32 (N, H, W).
        num_frames: Number of test frames of the split.
        ids: Indices of the split's frames in the file; None for all.

    Raises:
        DataError: The file is missing, damaged, or has a wrong shape or type.
    """
    try:
        scaled_disps = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"--ext_disp_to_eval {path} cannot be read as a .npy file of float32 (frames, height, width): {error}"
        ) from error
    if scaled_disps.ndim != 3 or not np.issubdtype(scaled_disps.dtype, np.floating):
        raise DataError(
            f"--ext_disp_to_eval {path} contains {scaled_disps.dtype} of shape {scaled_disps.shape}; "
            "expected float32 (frames, height, width)."
        )
    if ids is not None:
        if ids.max() >= len(scaled_disps):
            raise DataError(
                f"--eval_eigen_to_benchmark selects Eigen test frame {ids.max()}, but {path} contains "
                f"{len(scaled_disps)} frames. Pass disparities of all Eigen test frames."
            )
        scaled_disps = scaled_disps[ids]
        if len(scaled_disps) != num_frames:
            raise DataError(
                f"--eval_eigen_to_benchmark selects {len(ids)} frames, but the split has {num_frames} test frames. "
                "Pass --eval_split eigen_benchmark."
            )
    if len(scaled_disps) != num_frames:
        raise DataError(f"{path} contains {len(scaled_disps)} disparities, but the split has {num_frames} test frames.")
    with np.errstate(over="ignore"):  # scoring reports values beyond float32, with the name of the frame
        return scaled_disps.astype(np.float32, copy=False)


def benchmark_ids(opt: Options) -> np.ndarray | None:
    """Return the indices of the Eigen test frames with improved ground truth.

    Returns:
        The indices; None without ``--eval_eigen_to_benchmark``.

    Raises:
        DataError: The published list is missing or damaged.
    """
    if not opt.eval_eigen_to_benchmark:
        return None
    path = find_split("benchmark", opt.data_path) / "eigen_to_benchmark_ids.npy"
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"--eval_eigen_to_benchmark needs the list published with the benchmark split, {path}: {error}"
        ) from error
