"""Render the view of a camera in a street: colours, exact depth and instances.

Visibility is sampled at twice the image resolution, with every second sample at a pixel centre. The centre sample gives
depth, instance and colour, since textures are prefiltered. Where the nine samples in and around a pixel see different
objects, its colour is their tent-weighted mean.
"""

from dataclasses import dataclass

import numpy as np

from tools.synthetic.raster import GROUND, SKY, Rasteriser, Solids, unit_vectors
from tools.synthetic.shapes import CAR_SIZE, instance_id
from tools.synthetic.street import Street
from tools.synthetic.textures import KERB, MATERIALS, PAVEMENT_END, ROAD_STRIP, TextureAtlas

AMBIENT, DIFFUSE = 0.55, 0.6


@dataclass(frozen=True)
class PinholeCamera:
    """A pinhole camera. Pixel i has its centre at coordinate i.

    Attributes:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        K: (3, 3) intrinsics in pixels.
    """

    height: int
    width: int
    K: np.ndarray

    @classmethod
    def like_kitti(cls, height: int, width: int) -> "PinholeCamera":
        """Create a camera with KITTI's horizontal FOV (focal length 0.58 W), square pixels, and cy at 0.46 (H - 1)."""
        focal = 0.58 * width
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal, 0.46 * (height - 1)], [0, 0, 1]])
        return cls(height, width, K)


@dataclass(frozen=True)
class RenderedView:
    """A rendered image with its ground truth.

    Attributes:
        color: uint8 (H, W, 3), RGB.
        depth: float32 (H, W), metres along the optical axis at the pixel centres; 0 for the sky.
        instances: uint16 (H, W), class * 1000 + number; 0 for the sky.
    """

    color: np.ndarray
    depth: np.ndarray
    instances: np.ndarray


class StreetRenderer:
    """Renderer of the frames of one street.

    Args:
        street: The street.
        atlas: Textures of all materials.
        camera: The camera; both cameras of a stereo pair share its intrinsics.
    """

    def __init__(self, street: Street, atlas: TextureAtlas, camera: PinholeCamera):
        self.street = street
        self.atlas = atlas
        self.camera = camera
        self._static_solids = Solids(street.shapes)
        self._set_samples()

    def _set_samples(self) -> None:
        camera, K = self.camera, self.camera.K
        # Two samples per pixel in each direction: odd ones are at pixel centres.
        self.x = ((np.arange(2 * camera.width + 1) - 1) / 2 - K[0, 2]) / K[0, 0]
        self.y = ((np.arange(2 * camera.height + 1) - 1) / 2 - K[1, 2]) / K[1, 1]
        self._rasteriser = Rasteriser(self.x, self.y)

    def solids_of(self, frame: int) -> Solids:
        """Return the objects at their positions in a frame."""
        return self._static_solids.join(Solids(self.street.moving_shapes(frame)))

    def surface(self, solids: Solids, T_world_camera: np.ndarray, frame: int) -> "Surface":
        """Return the shading of a view."""
        return Surface(self, solids, T_world_camera, frame)

    def render(self, frame: int, T_world_camera: np.ndarray) -> RenderedView:
        """Render a frame of the street from any camera pose, T_world_camera (4, 4)."""
        solids = self.solids_of(frame)
        inverse_depth, numbers = self._rasteriser.visible(solids, np.linalg.inv(T_world_camera))
        edges = _differ_around(numbers)
        rows, columns = np.nonzero(_samples_of(edges))
        surface = self.surface(solids, T_world_camera, frame)
        color, instance = surface.shade(columns, rows, inverse_depth[rows, columns], numbers[rows, columns])
        colors = np.zeros((*numbers.shape, 3), np.float32)
        instances = np.zeros(numbers.shape, np.uint16)
        colors[rows, columns], instances[rows, columns] = color, instance
        colors = np.where(edges[..., None], _tent(colors), colors[1::2, 1::2])
        seen = numbers[1::2, 1::2] != SKY
        depth = np.where(seen, 1 / np.maximum(inverse_depth[1::2, 1::2], 1e-6), 0).astype(np.float32)
        return RenderedView((colors + 0.5).clip(0, 255).astype(np.uint8), depth, instances[1::2, 1::2])


def _differ_around(numbers: np.ndarray) -> np.ndarray:
    """Find pixels (H, W) with an edge, where the nine of (2H + 1, 2W + 1) samples see different objects."""
    down = (numbers[:-1:2] != numbers[1::2]) | (numbers[2::2] != numbers[1::2])
    across = (numbers[:, :-1:2] != numbers[:, 1::2]) | (numbers[:, 2::2] != numbers[:, 1::2])
    down = down[:, :-1:2] | down[:, 1::2] | down[:, 2::2]
    return down | across[1::2]


def _samples_of(edges: np.ndarray) -> np.ndarray:
    """Select the samples (2H + 1, 2W + 1) to shade: all pixel centres, and all nine samples of pixels with an edge."""
    height, width = edges.shape
    needed = np.zeros((2 * height + 1, 2 * width + 1), bool)
    for row in range(3):
        for column in range(3):
            needed[row : row + 2 * height : 2, column : column + 2 * width : 2] |= edges
    needed[1::2, 1::2] = True
    return needed


class Surface:
    """Shading of the samples of one view, all at once."""

    def __init__(self, renderer: StreetRenderer, solids: Solids, T_world_camera: np.ndarray, frame: int):
        self.renderer, self.solids, self.frame = renderer, solids, frame
        self.R = T_world_camera[:3, :3].astype(np.float32)
        self.origin = T_world_camera[:3, 3].astype(np.float32)

    def shade(self, columns, rows, inverse_depth, numbers) -> tuple[np.ndarray, np.ndarray]:
        """Compute the colours (N, 3), float32 in [0, 255], and instances (N,) of N samples."""
        count = len(numbers)
        x, y = self.renderer.x[columns].astype(np.float32), self.renderer.y[rows].astype(np.float32)
        directions = np.stack([x, y, np.ones(count, np.float32)], axis=1)
        self.directions = directions @ self.R.T
        self.lengths = np.sqrt(np.einsum("ij,ij->i", directions, directions))
        self.depth = 1 / np.maximum(inverse_depth, np.float32(1e-6))
        self.numbers = numbers
        self.material = np.zeros(count, np.int32)
        self.u, self.v = np.zeros(count, np.float32), np.zeros(count, np.float32)
        self.light = np.ones((count, 3), np.float32)
        self.instances = np.zeros(count, np.uint16)
        # Width of a pixel in metres at 1 m distance; surfaces multiply it by distance and slant.
        self.footprint = np.full(count, 1 / self.renderer.camera.K[0, 0], np.float32)
        quads = len(self.solids.quads)
        self._shade_sky(np.flatnonzero(numbers == SKY))
        self._shade_ground(np.flatnonzero(numbers == GROUND))
        self._shade_quads(np.flatnonzero((numbers >= 0) & (numbers < quads)))
        self._shade_ellipsoids(np.flatnonzero(numbers >= quads))
        color = self.renderer.atlas.sample(self.material, self.u, self.v, self.footprint)
        return color * self.light, self.instances

    def _points(self, index: np.ndarray) -> np.ndarray:
        return self.origin + self.directions[index] * self.depth[index, None]

    def _light(self, index: np.ndarray, normals: np.ndarray, tint) -> None:
        """Apply sun and sky light, and scale the footprint."""
        sun = self.renderer.street.sun.astype(np.float32)
        self.light[index] = (AMBIENT + DIFFUSE * np.maximum(normals @ sun, 0))[..., None] * tint
        self._widen(index, normals)

    def _widen(self, index: np.ndarray, normals: np.ndarray) -> None:
        """Scale the footprint of samples by distance and viewing angle."""
        cosine = abs(np.einsum("ij,ij->i", self.directions[index], np.broadcast_to(normals, (len(index), 3))))
        cosine /= self.lengths[index]
        self.footprint[index] *= self.depth[index] / np.sqrt(np.maximum(cosine, 0.02))

    def _shade_sky(self, index: np.ndarray) -> None:
        x, y, z = self.directions[index].T
        self.material[index] = MATERIALS["sky"]
        self.u[index] = np.arctan2(y, x)
        self.v[index] = np.maximum(np.arctan2(z, np.hypot(x, y)), 0.002)

    def _shade_ground(self, index: np.ndarray) -> None:
        x, y, _ = self._points(index).T
        along, across = self.renderer.street.road.locate(x, y)
        distance = abs(across)
        on_strip = distance < ROAD_STRIP - 0.3
        self.material[index] = np.where(on_strip, MATERIALS["road"], MATERIALS["grass"])
        self.u[index] = np.where(on_strip, np.where(on_strip, across, 0) + ROAD_STRIP, x)
        self.v[index] = np.where(on_strip, along, y)
        on_road, paved = instance_id("road"), instance_id("pavement")
        self.instances[index] = np.select(
            [distance < KERB, distance < PAVEMENT_END], [on_road, paved], instance_id("grass")
        )
        self._light(index, np.array([0, 0, 1], np.float32), 1.0)
        for position, heading in self.renderer.street.moving_poses(self.frame):
            self.light[index] *= _shadow(x - position[0], y - position[1], heading)[:, None]

    def _shade_quads(self, index: np.ndarray) -> None:
        number = self.numbers[index]
        solids, looks = self.solids, self.solids.quad_looks
        offset = self._points(index) - solids.first[number]
        self.material[index] = looks.material[number]
        self.u[index] = np.einsum("ij,ij->i", offset, solids.u[number])
        self.v[index] = np.einsum("ij,ij->i", offset, solids.v[number])
        self.instances[index] = looks.instance[number]
        self._light(index, solids.normals[number], looks.tint[number])

    def _shade_ellipsoids(self, index: np.ndarray) -> None:
        number = self.numbers[index] - len(self.solids.quads)
        solids, looks = self.solids, self.solids.ellipsoid_looks
        radii = solids.radii[number].astype(np.float32)
        unit = (self._points(index) - solids.centres[number].astype(np.float32)) / radii
        self.material[index] = looks.material[number]
        self.u[index] = np.arctan2(unit[:, 1], unit[:, 0]) * radii[:, 0]
        self.v[index] = np.arcsin(np.clip(unit[:, 2], -1, 1)) * radii[:, 2]
        self.instances[index] = looks.instance[number]
        self._light(index, unit_vectors(unit / radii), looks.tint[number])


def _shadow(x: np.ndarray, y: np.ndarray, heading: float) -> np.ndarray:
    """Compute the share of light (N,) that reaches the ground under and around a car at the origin."""
    ahead, aside = x * np.cos(heading) + y * np.sin(heading), y * np.cos(heading) - x * np.sin(heading)
    outside = np.maximum(abs(ahead) - CAR_SIZE[0] / 2, abs(aside) - CAR_SIZE[1] / 2)
    return np.clip(0.7 + outside, 0.35, 1).astype(np.float32)


def _tent(samples: np.ndarray) -> np.ndarray:
    """Filter samples (2H + 1, 2W + 1, 3) to pixels (H, W, 3) with weights 1, 2, 1 in both directions."""
    down = samples[:-1:2] + 2 * samples[1::2] + samples[2::2]
    return (down[:, :-1:2] + 2 * down[:, 1::2] + down[:, 2::2]) / 16
