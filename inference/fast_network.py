"""Depth networks in ONNX Runtime, which predicts on a CPU in half the time of Paddle's kernels.

The networks are translated once; the user's cache keeps the result, by a hash of everything that it depends on. A
damaged file is replaced, and without a writable cache each process translates for itself. Every translation is compared
with the networks before it is used.
"""

import contextlib
import hashlib
import inspect
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import paddle

from common.atomic_files import atomic_file
from common.environment import cache_dir
from common.errors import UserError
from common.folder_lock import FolderInUseError, lock_folder
from inference.export.agreement import TOLERANCE
from inference.export.engines import Run, onnx_session
from inference.export.onnx_graph import to_onnx
from inference.export.onnx_operators import UnsupportedOperatorError
from inference.export.traced_network import CoreModel

if TYPE_CHECKING:
    from inference.depth_predictor import DepthPredictor

KEPT_MODELS = 8  # of ResNet18: 57 MB each
ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("layers", "networks", "inference/export")
CHECKSUM_BYTES = 8  # before the model in its file


def open_fast_network(predictor: "DepthPredictor") -> Run | None:
    """Open a predictor's networks in ONNX Runtime.

    Prints one line if that is impossible on a CPU.

    Returns:
        Function from images, float32 (B, 3, height, width) in [0, 1], to scaled disparity, float32 (B, height, width),
        equal to ``predictor.predict`` within ``TOLERANCE`` of the value; None on other devices, or if it is impossible.
    """
    if paddle.get_device() != "cpu":
        return None
    try:
        return _open(predictor)
    except (UnsupportedOperatorError, UserError) as error:
        print(f"Falling back to Paddle's kernels (same results, slower): {error}", file=sys.stderr, flush=True)
        return None


def _open(predictor: "DepthPredictor") -> Run:
    """Open the model in the cache, or translate the networks and write it.

    Raises:
        UnsupportedOperatorError: The networks cannot be translated.
        UserError: ONNX Runtime is not installed.
    """
    path = cache_dir() / "onnx" / f"{_key(predictor)}.bin"
    content = _read(path)
    if content is not None:
        with contextlib.suppress(UserError):
            run = onnx_session(content, "cpu")
            with contextlib.suppress(OSError):
                os.utime(path)  # keeps it longest
            return run
    if predictor.model.depth_frames != (0,):
        raise UnsupportedOperatorError(f"the model predicts from the frames {predictor.model.depth_frames}")
    core = CoreModel(predictor)
    core.eval()
    content = to_onnx(core, predictor.size)
    run = onnx_session(content, "cpu")
    _compare(run, predictor)
    _write(path, content)
    return run


def _compare(run: Run, predictor: "DepthPredictor") -> None:
    """Compare with the networks on random images.

    Raises:
        UnsupportedOperatorError: The results differ.
    """
    images = np.random.default_rng(0).random((2, 3, *predictor.size), dtype=np.float32)
    expected = predictor.predict({"color_aug/0/0": paddle.to_tensor(images)})
    difference = float(np.abs(run(images) / expected - 1).max())
    if not difference <= TOLERANCE:  # also if it is NaN
        raise UnsupportedOperatorError(
            f"the translated networks differ from the original ones by {difference:.1e} (allowed: {TOLERANCE:.0e})"
        )


def _key(predictor: "DepthPredictor") -> str:
    """Hash everything that the translation depends on: weights, settings, and the code of networks and translation."""
    digest = hashlib.sha256(f"{paddle.__version__} {predictor.size} {predictor.depth_range}\n".encode())
    for path in sorted(_sources(predictor.model)):
        digest.update(path.read_bytes())
    for name, tensor in predictor.model.state_dict().items():
        array = np.ascontiguousarray(tensor.numpy())
        digest.update(f"{name} {array.shape} {array.dtype}\n".encode())
        digest.update(array)
    # Settings of the layers that are no weights, such as strides.
    digest.update(f"{predictor.model!r} {predictor.info and predictor.info.model}".encode())
    return digest.hexdigest()[:32]


def _sources(model: paddle.nn.Layer) -> Iterator[Path]:
    """Yield the files with the code of the layers, here or registered elsewhere, and of the translation."""
    files = {path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")}
    for kind in {type(layer) for layer in model.sublayers(include_self=True)}:
        if not kind.__module__.startswith("paddle."):
            with contextlib.suppress(TypeError, OSError):  # defined interactively
                files.add(Path(inspect.getfile(kind)).resolve())
    yield from (path for path in files if path.is_file())


def _read(path: Path) -> bytes | None:
    """Return the model in a file; None if the file is missing, unreadable or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    model = content[CHECKSUM_BYTES:]
    return model if content[:CHECKSUM_BYTES] == _checksum(model) else None


def _write(path: Path, model: bytes) -> None:
    """Write a model to the cache unless another process is writing or the folder is not writable; delete old ones."""
    with contextlib.suppress(FolderInUseError, UserError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock_folder(path.parent / "lock"):
            with atomic_file(path) as stream:
                stream.write(_checksum(model) + model)
            models = sorted(path.parent.glob("*.bin"), key=lambda file: file.stat().st_mtime_ns)
            for old in models[:-KEPT_MODELS]:
                old.unlink()


def _checksum(content: bytes) -> bytes:
    return f"{zlib.crc32(content):0{CHECKSUM_BYTES}x}".encode()
