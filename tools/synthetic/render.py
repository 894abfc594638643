"""Draws a street as a camera sees it: colours, exact depth, instances.

First it is found what each sample sees, two samples in a pixel's width, so that every second one lies on a pixel's
centre: that one gives depth, instance and, textures being filtered beforehand, the colour. Only where a pixel has an
edge, its colour is the tent-weighted mean of the nine samples in and around it.
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
    """A pinhole camera: pixel i has its centre at coordinate i.

    Attributes:
        height, width: of the image.
        K: (3, 3) in pixels.
    """

    height: int
    width: int
    K: np.ndarray

    @classmethod
    def like_kitti(cls, height: int, width: int) -> "PinholeCamera":
        """KITTI's field of view across (focal length 0.58 of the width), square pixels, a horizon a little high."""
        focal = 0.58 * width
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal, 0.46 * (height - 1)], [0, 0, 1]])
        return cls(height, width, K)


@dataclass(frozen=True)
class RenderedView:
    """What a camera sees.

    Attributes:
        color: uint8 (H, W, 3), RGB.
        depth: float32 (H, W), metres along the camera's axis at the pixels' centres; 0 for the sky.
        instances: uint16 (H, W), class * 1000 + number; 0 for the sky.
    """

    color: np.ndarray
    depth: np.ndarray
    instances: np.ndarray


class StreetRenderer:
    """Draws the frames of one street.

    Args:
        street: what to draw.
        atlas: the world's materials.
        camera: of both images of the pair.
    """

    def __init__(self, street: Street, atlas: TextureAtlas, camera: PinholeCamera):
        self.street = street
        self.atlas = atlas
        self.camera = camera
        self._standing = Solids(street.shapes)
        K = camera.K
        # Two samples in a pixel's width: every odd one is a pixel's centre.
        self.x = ((np.arange(2 * camera.width + 1) - 1) / 2 - K[0, 2]) / K[0, 0]
        self.y = ((np.arange(2 * camera.height + 1) - 1) / 2 - K[1, 2]) / K[1, 1]
        self._rasteriser = Rasteriser(self.x, self.y)

    def render(self, frame: int, T_world_camera: np.ndarray) -> RenderedView:
        """The street in a frame, from a camera anywhere."""
        solids = self._standing.join(Solids(self.street.moving_shapes(frame)))
        inverse_depth, numbers = self._rasteriser.visible(solids, np.linalg.inv(T_world_camera))
        edges = _differ_around(numbers)
        rows, columns = np.nonzero(_samples_of(edges))
        surface = _Surface(self, solids, T_world_camera, frame)
        color, instance = surface.shade(columns, rows, inverse_depth[rows, columns], numbers[rows, columns])
        colors = np.zeros((*numbers.shape, 3), np.float32)
        instances = np.zeros(numbers.shape, np.uint16)
        colors[rows, columns], instances[rows, columns] = color, instance
        colors = np.where(edges[..., None], _tent(colors), colors[1::2, 1::2])
        seen = numbers[1::2, 1::2] != SKY
        depth = np.where(seen, 1 / np.maximum(inverse_depth[1::2, 1::2], 1e-6), 0).astype(np.float32)
        return RenderedView((colors + 0.5).clip(0, 255).astype(np.uint8), depth, instances[1::2, 1::2])


def _differ_around(numbers: np.ndarray) -> np.ndarray:
    """Pixels (H, W) with an edge: their nine samples of (2H + 1, 2W + 1) do not all see the same."""
    down = (numbers[:-1:2] != numbers[1::2]) | (numbers[2::2] != numbers[1::2])
    across = (numbers[:, :-1:2] != numbers[:, 1::2]) | (numbers[:, 2::2] != numbers[:, 1::2])
    down = down[:, :-1:2] | down[:, 1::2] | down[:, 2::2]
    return down | across[1::2]


def _samples_of(edges: np.ndarray) -> np.ndarray:
    """Which samples (2H + 1, 2W + 1) must be coloured: every pixel's centre, and all nine of those with an edge."""
    height, width = edges.shape
    needed = np.zeros((2 * height + 1, 2 * width + 1), bool)
    for row in range(3):
        for column in range(3):
            needed[row : row + 2 * height : 2, column : column + 2 * width : 2] |= edges
    needed[1::2, 1::2] = True
    return needed


class _Surface:
    """What samples of one view see, to be coloured at once."""

    def __init__(self, renderer: StreetRenderer, solids: Solids, T_world_camera: np.ndarray, frame: int):
        self.renderer, self.solids, self.frame = renderer, solids, frame
        self.R = T_world_camera[:3, :3].astype(np.float32)
        self.origin = T_world_camera[:3, 3].astype(np.float32)

    def shade(self, columns, rows, inverse_depth, numbers) -> tuple[np.ndarray, np.ndarray]:
        """Colours (N, 3), float32 in [0, 255], and instances (N,) of N samples."""
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
        # A pixel's width at one metre, which surfaces multiply by their distance and slant.
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
        """Sun and sky on surfaces, and what one sample covers of them: more, the flatter it looks along them."""
        sun = self.renderer.street.sun.astype(np.float32)
        self.light[index] = (AMBIENT + DIFFUSE * np.maximum(normals @ sun, 0))[..., None] * tint
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
    """Light that reaches the ground (N,) under and around a car at the origin."""
    ahead, aside = x * np.cos(heading) + y * np.sin(heading), y * np.cos(heading) - x * np.sin(heading)
    outside = np.maximum(abs(ahead) - CAR_SIZE[0] / 2, abs(aside) - CAR_SIZE[1] / 2)
    return np.clip(0.7 + outside, 0.35, 1).astype(np.float32)


def _tent(samples: np.ndarray) -> np.ndarray:
    """Samples (2H + 1, 2W + 1, 3) to pixels (H, W, 3), by weights 1, 2, 1 down and across."""
    down = samples[:-1:2] + 2 * samples[1::2] + samples[2::2]
    return (down[:, :-1:2] + 2 * down[:, 1::2] + down[:, 2::2]) / 16
