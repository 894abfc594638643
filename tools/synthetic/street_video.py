"""Render videos of the built-in world through a lens with distortion, with the depth of each frame."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from common.video_writer import Mp4Writer
from datasets.cameras import BROWN, FISHEYE, Camera, rescale_and_validate
from datasets.depth_maps import FAST, encode_depth_png
from tools.synthetic.render import PinholeCamera, StreetRenderer
from tools.synthetic.street import Street
from tools.synthetic.textures import build_atlas

QUALITY = 16  # CRF of H.264: almost no visible loss
BAR_SHARE, BONNET_TOP = 0.08, 0.78  # height of each letterbox bar, and upper edge of the bonnet; of the image's height
LENSES = {  # typical of a wide-angle action camera; coefficients as in ``layers.camera_models``
    "none": [BROWN, 0, 0, 0, 0, 0, 0, 0, 0],
    "brown": [BROWN, -0.28, 0.09, 0.0008, -0.0006, -0.012, 0, 0, 0],
    "fisheye": [FISHEYE, -0.02, 0.006, -0.003, 0.0005, 0, 0, 0, 0],
}


def lens_camera(size: tuple[int, int], lens: str, degrees: float | None = None) -> Camera:
    """Create a camera with this lens and horizontal FOV in degrees (default: KITTI's)."""
    K = PinholeCamera.like_kitti(*size).K
    if degrees is not None:
        K[0, 0] = K[1, 1] = Camera.from_view(degrees, size, "").K[0, 0]
    return rescale_and_validate(Camera(K, size, np.array(LENSES[lens], float), f"lens {lens}"), size, "the video")


class StreetVideo:
    """Renderer of a street through a camera with distortion. A call with a frame number returns colours and depth.

    Args:
        seed: Seed of the street.
        count: Number of frames.
        fps: Frames per second.
        camera: The camera.
        dashcam: Draw a bonnet and letterbox bars over the view.
    """

    def __init__(self, seed: tuple[int, ...], count: int, fps: float, camera: Camera, *, dashcam: bool = False) -> None:
        self.street = Street(seed, count, frame_seconds=1 / fps)
        pinhole, self._maps = PinholeCamera(*camera.size, camera.K), None
        if camera.has_distortion:
            pinhole, self._maps = _covering_pinhole(camera)
        self._renderer = StreetRenderer(self.street, build_atlas(seed[0]), pinhole)
        self._overlay = dashcam_overlay(camera.size) if dashcam else None

    def __call__(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Render colours, uint8 (H, W, 3), and depth along the optical axis in metres, float32 (H, W).

        Depth is 0 on the sky, on the bonnet and on the bars.
        """
        view = self._renderer.render(frame, self.street.poses[frame])
        color, depth = view.color, view.depth
        if self._maps is not None:
            color = cv2.remap(color, *self._maps, cv2.INTER_CUBIC)
            depth = cv2.remap(depth, *self._maps, cv2.INTER_NEAREST)
        if self._overlay is not None:
            drawn, covered = self._overlay
            color, depth = np.where(covered[..., None], drawn, color), np.where(covered, np.float32(0), depth)
        return color, depth


def dashcam_overlay(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw the bonnet that a dash camera sees, and letterbox bars.

    Args:
        size: (height, width) of the images.

    Returns:
        Colours, uint8 (H, W, 3), and the pixels that they cover, bool (H, W).
    """
    height, width = size
    bar, top = round(BAR_SHARE * height), round(BONNET_TOP * height)
    drawn, covered = np.zeros((height, width, 3), np.uint8), np.zeros(size, np.uint8)
    centre, radii = (width // 2, height), (round(0.6 * width), height - top)
    cv2.ellipse(covered, centre, radii, 0, 180, 360, 1, cv2.FILLED)
    shine = np.linspace(90, 30, height - top)[:, np.newaxis, np.newaxis]  # brightest where it reflects the sky
    drawn[top:] = (shine * (0.6, 0.75, 1.0)).astype(np.uint8)
    for scale in (0.55, 0.2):  # creases along the bonnet
        cv2.ellipse(drawn, centre, (round(scale * width), height - top), 0, 180, 360, (20, 25, 35), 2, cv2.LINE_AA)
    cv2.ellipse(drawn, centre, radii, 0, 180, 360, (120, 130, 150), 2, cv2.LINE_AA)
    for rows in (slice(0, bar), slice(height - bar, height)):
        drawn[rows], covered[rows] = 0, 1
    return drawn, covered.astype(bool)


def _covering_pinhole(camera: Camera) -> tuple[PinholeCamera, tuple[np.ndarray, np.ndarray]]:
    """Create a pinhole camera that covers the view of a lens, and maps (H, W) from lens to pinhole pixels."""
    height, width = camera.size
    y, x = np.mgrid[:height, :width]
    rays = camera.rays(np.stack([x.ravel(), y.ravel()], axis=1).astype(float))
    K = np.array([[camera.K[0, 0], 0, 0], [0, camera.K[1, 1], 0], [0, 0, 1]])
    pixels = rays * np.diag(K)[:2]
    K[:2, 2] = 2 - pixels.min(axis=0)  # a margin for interpolation
    pixels = (pixels + K[:2, 2]).reshape(height, width, 2).astype(np.float32)
    seen_width, seen_height = (np.ceil(pixels.reshape(-1, 2).max(axis=0)) + 3).astype(int).tolist()
    return PinholeCamera(seen_height, seen_width, K), (pixels[..., 0], pixels[..., 1])


def write_street_video(path: Path, views: Iterator[tuple[np.ndarray, np.ndarray]], fps: int) -> Iterator[None]:
    """Write PATH.mp4 and PATH_depth/FRAME.png (the format of ``datasets.depth_maps``), and yield after each frame."""
    depths = path.with_name(f"{path.name}_depth")
    depths.mkdir(exist_ok=True)
    with Mp4Writer(path.with_suffix(".mp4"), fps, crf=QUALITY) as writer:
        for number, (color, depth) in enumerate(views):
            writer.write(color)
            (depths / f"{number:06d}.png").write_bytes(encode_depth_png(depth, compress_level=FAST))
            yield
