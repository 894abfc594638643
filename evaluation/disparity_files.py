"""Read disparities from a file, for example predictions of other code."""

from pathlib import Path

import numpy as np
from numpy.lib.format import MAGIC_PREFIX

from common.errors import DataError
from datasets.splits import find_split
from options import Options

_OTHER = "not a .npy file"
_KINDS = {  # first bytes -> what it is
    b"PK": "an .npz or .zip archive; save one of its arrays with numpy.save",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "an image",
    b"\xff\xd8": "an image",
    b"\x80": "a pickle",
}


def read_disparities(path: Path, num_frames: int, ids: np.ndarray | None = None) -> np.ndarray:
    """Read scaled disparities from a file, one per frame of the split.

    Args:
        path: .npy, float32 (N, H, W).
        num_frames: Number of test frames of the split.
        ids: Indices of the split's frames in the file; None for all.

    Raises:
        DataError: The file is missing, damaged, or has a wrong shape or type.
    """
    scaled_disps = _open_array(path, "--ext_disp_to_eval", "a .npy file of float32 (frames, height, width)")
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
        return np.array(scaled_disps, dtype=np.float32)


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
    ids = _open_array(path, "--eval_eigen_to_benchmark", "the list published with the benchmark split, a .npy file")
    if ids.ndim != 1 or not ids.size or not np.issubdtype(ids.dtype, np.integer):
        raise DataError(
            f"{path} contains {ids.dtype} of shape {ids.shape}, expected integers (frames,). Copy it again."
        )
    return np.array(ids)


def _open_array(path: Path, option: str, expected: str) -> np.ndarray:
    """Map a .npy file into memory: its declared shape must fit the size of the file, so nothing is allocated for it."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is a folder or device")
        with open(path, "rb") as stream:
            start = stream.read(len(MAGIC_PREFIX))
        if start != MAGIC_PREFIX:
            raise ValueError(
                f"it is {next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), _OTHER)}"
            )
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, OverflowError, MemoryError, RecursionError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{option} {path} cannot be read: {reason.splitlines()[0][:200]}. Pass {expected}.") from error
