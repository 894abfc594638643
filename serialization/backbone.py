"""Finds and reads what an encoder starts from: ``--weights_init``."""

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

WEIGHTS_DIR = Path(__file__).resolve().parents[1] / "weights"
_CONNECTION_TIMEOUT = 5.0  # seconds


def find_backbone(weights_init: str, name: str, weights_dir: Path = WEIGHTS_DIR) -> Path:
    """The file of a pretrained ResNet.

    Args:
        weights_init: "pretrained" for Paddle's ImageNet weights, from ``weights_dir``, else downloaded once;
            or a path: a file with one of the endings of ``READERS``, the same without its ending, or a folder that
            holds such a file named resnetN, or resnetN_pretrain.h5.
        name: "resnetN", N from 18 to 152.
        weights_dir: where "pretrained" looks first.

    Raises:
        WeightsError: there is no such file, or it cannot be downloaded; says where it looked and what to do.
    """
    if weights_init == "pretrained":
        return _find_in_folder(weights_dir, name) or _download(name, weights_dir)
    path = Path(weights_init).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        found = _find_in_folder(path, name)
        if found is None:
            names = any_of(_file_names(name))
            raise WeightsError(f"--weights_init {weights_init}: the folder has no {names}.")
        return found
    for ending in READERS:
        # Appended, since a name may hold a dot of its own.
        candidate = path.with_name(path.name + ending)
        if candidate.is_file():
            return candidate
    raise WeightsError(
        f"--weights_init {weights_init}: there is no such folder, and no such file, with or without "
        f"{any_of(READERS)}. Other choices: pretrained, scratch."
    )


def read_backbone(path: Path) -> dict[str, np.ndarray]:
    """A ResNet's arrays under Paddle's names ("conv1.weight"), without the ``encoder.`` of released files.

    Raises:
        WeightsError: as ``read_arrays``.
    """
    return {name.removeprefix("encoder."): array for name, array in read_arrays(path).items()}


def _file_names(name: str) -> tuple[str, ...]:
    return *(f"{name}{ending}" for ending in READERS), f"{name}_pretrain.h5"


def _find_in_folder(folder: Path, name: str) -> Path | None:
    candidates = (folder / name for name in _file_names(name))
    return next((path for path in candidates if path.is_file()), None)


def _download(name: str, weights_dir: Path) -> Path:
    """Paddle's own ImageNet weights, from its cache or its server."""
    from paddle.utils import download
    from paddle.vision.models.resnet import model_urls

    url, md5 = model_urls[name]
    try:
        # Paddle tries three times, without a limit of time: find out first whether there is a connection.
        if not (Path(download.WEIGHTS_HOME) / Path(url).name).is_file():
            _check_connection(url)
        with _quiet(download.logger):
            return Path(download.get_weights_path_from_url(url, md5))
    except (OSError, RuntimeError) as fault:
        raise WeightsError(
            f"--weights_init pretrained: Paddle's ImageNet weights are not in {weights_dir} and cannot be "
            f"downloaded ({fault}). Download {url} on a machine that can, and put it at "
            f"{weights_dir / _file_names(name)[0]}; or begin without it: --weights_init scratch."
        ) from fault


def _check_connection(url: str) -> None:
    """Raises OSError where the server of ``url`` does not answer; a proxy is left to the download."""
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
