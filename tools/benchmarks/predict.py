"""Depth of random images of the networks' size, with random weights, in batches: what predict.py does between files."""

from collections.abc import Iterator

import numpy as np

from inference import DepthPredictor
from networks.build import build_depth_networks
from options import Options
from tools.benchmarks.measure import result_line, time_in_turn

BATCH_SIZE = 4


def run(opt: Options, repeat: int) -> Iterator[dict]:
    """Yields the line; there is no baseline."""
    batch_size = opt.batch_size if "batch_size" in opt.given else BATCH_SIZE
    predictor = DepthPredictor(**build_depth_networks(opt.num_layers, scales=(0,)), size=(opt.height, opt.width))
    random = np.random.default_rng(0)
    images = list(random.integers(0, 256, (batch_size, opt.height, opt.width, 3), dtype=np.uint8))
    seconds = time_in_turn({"ours": lambda: predictor(images)}, repeat)["ours"]
    about = {"batch_size": batch_size, "size": f"{opt.width}x{opt.height}", "num_layers": opt.num_layers}
    yield result_line("predict", "ms/image", seconds, batch_size, **about)
