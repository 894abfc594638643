"""Locate and read the pretrained backbone that ``--weights_init`` selects."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np

from common.errors import WeightsError
from serialization.formats import READERS, any_of, read_arrays
from serialization.opening import report_unreadable

WEIGHTS_DIR = Path(__file__).resolve().parents[1] / "weights"
_CONNECTION_TIMEOUT = 5.0  # seconds


def find_backbone(weights_init: str, name: str, weights_dir: Path = WEIGHTS_DIR) -> Path:
    """Locate the weight file of a pretrained ResNet; download Paddle's ImageNet weights if necessary.

    Args:
        weights_init: "pretrained" (Paddle's ImageNet weights, from ``weights_dir`` or downloaded once) or a path: a
            weight file (with or without one of the extensions in ``READERS``), or a folder that contains resnetN with
            one of these extensions, or resnetN_pretrain.h5.
        name: "resnetN", N from 18 to 152.
        weights_dir: the folder that "pretrained" searches first.

    Raises:
        WeightsError: no file was found, or the download failed.
    """
    if weights_init == "pretrained":
        return _find_in_folder(weights_dir, name) or _download(name, weights_dir)
    path = Path(weights_init).expanduser()
    with report_unreadable(path):
        return _find_at(path, name)


def read_backbone(path: Path) -> dict[str, np.ndarray]:
    """Read a ResNet's arrays by Paddle's names ("conv1.weight"), without the prefix ``encoder.`` of released files.

    Raises:
        WeightsError: see ``read_arrays``.
    """
    return {name.removeprefix("encoder."): array for name, array in read_arrays(path).items()}


def _find_at(path: Path, name: str) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        found = _find_in_folder(path, name)
        if found is None:
            names = any_of(_file_names(name))
            raise WeightsError(f"--weights_init: no {names} found in '{path}'.")
        return found
    for ending in READERS:
        # Append the extension: with_suffix would replace what follows a dot in the name.
        candidate = path.with_name(path.name + ending)
        if candidate.is_file():
            return candidate
    raise WeightsError(
        f"--weights_init: '{path}' not found, neither as a folder nor as a file (with or without "
        f"{any_of(READERS)}). Pass an existing path, pretrained or scratch."
    )


def _file_names(name: str) -> tuple[str, ...]:
    return *(f"{name}{ending}" for ending in READERS), f"{name}_pretrain.h5"


def _find_in_folder(folder: Path, name: str) -> Path | None:
    candidates = (folder / name for name in _file_names(name))
    return next((path for path in candidates if path.is_file()), None)


def _download(name: str, weights_dir: Path) -> Path:
    """Get Paddle's ImageNet weights from its cache or its server."""
    from paddle.utils import download
    from paddle.vision.models.resnet import model_urls

    url, md5 = model_urls[name]
    try:
        # Paddle's download retries three times without a timeout, so check the connection first.
        if not (Path(download.WEIGHTS_HOME) / Path(url).name).is_file():
            _check_connection(url)
        with _quiet(download.logger):
            return Path(download.get_weights_path_from_url(url, md5))
    except (OSError, RuntimeError) as fault:
        raise WeightsError(
            f"--weights_init pretrained: Paddle's ImageNet weights were not found in '{weights_dir}' and the download "
            f"failed ({fault}). Download {url} on another machine and copy it to "
            f"'{weights_dir / _file_names(name)[0]}'. Or train without it: --weights_init scratch."
        ) from fault


def _check_connection(url: str) -> None:
    """Check that the server of ``url`` accepts connections; skip the check behind a proxy.

    Raises:
        OSError: the server cannot be reached.
    """
    if "https" not in getproxies():
        socket.create_connection((urlsplit(url).hostname, 443), timeout=_CONNECTION_TIMEOUT).close()


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
