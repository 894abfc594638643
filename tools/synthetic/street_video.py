"""Videos of the built-in world, as somebody's own camera with a lens would take them, and the depth of each frame."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from common.video import Mp4Writer
from datasets.cameras import BROWN, FISHEYE, Camera, rescale_and_validate
from datasets.depth_maps import FAST, encode_depth_png
from tools.synthetic.render import PinholeCamera, StreetRenderer
from tools.synthetic.street import Street
from tools.synthetic.textures import build_atlas

QUALITY = 16  # of H.264: hardly to be told from the drawing
LENSES = {  # of a wide lens for action; coefficients as in `layers.camera_models`
    "none": [BROWN, 0, 0, 0, 0, 0, 0, 0, 0],
    "brown": [BROWN, -0.28, 0.09, 0.0008, -0.0006, -0.012, 0, 0, 0],
    "fisheye": [FISHEYE, -0.02, 0.006, -0.003, 0.0005, 0, 0, 0, 0],
}


def lens_camera(size: tuple[int, int], lens: str, degrees: float | None = None) -> Camera:
    """A pinhole with this field of view across, by default KITTI's, behind a lens."""
    K = PinholeCamera.like_kitti(*size).K
    if degrees is not None:
        K[0, 0] = K[1, 1] = Camera.from_view(degrees, size, "").K[0, 0]
    return rescale_and_validate(Camera(K, size, np.array(LENSES[lens], float), f"lens {lens}"), size, "the video")


class StreetVideo:
    """Draws the frames of a street as a camera with a lens sees them: called with a number, gives colours and depth.

    Args:
        seed: of the street.
        count: frames.
        fps: a second.
        camera: what films it.
    """

    def __init__(self, seed: tuple[int, ...], count: int, fps: float, camera: Camera) -> None:
        self.street = Street(seed, count, frame_seconds=1 / fps)
        pinhole, self._maps = PinholeCamera(*camera.size, camera.K), None
        if camera.has_distortion:
            pinhole, self._maps = _behind(camera)
        self._renderer = StreetRenderer(self.street, build_atlas(seed[0]), pinhole)

    def __call__(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Colours, uint8 (H, W, 3), and depth along the axis in metres, float32 (H, W), 0 for the sky."""
        view = self._renderer.render(frame, self.street.poses[frame])
        if self._maps is None:
            return view.color, view.depth
        color, depth = (
            cv2.remap(image, *self._maps, how)
            for image, how in ((view.color, cv2.INTER_CUBIC), (view.depth, cv2.INTER_NEAREST))
        )
        return color, depth


def _behind(camera: Camera) -> tuple[PinholeCamera, tuple[np.ndarray, np.ndarray]]:
    """A pinhole camera that sees all that a lens sees, and where in its images the pixels behind the lens look."""
    height, width = camera.size
    y, x = np.mgrid[:height, :width]
    rays = camera.rays(np.stack([x.ravel(), y.ravel()], axis=1).astype(float))
    K = np.array([[camera.K[0, 0], 0, 0], [0, camera.K[1, 1], 0], [0, 0, 1]])
    pixels = rays * np.diag(K)[:2]
    K[:2, 2] = 2 - pixels.min(axis=0)  # a pixel or two around, which are interpolated with
    pixels = (pixels + K[:2, 2]).reshape(height, width, 2).astype(np.float32)
    seen_width, seen_height = (np.ceil(pixels.reshape(-1, 2).max(axis=0)) + 3).astype(int).tolist()
    return PinholeCamera(seen_height, seen_width, K), (pixels[..., 0], pixels[..., 1])


def write_street_video(path: Path, views: Iterator[tuple[np.ndarray, np.ndarray]], fps: int) -> Iterator[None]:
    """PATH.mp4, and PATH_depth/FRAME.png as in `datasets.depth_maps`; yields after each frame."""
    depths = path.with_name(f"{path.name}_depth")
    depths.mkdir(exist_ok=True)
    with Mp4Writer(path.with_suffix(".mp4"), fps, crf=QUALITY) as writer:
        for number, (color, depth) in enumerate(views):
            writer.write(color)
            (depths / f"{number:06d}.png").write_bytes(encode_depth_png(depth, compress_level=FAST))
            yield
