"""Procedural textures as mipmaps of all materials in one flat array.

Sampling is trilinear between the two levels nearest to the footprint of a sample (Williams, "Pyramidal Parametrics",
SIGGRAPH 1983), which avoids flicker between frames at any distance.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import scipy.fft

# Distances in metres from the centre line; the road texture covers ROAD_STRIP on both sides.
ROAD_STRIP = 8.0
LANE_WIDTH = 3.2
KERB = 5.2
PAVEMENT_END = 7.4
DASH_PERIOD = 8.0


def noise(rng: np.random.Generator, size: int, roughness: float = 1.0) -> np.ndarray:
    """Generate tileable noise (size, size) in [0, 1] of mean 0.5, with amplitude ~ frequency ** -roughness."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * size
    amplitude = np.maximum(frequency, 1.0) ** -roughness
    amplitude[0, 0] = 0
    waves = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    values = scipy.fft.irfft2(waves * amplitude.astype(np.float32), (size, size))
    return np.clip(0.5 + 0.2 * values / values.std(), 0, 1)


def mix(first, second, share: np.ndarray) -> np.ndarray:
    """Blend colours (3,) or (size, size, 3) with ``share`` (size, size) of the second."""
    share = share[..., None]
    return np.asarray(first) * (1 - share) + np.asarray(second) * share


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return v (size, 1) and u (1, size) of texel centres, in [0, 1] of the tile."""
    steps = (np.arange(size) + 0.5) / size
    return steps[:, None], steps[None]


def _wall(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint 6 m by 6 m of brick or plaster, with two floors of two windows."""
    v, u = grid(size)
    rough = 0.5 * noise(rng, size, 1.0) + 0.5 * noise(rng, size, 0.4)
    if rng.random() < 0.5:
        rows = np.floor(v * 40)
        joints = ((v * 40) % 1 < 0.18) | ((u * 14 + 0.5 * (rows % 2)) % 1 < 0.07)
        image = mix(mix([0.45, 0.24, 0.18], [0.75, 0.45, 0.34], rough), [0.72, 0.7, 0.66], joints * 0.8)
    else:
        image = mix([0.55, 0.52, 0.45], [0.98, 0.94, 0.86], rough)
    frame, panes = 0.08, mix([0.16, 0.2, 0.26], [0.55, 0.6, 0.66], noise(rng, size, 1.5))
    for row in range(2):
        for column in range(2):
            width, height = rng.uniform(0.2, 0.3), rng.uniform(0.2, 0.28)
            x, y = abs(u - (column + 0.5) / 2) / (width / 2), abs(v - (row + 0.53) / 2) / (height / 2)
            outside = np.maximum(x, y)
            image[outside < 1 + 2 * frame] = [0.92, 0.91, 0.88]
            pane = (outside < 1) & (x > frame / 2) & (abs(y - 0.2) > frame / 2)
            image[pane] = panes[pane]
            if rng.random() < 0.4:
                image[pane & (v < (row + 0.5) / 2) & (u < (column + 0.5) / 2)] = rng.uniform(0.4, 0.9, 3)
    return image


def _roof(rng: np.random.Generator, size: int) -> np.ndarray:
    v, u = grid(size)
    rows = np.floor(v * 16)
    shade = 0.55 + 0.45 * ((v * 16) % 1) * (0.7 + 0.3 * np.sin(2 * np.pi * (u * 20 + 0.5 * (rows % 2))))
    return mix([0.42, 0.2, 0.15], [0.78, 0.42, 0.3], noise(rng, size, 0.6)) * shade[..., None]


def _leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    share = np.clip(1.6 * (0.5 * noise(rng, size, 0.9) + 0.5 * noise(rng, size, 0.5)) - 0.3, 0, 1)
    return mix([0.05, 0.11, 0.04], [0.5, 0.62, 0.24], share)


def _grass(rng: np.random.Generator, size: int) -> np.ndarray:
    share = 0.5 * noise(rng, size, 1.2) + 0.5 * noise(rng, size, 0.5)
    return mix([0.2, 0.28, 0.1], [0.62, 0.66, 0.34], share)


def _bark(rng: np.random.Generator, size: int) -> np.ndarray:
    v, u = grid(size)
    streaks = 0.5 + 0.3 * np.sin(2 * np.pi * (u * 9 + 0.6 * noise(rng, size, 1.5))) + 0 * v
    return mix([0.18, 0.13, 0.09], [0.52, 0.42, 0.32], np.clip(streaks * noise(rng, size, 0.6) * 1.6, 0, 1))


def _paint(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint car bodies and poles: nearly uniform, with seams; each car has its own tint."""
    v, u = grid(size)
    seams = ((u * 2) % 1 < 0.03) | ((v * 3) % 1 < 0.03)
    image = mix([0.62] * 3, [1.0] * 3, 0.5 * noise(rng, size, 1.6) + 0.5 * noise(rng, size, 0.7))
    return mix(image, [0.25] * 3, seams * 0.8)


def _glass(rng: np.random.Generator, size: int) -> np.ndarray:
    return mix([0.08, 0.1, 0.13], [0.5, 0.56, 0.62], noise(rng, size, 1.4))


def _rubber(rng: np.random.Generator, size: int) -> np.ndarray:
    v, u = grid(size)
    hub = np.hypot(u - 0.5, v - 0.5) < 0.28
    return mix(mix([0.05] * 3, [0.16] * 3, noise(rng, size, 0.6)), [0.6] * 3, hub * noise(rng, size, 0.6))


def _road(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint the 16 m strip around the centre line: u across from right to left, v along the road, two lane dashes."""
    v, u = grid(size)
    across = (u - 0.5) * 2 * ROAD_STRIP + 0 * v
    grain = 0.5 * noise(rng, size, 1.1) + 0.5 * noise(rng, size, 0.35)
    asphalt = mix([0.2, 0.2, 0.21], [0.56, 0.55, 0.54], grain)
    cracks = abs(noise(rng, size, 1.3) - 0.5) < 0.004
    asphalt[cracks] *= 0.5
    worn = 0.75 + 0.25 * noise(rng, size, 0.6)
    dashes = (abs(across) < 0.08) & (v < 0.25)
    dashes |= (abs(across) < 0.08) & (v > 0.5) & (v < 0.75)
    edges = abs(abs(across) - LANE_WIDTH) < 0.06
    image = mix(asphalt, [0.95, 0.95, 0.92], (dashes | edges) * worn)

    slabs = ((v * 20) % 1 < 0.05) | ((across / 0.75) % 1 < 0.05)
    pavement = mix([0.44, 0.42, 0.4], [0.86, 0.83, 0.78], 0.6 * noise(rng, size, 0.8) + 0.4 * grain)
    pavement = mix(pavement, [0.3, 0.29, 0.28], slabs * 0.7)
    image = np.where((abs(across) > KERB)[..., None], pavement, image)
    kerb = abs(abs(across) - KERB) < 0.12
    image[kerb] = mix([0.6, 0.6, 0.58], [0.9, 0.9, 0.86], noise(rng, size, 0.5))[kerb]
    return np.where((abs(across) > PAVEMENT_END)[..., None], _grass(rng, size), image)


def _sky(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint a quarter of the sky, from the horizon (v = 0) to the zenith, with clouds and distant trees."""
    v, _ = grid(size)
    clouds = np.clip(2.2 * noise(rng, size, 1.7) - 0.9, 0, 1) * np.clip(1.3 - v, 0, 1)
    image = mix(mix([0.78, 0.86, 0.94], [0.3, 0.5, 0.82], np.clip(v * 1.6, 0, 1) + 0 * clouds), [0.97] * 3, clouds)
    ridge = 0.03 + 0.03 * (noise(rng, size, 1.2)[0] - 0.5)
    trees = mix([0.2, 0.27, 0.22], [0.42, 0.5, 0.42], noise(rng, size, 0.7))
    return np.where((v < ridge)[..., None], trees, image)


WALL_STYLES = 6


class Material(NamedTuple):
    """How to paint a material.

    Attributes:
        paint: Makes the colours (size, size, 3) in [0, 1] from a random generator and the size.
        size: Texels per side, a power of two.
        metres: Metres per side; radians for the sky.
    """

    paint: Callable[[np.random.Generator, int], np.ndarray]
    size: int
    metres: float


_MATERIALS: dict[str, Material] = {
    "road": Material(_road, 1024, 2 * ROAD_STRIP),
    "grass": Material(_grass, 512, 8.0),
    "sky": Material(_sky, 1024, np.pi / 2),
    "roof": Material(_roof, 256, 4.0),
    "leaves": Material(_leaves, 256, 3.0),
    "bark": Material(_bark, 128, 1.0),
    "paint": Material(_paint, 256, 2.0),
    "glass": Material(_glass, 128, 2.0),
    "rubber": Material(_rubber, 64, 0.64),
    **{f"wall{i}": Material(_wall, 512, 6.0) for i in range(WALL_STYLES)},
}
MATERIALS = {name: number for number, name in enumerate(_MATERIALS)}


@dataclass(frozen=True)
class TextureAtlas:
    """All materials at all mipmap levels.

    Attributes:
        texels: (T,) uint32, with bytes red, green, blue, unused.
        offsets: (materials, levels) int32, start of the level of size ``2 ** (log_sizes - level)`` in ``texels``.
        log_sizes: (materials,) int32, log2 of the texels per side at level 0.
        tiles: (materials,) float32, metres per side.
    """

    texels: np.ndarray
    offsets: np.ndarray
    log_sizes: np.ndarray
    tiles: np.ndarray

    def sample(self, material: np.ndarray, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Sample N materials at (u, v) metres, filtered over ``footprint`` metres: (N, 3) float32 in [0, 255]."""
        log_size = self.log_sizes[material]
        tile = self.tiles[material]
        u, v = u / tile, v / tile
        # The blend ends just above the 4-texel level; smaller levels contain little more than the mean.
        level = np.clip(np.log2(np.maximum(footprint / tile, 1e-9)) + log_size, 0, log_size - 2.001)
        finer = level.astype(np.int32)
        share = (level - finer)[:, None]
        color = self._bilinear(material, u, v, finer, log_size - finer)
        color += share * (self._bilinear(material, u, v, finer + 1, log_size - finer - 1) - color)
        return color

    def _bilinear(self, material, u, v, level, log_size) -> np.ndarray:
        size = np.left_shift(1, log_size)
        x, y = u * size - 0.5, v * size - 0.5
        column, row = np.floor(x), np.floor(y)
        share_x, share_y = (x - column).astype(np.float32)[:, None], (y - row).astype(np.float32)[:, None]
        last = size - 1
        column, row = column.astype(np.int32), row.astype(np.int32)
        left, right = column & last, (column + 1) & last
        offset = self.offsets[material, level]
        top, bottom = offset + ((row & last) << log_size), offset + (((row + 1) & last) << log_size)
        above = self._texels(top + left)
        above += share_x * (self._texels(top + right) - above)
        below = self._texels(bottom + left)
        below += share_x * (self._texels(bottom + right) - below)
        above += share_y * (below - above)
        return above

    def _texels(self, index: np.ndarray) -> np.ndarray:
        return self.texels[index].view(np.uint8).reshape(-1, 4)[:, :3].astype(np.float32)


@cache
def build_atlas(seed: int) -> TextureAtlas:
    """Paint the materials of a world; the same seed gives the same texels."""
    return paint_atlas(seed, _MATERIALS)


def paint_atlas(seed: int, materials: Mapping[str, Material]) -> TextureAtlas:
    """Paint materials, numbered in their order, at all mipmap levels."""
    texels, offsets = [], np.zeros((len(materials), 12), np.int32)
    end = 0
    for number, (paint, size, _) in enumerate(materials.values()):
        image = np.clip(paint(np.random.default_rng([seed, number]), size), 0, 1)
        for level in range(size.bit_length() - 1):
            bytes_ = np.zeros((*image.shape[:2], 4), np.uint8)
            bytes_[..., :3] = np.round(image * 255)
            texels.append(bytes_.reshape(-1, 4).view(np.uint32)[:, 0])
            offsets[number, level] = end
            end += len(texels[-1])
            image = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    return TextureAtlas(
        np.concatenate(texels),
        offsets,
        np.array([material.size.bit_length() - 1 for material in materials.values()], np.int32),
        np.array([material.metres for material in materials.values()], np.float32),
    )
