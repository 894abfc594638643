"""Rasterise the ground, solids and the sky: inverse depth and object number of each sample of an image.

Inverse depth of a plane is linear in image coordinates, which makes visibility and depth exact.
"""

import numpy as np

from tools.synthetic.shapes import Shapes

NEAR, FAR = 0.3, 250.0
GROUND, SKY = -1, -2  # numbers of what is not a solid


class Solids:
    """Shapes as arrays; solids are numbered with the quads first, then the ellipsoids."""

    def __init__(self, shapes: Shapes):
        self.quads = np.array(shapes.quads).reshape(-1, 4, 3)
        self.quad_looks = Looks(shapes.quad_looks)
        self.centres = np.array([centre for centre, _ in shapes.ellipsoids]).reshape(-1, 3)
        self.radii = np.array([radii for _, radii in shapes.ellipsoids]).reshape(-1, 3)
        self.ellipsoid_looks = Looks(shapes.ellipsoid_looks)
        self._find_frames()

    def _find_frames(self) -> None:
        """Compute each quad's normal and texture axes: u along its first edge, v across, in metres from corner 0."""
        first, second, third = (self.quads[:, i] for i in range(3))
        normals = np.cross(second - first, third - first)
        self.normals = unit_vectors(normals)
        self.u = unit_vectors(second - first)
        self.v = np.cross(self.normals, self.u)
        self.first = first.astype(np.float32)

    def join(self, other: "Solids") -> "Solids":
        """Concatenate two sets of solids; ``other`` must not contain ellipsoids."""
        both = object.__new__(Solids)
        for name in ("quads", "normals", "u", "v", "first", "centres", "radii"):
            setattr(both, name, np.concatenate([getattr(self, name), getattr(other, name)]))
        for name in ("quad_looks", "ellipsoid_looks"):
            setattr(both, name, getattr(self, name).join(getattr(other, name)))
        return both


class Looks:
    """Material, tint and instance of N shapes."""

    def __init__(self, looks: list[tuple[int, np.ndarray, int]]):
        self.material = np.array([material for material, _, _ in looks], np.int32)
        self.tint = np.array([tint for _, tint, _ in looks], np.float32).reshape(-1, 3)
        self.instance = np.array([instance for _, _, instance in looks], np.uint16)

    def join(self, other: "Looks") -> "Looks":
        """Concatenate two sets of looks."""
        both = object.__new__(Looks)
        for name in ("material", "tint", "instance"):
            setattr(both, name, np.concatenate([getattr(self, name), getattr(other, name)]))
        return both


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Normalise vectors (N, 3) to length 1, float32; zero vectors stay zero."""
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)).astype(np.float32)


class Rasteriser:
    """Rasteriser of a grid of samples on the image plane.

    Args:
        x: (columns,) ascending coordinates of the samples at z = 1, in camera axes.
        y: (rows,) likewise.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self._x, self._y = x, y

    def visible(self, solids: Solids, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rasterise solids, ground and sky.

        Args:
            solids: The solids, in world axes.
            T: (4, 4) transform from world to camera axes.

        Returns:
            Inverse depth (rows, columns) in 1/m, 0 for the sky; and the number of the visible solid, or GROUND or SKY.
        """
        height, width = len(self._y), len(self._x)
        # The ground z = 0 in camera axes: inverse depth of direction d is -(up . d) / height.
        up, above = T[:3, 2], np.linalg.inv(T)[2, 3]
        inverse_depth = (-(up[0] * self._x + (up[1] * self._y + up[2])[:, None]) / above).astype(np.float32)
        numbers = np.where(inverse_depth > 1 / FAR, np.int32(GROUND), np.int32(SKY))
        inverse_depth = np.where(numbers == GROUND, inverse_depth, 0).astype(np.float32)
        quads = solids.quads @ T[:3, :3].T + T[:3, 3]
        self._rasterise_quads(quads, inverse_depth, numbers)
        self._rasterise_ellipsoids(solids, T, inverse_depth, numbers)
        return inverse_depth, numbers.reshape(height, width)

    def _rasterise_quads(self, quads: np.ndarray, inverse_depth: np.ndarray, numbers: np.ndarray) -> None:
        normals = np.cross(quads[:, 1] - quads[:, 0], quads[:, 2] - quads[:, 0])
        distance = (normals * quads[:, 0]).sum(1)
        nearest = quads[..., 2].max(1)
        candidates = np.flatnonzero((distance < -1e-9) & (nearest > NEAR) & (quads[..., 2].min(1) < FAR))
        columns, rows = self._bounds(quads[candidates])
        seen = (columns[:, 0] < columns[:, 1]) & (rows[:, 0] < rows[:, 1])
        candidates, columns, rows = candidates[seen], columns[seen], rows[seen]
        # Edge functions of the planes through the camera and each edge, positive inside. They are valid for corners
        # behind the camera too (Olano and Greer, "Triangle Scan Conversion Using 2D Homogeneous Coordinates", 1997).
        corners = quads[candidates]
        edges = -np.cross(corners, np.roll(corners, -1, axis=1))
        planes = normals[candidates] / distance[candidates, None]
        x, y = self._x.astype(np.float32), self._y.astype(np.float32)[:, None]
        edges, planes = edges.astype(np.float32), planes.astype(np.float32)
        for i in np.argsort(corners[..., 2].min(1)):
            (left, right), (top, bottom) = columns[i], rows[i]
            xs, ys = x[left:right], y[top:bottom]
            nearest = inverse_depth[top:bottom, left:right]
            a, b, c = planes[i]
            inverse = a * xs + (b * ys + c)
            mask = inverse > nearest
            if not mask.any():
                continue
            for a, b, c in edges[i]:
                mask &= a * xs + (b * ys + c) >= 0
            np.copyto(nearest, inverse, where=mask)
            np.copyto(numbers[top:bottom, left:right], candidates[i], where=mask, casting="same_kind")

    def _bounds(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bound the columns (N, 2) and rows (N, 2) of samples that convex bodies (N, M, 3) may cover."""
        ahead = corners[..., 2] >= NEAR
        # Clip at the near plane: corners behind it are replaced by its intersections with the lines to corners ahead.
        ranges = []
        pairs = [(i, j) for i in range(corners.shape[1]) for j in range(i)]
        first, second = (corners[:, [pair[k] for pair in pairs]] for k in (0, 1))
        crossing = (first[..., 2] >= NEAR) != (second[..., 2] >= NEAR)
        gap = np.where(crossing, second[..., 2] - first[..., 2], 1)
        cut = first + ((NEAR - first[..., 2]) / gap)[..., None] * (second - first)
        points, valid = np.concatenate([corners, cut], axis=1), np.concatenate([ahead, crossing], axis=1)
        z = np.where(valid, points[..., 2], 1)
        for axis, samples in ((0, self._x), (1, self._y)):
            at = points[..., axis] / z
            low, high = np.where(valid, at, np.inf).min(1), np.where(valid, at, -np.inf).max(1)
            ranges.append(np.stack([np.searchsorted(samples, low), np.searchsorted(samples, high, "right")], axis=1))
        return ranges[0], ranges[1]

    def _rasterise_ellipsoids(self, solids: "Solids", T: np.ndarray, inverse_depth, numbers) -> None:
        if not len(solids.centres):
            return
        centres = solids.centres @ T[:3, :3].T + T[:3, 3]
        signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        corners = (solids.centres[:, None] + signs * solids.radii[:, None]) @ T[:3, :3].T + T[:3, 3]
        columns, rows = self._bounds(corners)
        for i in np.argsort(centres[:, 2]):
            (left, right), (top, bottom) = columns[i], rows[i]
            if centres[i, 2] < 1 or centres[i, 2] > FAR or left >= right or top >= bottom:
                continue
            x, y = self._x[left:right].astype(np.float32), self._y[top:bottom, None].astype(np.float32)
            shape = T[:3, :3] / solids.radii[i] ** 2 @ T[:3, :3].T
            # Solve (d t - c)' M (d t - c) = 1 for the smaller t.
            quadratic = shape[0, 0] * x * x + (shape[1, 1] * y * y + 2 * shape[1, 2] * y + shape[2, 2])
            quadratic += 2 * x * (shape[0, 1] * y + shape[0, 2])
            pull = shape @ centres[i]
            linear = pull[0] * x + (pull[1] * y + pull[2])
            root = linear * linear - quadratic * (centres[i] @ pull - 1)
            nearest = inverse_depth[top:bottom, left:right]
            inverse = quadratic / np.maximum(linear - np.sqrt(np.maximum(root, 0)), 1e-6)
            mask = (root > 0) & (inverse > nearest) & (inverse < 1 / NEAR)
            np.copyto(nearest, inverse.astype(np.float32), where=mask)
            number = np.int32(len(solids.quads) + i)
            np.copyto(numbers[top:bottom, left:right], number, where=mask)
