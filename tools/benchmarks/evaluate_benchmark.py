"""Benchmark of the depth metrics on random frames with lidar-like sparse ground truth; prediction is not timed."""

from collections.abc import Iterator

import numpy as np

from evaluation.metrics.depth_protocol import DepthProtocol, evaluate_depths
from options import Options
from tools.benchmarks.measure import result_line, time_in_turn

FRAMES = 40
FRAME_SIZE = (375, 1242)
POINTS = 20_000


def run(opt: Options, repeat: int) -> Iterator[dict]:
    """Yield the result line. There is no baseline."""
    random = np.random.default_rng(0)
    scaled_disps = random.uniform(0.01, 1, (FRAMES, opt.height, opt.width)).astype(np.float32)
    ground_truths = [_ground_truth(random) for _ in range(FRAMES)]
    seconds = time_in_turn({"ours": lambda: evaluate_depths(scaled_disps, ground_truths, DepthProtocol())}, repeat)
    about = {"frames": FRAMES, "points": POINTS, "size": f"{opt.width}x{opt.height}"}
    yield result_line("evaluate", "ms/frame", seconds["ours"], FRAMES, **about)


def _ground_truth(random: np.random.Generator) -> np.ndarray:
    """Return a depth map, float32 (h, w) in metres, known at ``POINTS`` random pixels and 0 elsewhere."""
    depth = np.zeros(FRAME_SIZE, dtype=np.float32)
    chosen = random.choice(depth.size, POINTS, replace=False)
    depth.flat[chosen] = random.uniform(1, 80, POINTS)
    return depth
