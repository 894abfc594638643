"""Small weights, and an image and a video to upload."""

import av
import numpy as np
import paddle
import pytest
from PIL import Image

from inference.depth_predictor import DepthPredictor
from networks.monodepth import Monodepth
from serialization.weights_folder import save_weights


@pytest.fixture(scope="session")
def page_weights(tmp_path_factory):
    """Weights folders: "mono" without a metric scale, "stereo" with one."""
    root = tmp_path_factory.mktemp("page_weights")
    for seed, name in enumerate(("mono", "stereo")):
        paddle.seed(seed)
        info = {"height": 64, "width": 96, "use_stereo": name == "stereo"}
        save_weights(root / name, Monodepth.for_depth().networks(), info)
    return root


@pytest.fixture(scope="session")
def predictors(page_weights):
    """Predictors of both weights folders."""
    return {name: DepthPredictor.from_folder(page_weights / name) for name in ("mono", "stereo")}


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return a random image, uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def photo(tmp_path):
    """A 70x50 image."""
    path = tmp_path / "a photo.png"
    Image.fromarray(noise(50, 70)).save(path)
    return path


@pytest.fixture
def clip(tmp_path):
    """A video of five 64x48 frames at 10 fps, each of a different grey value."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for grey in (40, 80, 120, 160, 200):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8))))
        container.mux(stream.encode())
    return path
