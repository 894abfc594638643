"""Cast shadows: a map of the highest object on every ray towards the sun, by where the ray meets the ground."""

import cv2
import numpy as np

from tools.synthetic.raster import Solids

CELL = 0.15  # metres
X0, X1, Y0, Y1 = -15.0, 110.0, -40.0, 40.0
TOLERANCE = 0.08  # metres that an object may be above a point without shading it


class Shadows:
    """Shadows of parallel light.

    Rays are named by the ground point that they would meet. A point is lit if no object on its ray is higher.

    Args:
        solids: The objects.
        sun: (3,) unit vector towards the light, above the horizon.
        blur: Standard deviation in metres by which shadows are blurred, as those of the sky are.
    """

    def __init__(self, solids: Solids, sun: np.ndarray, blur: float = 0.0):
        self.slope = (sun[:2] / sun[2]).astype(np.float32)
        shape = int((Y1 - Y0) / CELL), int((X1 - X0) / CELL)
        self.top = np.zeros(shape, np.float32)
        self.blur = blur
        cells = self._cells(solids.quads)
        first, second, third = (np.dstack([cells, solids.quads[..., 2]])[:, i] for i in range(3))
        normals = np.cross(second - first, third - first)
        # A quad that is parallel to the light has no area in the map.
        for i in np.flatnonzero((abs(normals[:, 2]) > 1e-6) & (solids.quads[..., 2].max(1) > 0.15)):
            self._add_quad(cells[i], solids.quads[i, :, 2], first[i], normals[i])
        for centre, radii in zip(solids.centres, solids.radii, strict=True):
            self._add_ellipsoid(centre, radii)
        if blur:
            under = (self.top > 0.15).astype(np.float32) * np.clip(1.2 - self.top / 4, 0.15, 1)
            self.shade = cv2.GaussianBlur(under, (0, 0), blur / CELL)

    def _cells(self, points: np.ndarray) -> np.ndarray:
        """Return the map coordinates (..., 2), column and row, of points (..., 3)."""
        return (points[..., :2] - points[..., 2:] * self.slope - (X0, Y0)) / CELL

    def _add_quad(self, corners: np.ndarray, heights: np.ndarray, first: np.ndarray, normal: np.ndarray) -> None:
        """Raise the map to the height of a quad, which is linear in the cells."""
        (left, top), (right, bottom) = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int) + 1
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, self.top.shape[1]), min(bottom, self.top.shape[0])
        if left >= right or top >= bottom:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillConvexPoly(mask, np.round(corners - (left, top)).astype(np.int32), 1)
        x, y = np.arange(left, right), np.arange(top, bottom)[:, None]
        z = first[2] - (normal[0] * (x - first[0]) + normal[1] * (y - first[1])) / normal[2]
        region = self.top[top:bottom, left:right]
        np.maximum(region, np.where(mask > 0, z.clip(heights.min(), heights.max()), 0), out=region, casting="same_kind")

    def _add_ellipsoid(self, centre: np.ndarray, radii: np.ndarray) -> None:
        """Raise the map to the middle of an ellipsoid; its shadow is drawn as an ellipse along the light."""
        u, v = self._cells(centre)
        tilt = self.slope * radii[2] / CELL
        stretch = np.hypot(*tilt)
        radius = (radii[0] + radii[1]) / 2 / CELL
        axes = (max(1, int(np.hypot(radius, stretch))), max(1, int(radius)))
        reach = max(axes) + 2
        left, top = max(int(u) - reach, 0), max(int(v) - reach, 0)
        right, bottom = min(int(u) + reach, self.top.shape[1]), min(int(v) + reach, self.top.shape[0])
        if left >= right or top >= bottom:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        angle = float(np.degrees(np.arctan2(tilt[1], tilt[0])))
        cv2.ellipse(mask, (int(u) - left, int(v) - top), axes, angle, 0, 360, 1, -1)
        region = self.top[top:bottom, left:right]
        np.maximum(region, np.where(mask > 0, centre[2], 0), out=region, casting="same_kind")

    def lit(self, points: np.ndarray) -> np.ndarray:
        """Return the share of light (N,) that reaches points (N, 3)."""
        cells = self._cells(points).astype(np.float32)
        x, y = cells[:, 0].reshape(1, -1), cells[:, 1].reshape(1, -1)
        if self.blur:
            shade = _sample(self.shade, x, y)
            return 1 - shade * np.clip(1 - points[:, 2] / 0.8, 0, 1)  # only near the ground
        above = _sample(self.top, x, y) - points[:, 2]
        return np.clip(1 - (above - TOLERANCE) / 0.1, 0, 1)


def _sample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sample an image at N positions; outside it is 0."""
    parts = [
        cv2.remap(image, x[:, i : i + 30000], y[:, i : i + 30000], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        for i in range(0, x.shape[1], 30000)  # OpenCV's images have less than 32768 columns
    ]
    return np.concatenate(parts, axis=1)[0] if parts else np.zeros(0, np.float32)
