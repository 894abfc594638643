"""The centre line of a road, and coordinates along and across it."""

from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

STEP = 0.25  # metres between samples of the centre line
CELL = 0.5  # metres between samples of the ground
REACH = 12.0  # metres on both sides for which coordinates are tabulated


class Road:
    """A flat road from the origin, of piecewise constant curvature that is smoothed over 10 m.

    Args:
        rng: Random generator of the bends.
        length: Length in metres.
        straight: Metres before the first bend.
    """

    def __init__(self, rng: np.random.Generator, length: float, straight: float = 15.0):
        count = int(np.ceil(length / STEP)) + 1
        curvature = np.zeros(count)
        at, heading = straight, 0.0
        while at < length:
            run = rng.uniform(18, 45)
            bend = 0.0 if rng.random() < 0.3 else rng.choice([-1, 1]) / rng.uniform(28, 90)
            if abs(heading + bend * run) > np.radians(100):
                bend = -bend
            heading += bend * run
            curvature[int(at / STEP) : int((at + run) / STEP)] = bend
            at += run
        smooth = np.hanning(41)  # 10 m of transition between curvatures
        curvature = np.convolve(np.pad(curvature, 20, mode="edge"), smooth / smooth.sum(), mode="valid")
        self.length = (count - 1) * STEP
        self.headings = np.concatenate([[0], np.cumsum(curvature[:-1] * STEP)])
        middle = (self.headings[:-1] + self.headings[1:]) / 2
        steps = STEP * np.stack([np.cos(middle), np.sin(middle)], axis=1)
        self.points = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])  # (count, 2)

    def at(self, along, across=0.0) -> tuple[np.ndarray, np.ndarray]:
        """Return positions (..., 2) at ``along`` and ``across`` metres (left positive), and the heading in radians."""
        along = np.asarray(along, dtype=float)
        samples = np.arange(len(self.points)) * STEP
        heading = np.interp(along, samples, self.headings)
        x, y = (np.interp(along, samples, self.points[:, axis]) for axis in (0, 1))
        return np.stack([x - across * np.sin(heading), y + across * np.cos(heading)], axis=-1), heading

    def beside(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute along and across of points (N, 2) from the nearest sample of the centre line."""
        _, nearest = self._tree.query(points)
        heading = self.headings[nearest]
        dx, dy = (points - self.points[nearest]).T
        along = nearest * STEP + dx * np.cos(heading) + dy * np.sin(heading)
        return along, dy * np.cos(heading) - dx * np.sin(heading)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points)

    @cached_property
    def _ground(self) -> tuple[np.ndarray, np.ndarray]:
        """Tabulate along and across within REACH of the road: origin (2,) and grid (rows, columns, 2)."""
        origin = self.points.min(axis=0) - REACH
        columns, rows = (np.ceil((self.points.max(axis=0) + REACH - origin) / CELL) + 1).astype(int)
        y, x = np.mgrid[:rows, :columns] * CELL
        along, across = self.beside(np.stack([x.ravel(), y.ravel()], axis=1) + origin)
        return origin, np.stack([along, across], axis=1).reshape(rows, columns, 2).astype(np.float32)

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Interpolate along and across of ground points (N,); across is infinite far from the road."""
        origin, samples = self._ground
        rows, columns, _ = samples.shape
        column, row = (x - origin[0]) / CELL, (y - origin[1]) / CELL
        known = (column >= 0) & (row >= 0) & (column < columns - 1) & (row < rows - 1)
        column, row = np.where(known, column, 0), np.where(known, row, 0)
        left, top = column.astype(np.int32), row.astype(np.int32)
        share_x, share_y = (column - left)[:, None].astype(np.float32), (row - top)[:, None].astype(np.float32)
        flat = samples.reshape(-1, 2)
        index = top * columns + left
        above = flat[index] + share_x * (flat[index + 1] - flat[index])
        index += columns
        below = flat[index] + share_x * (flat[index + 1] - flat[index])
        value = above + share_y * (below - above)
        return value[:, 0], np.where(known & (abs(value[:, 1]) < REACH - 1), value[:, 1], np.inf)
