"""A small world on disk, and rendered scenes with ground truth."""

from pathlib import Path

import numpy as np
import paddle
import pytest

from datasets.batch import prepare_batch
from tools.synthetic.kitti_tree import STEREO_BASELINE
from tools.synthetic.render import PinholeCamera, StreetRenderer
from tools.synthetic.street import Street
from tools.synthetic.textures import build_atlas
from tools.synthetic.world import World, generate

DEPTH_RANGE = 0.1, 100.0


@pytest.fixture(scope="session")
def small_world() -> World:
    return World(height=96, width=320, frames=9, seed=3)


@pytest.fixture(scope="session")
def world_dir(small_world, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("worlds") / "world"
    assert generate(small_world, out, num_workers=0)
    return out


class Scene:
    """A frame of a street, its neighbours and its stereo pair, with exact depth and motion.

    Attributes:
        views: Frame id (0, -1, 1, "s") -> RenderedView.
        transforms: Source -> T_target_to_source (4, 4), in metres.
    """

    UNIT = 5.4  # metres per scene unit

    def __init__(self, street: Street, camera: PinholeCamera, frame: int = 1):
        self.street, self.camera = street, camera
        renderer = StreetRenderer(street, build_atlas(0), camera)
        poses = {f: street.poses[frame + f] for f in (0, -1, 1)}
        poses["s"] = street.poses[frame].copy()
        poses["s"][:3, 3] += STEREO_BASELINE * poses["s"][:3, 0]
        times = {0: frame, -1: frame - 1, 1: frame + 1, "s": frame}
        self.views = {f: renderer.render(times[f], pose) for f, pose in poses.items()}
        self.transforms = {f: np.linalg.inv(pose) @ poses[0] for f, pose in poses.items() if f != 0}

    @property
    def depth(self) -> np.ndarray:
        """Depth (H, W) in metres; the sky is at the far end of the networks' range."""
        depth = self.views[0].depth
        return np.where(depth > 0, depth, DEPTH_RANGE[1] * self.UNIT)

    def batch(self, scales=(0, 1, 2, 3)) -> dict:
        """Build the batch of one sample, as the loss reads it."""
        raw = {f"color/{f}/0": view.color.transpose(2, 0, 1)[None] for f, view in self.views.items()}
        K = np.eye(4)
        K[:3, :3] = self.camera.K
        raw["K/0"], raw["inv_K/0"] = (x[None].astype(np.float32) for x in (K, np.linalg.inv(K)))
        raw["stereo_T"] = self.units(self.transforms["s"])
        return prepare_batch(raw, scales)

    def outputs(self, depth_factor: float = 1.0, change: np.ndarray | None = None, scales=(0, 1, 2, 3)) -> dict:
        """Build ideal network outputs: true disparities and motions, optionally off by a factor or a transform."""
        low, high = 1 / DEPTH_RANGE[1], 1 / DEPTH_RANGE[0]
        disp = (self.UNIT / (self.depth * depth_factor) - low) / (high - low)
        disp = paddle.to_tensor(disp.clip(0, 1).astype(np.float32))[None, None]
        outputs = {f"disp/{s}": paddle.nn.functional.avg_pool2d(disp, 2**s) for s in scales}
        change = np.eye(4) if change is None else change
        for f in (-1, 1):
            outputs[f"T_target_to_source/{f}"] = paddle.to_tensor(self.units(change @ self.transforms[f]))
        return outputs

    def visible(self, source) -> np.ndarray:
        """Find pixels (H, W) of frame 0 that the source sees too, by both exact depths, away from depth edges."""
        height, width = self.depth.shape
        y, x = np.mgrid[:height, :width]
        rays = np.linalg.inv(self.camera.K) @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
        T = self.transforms[source]
        points = T[:3, :3] @ (rays * self.depth.ravel()) + T[:3, 3:]
        u, v = (self.camera.K @ points)[:2] / points[2]
        u, v = np.round(u), np.round(v)
        inside = (points[2] > 0) & (u >= 1) & (v >= 1) & (u < width - 1) & (v < height - 1)
        u, v = np.where(inside, u, 1).astype(int), np.where(inside, v, 1).astype(int)
        seen = self.views[source].depth
        seen = np.where(seen > 0, seen, DEPTH_RANGE[1] * self.UNIT)
        same = inside
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                same = same & (abs(seen[v + dy, u + dx] / points[2] - 1) < 0.05)
        return same.reshape(height, width)

    def units(self, T: np.ndarray) -> np.ndarray:
        """Convert a transform to (1, 4, 4) float32 with its translation in scene units."""
        scaled = T.copy()
        scaled[:3, 3] /= self.UNIT
        return scaled[None].astype(np.float32)


@pytest.fixture(scope="session")
def make_scene():
    """Return a function: street seed, options -> Scene, by default at 320x96."""

    def make(seed: int, height: int = 96, width: int = 320, frame: int = 1, **kwargs) -> Scene:
        return Scene(
            Street((7, seed), 3 if frame == 1 else frame + 2, **kwargs), PinholeCamera.like_kitti(height, width), frame
        )

    return make
