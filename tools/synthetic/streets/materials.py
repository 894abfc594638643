"""Materials of the varied world; each kind has several variants, painted from noise of several scales."""

from collections.abc import Callable
from functools import cache, partial

import cv2
import numpy as np

from tools.synthetic.textures import Material, TextureAtlas, grid, mix, noise, paint_atlas


def _layers(rng: np.random.Generator, size: int, roughness: tuple[float, ...] = (1.6, 1.0, 0.4)) -> np.ndarray:
    """Mix noise of large, middle and small structures in random parts: (size, size) in [0, 1]."""
    parts = rng.dirichlet(np.ones(len(roughness)))
    return sum(part * noise(rng, size, rough) for part, rough in zip(parts, roughness, strict=True))


def _around(rng: np.random.Generator, color, spread: float = 0.08) -> np.ndarray:
    """Draw a colour near ``color``; its channels vary together more than apart."""
    return np.clip(np.asarray(color) + rng.normal(0, spread) + rng.normal(0, spread / 5, 3), 0.02, 1)


def _ground(low, high, patches: float, rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint rough ground; ``patches`` is the contrast of repaired or worn places."""
    image = mix(_around(rng, low), _around(rng, high), _layers(rng, size))
    worn = np.clip(4 * (noise(rng, size, 1.5) - rng.uniform(0.5, 0.75)), 0, 1)
    image = mix(image, _around(rng, low) * rng.uniform(0.5, 1.5), patches * worn)
    cracks = abs(noise(rng, size, 1.3) - 0.5) < rng.uniform(0, 0.006)
    image[cracks] *= 0.6
    return image


def _slabs(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint paving stones with joints."""
    v, u = grid(size)
    columns, rows = rng.choice([4, 8, 16, 24]), rng.choice([4, 8, 16, 24])
    shift = rng.choice([0.0, 0.5]) * (np.floor(v * rows) % 2)
    image = mix(_around(rng, [0.42] * 3), _around(rng, [0.72, 0.69, 0.65]), _layers(rng, size))
    joints = ((v * rows) % 1 < 0.06) | ((u * columns + shift) % 1 < 0.06)
    return mix(image, image * 0.55, joints * rng.uniform(0.3, 1))


def _surface(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint a wall without windows: brick, plaster, concrete or planks."""
    v, u = grid(size)
    kind, rough = rng.integers(5), _layers(rng, size)
    if kind == 0:
        rows, columns = rng.integers(40, 80), rng.integers(12, 24)
        joints = ((v * rows) % 1 < 0.18) | ((u * columns + 0.5 * (np.floor(v * rows) % 2)) % 1 < 0.07)
        brick = _around(rng, [0.45, 0.28, 0.22])
        return mix(mix(brick * 0.7, brick * 1.4, rough), _around(rng, [0.65, 0.62, 0.58]), joints * 0.7)
    if kind == 1:
        planks = ((u if rng.random() < 0.5 else v) * rng.integers(12, 40)) % 1
        wood = _around(rng, [0.45, 0.35, 0.26], 0.15)
        return mix(wood * 0.8, wood * 1.25, rough) * (0.6 + 0.4 * np.clip(planks * 8, 0, 1) + 0 * v + 0 * u)[..., None]
    plaster = _around(rng, [0.72, 0.69, 0.62], 0.18)
    image = mix(plaster * rng.uniform(0.75, 0.95), np.clip(plaster * 1.1, 0, 1), rough)
    dirt = np.clip(v * rng.uniform(2, 12), 0, 1) + 0 * u  # v rises from the ground
    return mix(image * rng.uniform(0.6, 1), image, dirt)


def _facade(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint 6 m by 6 m of a wall with two floors of windows, doors or shutters."""
    image = _surface(rng, size)
    v, u = grid(size)
    columns = rng.integers(1, 4)
    frame_color, glass = _around(rng, [0.85] * 3, 0.15), _around(rng, [0.22, 0.25, 0.3], 0.12)
    width, height = rng.uniform(0.35, 0.75) / columns, rng.uniform(0.2, 0.3)
    panes = mix(glass * 0.6, glass * 1.7, noise(rng, size, rng.uniform(1, 2)))
    shutters = mix(frame_color * 0.7, frame_color, 0.5 + 0.5 * np.sin(v * 2 * np.pi * 90) + 0 * u)
    for row in range(2):
        for column in range(columns):
            if rng.random() < 0.1:
                continue
            x = abs(u - (column + 0.5) / columns) / (width / 2)
            y = abs(v - (row + 0.53) / 2) / (height / 2)
            outside = np.maximum(x + 0 * y, y + 0 * x)
            image[outside < 1.14] = frame_color
            pane = (outside < 1) & (x > 0.05 * rng.integers(0, 2)) & (abs(y - 0.3) > 0.04)
            image[pane] = panes[pane]
            if rng.random() < 0.35:
                down = (outside < 1) & (v > (row + 0.53) / 2 + height * rng.uniform(-0.5, 0.4))
                image[down] = shutters[down]
            below = (x < 1.2) & (abs(v - (row + 0.53) / 2 + height * 0.58) < 0.008)
            image[below] *= 0.6
    return image


def _roof(rng: np.random.Generator, size: int) -> np.ndarray:
    v, u = grid(size)
    rows, columns = rng.integers(12, 22), rng.integers(12, 24)
    bumps = 0.7 + 0.3 * np.sin(2 * np.pi * (u * columns + 0.5 * (np.floor(v * rows) % 2)))
    shade = 0.6 + 0.4 * ((v * rows) % 1) * bumps
    tile = _around(rng, rng.choice([[0.5, 0.27, 0.2], [0.3, 0.3, 0.32], [0.4, 0.25, 0.2]]))
    return mix(tile * 0.7, tile * 1.3, _layers(rng, size)) * shade[..., None]


def _leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    share = np.clip(rng.uniform(1.5, 3) * (_layers(rng, size, (1.1, 0.6, 0.3)) - 0.5) + 0.4, 0, 1)
    return mix(_around(rng, [0.04, 0.07, 0.03], 0.02), _around(rng, [0.4, 0.48, 0.2], 0.1), share)


def _grass(rng: np.random.Generator, size: int) -> np.ndarray:
    image = mix(_around(rng, [0.18, 0.24, 0.08], 0.05), _around(rng, [0.5, 0.55, 0.28], 0.1), _layers(rng, size))
    return mix(image, _around(rng, [0.45, 0.38, 0.28]), np.clip(5 * (noise(rng, size, 1.4) - 0.65), 0, 1))


def _bark(rng: np.random.Generator, size: int) -> np.ndarray:
    v, u = grid(size)
    streaks = 0.5 + 0.3 * np.sin(2 * np.pi * (u * 9 + 0.6 * noise(rng, size, 1.5))) + 0 * v
    return mix([0.12, 0.1, 0.08], [0.5, 0.43, 0.35], np.clip(streaks * noise(rng, size, 0.6) * 1.6, 0, 1))


def _paint(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint sheet metal: nearly uniform, with soft reflections, dirt and few seams."""
    v, u = grid(size)
    image = mix([0.7] * 3, [1.0] * 3, noise(rng, size, 2.0))
    image = image * (0.85 + 0.15 * np.clip(v * rng.uniform(1, 4), 0, 1) + 0 * u)[..., None]
    seams = ((u * rng.integers(1, 3) + 0.3) % 1 < 0.012) + 0 * v
    return mix(image, image * 0.4, seams)


def _tarpaulin(rng: np.random.Generator, size: int) -> np.ndarray:
    v, u = grid(size)
    folds = 0.5 + 0.5 * np.sin(2 * np.pi * (u * rng.integers(2, 9) + 0.15 * noise(rng, size, 1.6) + 0 * v))
    return mix([0.55] * 3, [1.0] * 3, 0.5 * folds + 0.5 * _layers(rng, size))


def _lettering(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint a side of a van, lorry or sign: shapes and letters in two colours on a plain ground."""
    image = (_paint(rng, size) * 255).astype(np.uint8)
    for _ in range(rng.integers(1, 6)):
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        at = tuple(int(c) for c in rng.integers(0, size, 2))
        if rng.random() < 0.7:
            text = "".join(rng.choice(list("ABCDEFGHIKLMNOPRSTUWZ")) for _ in range(rng.integers(3, 9)))
            scale = size / 256 * rng.uniform(0.8, 3)
            cv2.putText(image, text, (at[0] // 3, at[1]), cv2.FONT_HERSHEY_DUPLEX, scale, color, max(1, int(2 * scale)))
        elif rng.random() < 0.5:
            cv2.circle(image, at, int(size * rng.uniform(0.05, 0.25)), color, -1)
        else:
            cv2.rectangle(image, at, (at[0] + size // 2, at[1] + int(size * rng.uniform(0.03, 0.3))), color, -1)
    return image[::-1] / 255.0  # v rises, rows of images fall


def _hazard(rng: np.random.Generator, size: int) -> np.ndarray:
    v, u = grid(size)
    return mix(_around(rng, [0.9, 0.85, 0.7]), [0.7, 0.1, 0.1], ((u + v) * 4 % 1 < 0.5) + 0 * u)


def _glass(rng: np.random.Generator, size: int) -> np.ndarray:
    dark = _around(rng, [0.06, 0.07, 0.09], 0.03)
    return mix(dark, dark + rng.uniform(0.1, 0.5), noise(rng, size, 1.8) ** 2)


def _plain(low: float, high: float, rng: np.random.Generator, size: int) -> np.ndarray:
    return mix([low] * 3, [high] * 3, _layers(rng, size))


def _sky(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint a quarter of the sky: clear, cloudy or overcast, sometimes with trees or hills at the horizon."""
    v, u = grid(size)
    blue, horizon = _around(rng, [0.35, 0.52, 0.8]), _around(rng, [0.8, 0.86, 0.92])
    image = mix(horizon, blue, np.clip(v * rng.uniform(0.8, 2.5), 0, 1) + 0 * u)
    cover = rng.uniform(-1.2, 1.0)
    clouds = np.clip(rng.uniform(1.5, 4) * (noise(rng, size, 1.7) - 0.5) + cover, 0, 1)
    image = mix(image, _around(rng, [0.92] * 3, 0.06) * mix([0.85] * 3, [1.0] * 3, noise(rng, size, 1.5)), clouds)
    if rng.random() < 0.7:
        ridge = rng.uniform(0.005, 0.05) + 0.05 * rng.random() * (noise(rng, size, 1.2)[0] - 0.4)
        trees = mix(_around(rng, [0.15, 0.19, 0.15]), _around(rng, [0.4, 0.45, 0.42]), noise(rng, size, 0.7))
        image = np.where((v < ridge)[..., None], trees, image)
    return image


# Kind -> (variants, paint function, texels per side, metres per side; radians for the sky).
_KINDS: dict[str, tuple[int, Callable, int, float]] = {
    "asphalt": (4, partial(_ground, [0.26, 0.26, 0.27], [0.52, 0.51, 0.5], 0.6), 512, 12.0),
    "slabs": (4, _slabs, 256, 3.0),
    "gravel": (2, partial(_ground, [0.34, 0.3, 0.26], [0.62, 0.58, 0.52], 0.9), 256, 6.0),
    "grass": (3, _grass, 512, 9.0),
    "sky": (10, _sky, 512, np.pi / 2),
    "wall": (8, _surface, 256, 5.0),
    "facade": (14, _facade, 256, 6.0),
    "roof": (4, _roof, 256, 4.0),
    "leaves": (6, _leaves, 256, 2.5),
    "bark": (2, _bark, 128, 1.0),
    "paint": (4, _paint, 256, 3.0),
    "tarpaulin": (3, _tarpaulin, 256, 3.0),
    "lettering": (8, _lettering, 256, 3.5),
    "hazard": (2, _hazard, 128, 1.2),
    "glass": (4, _glass, 128, 1.5),
    "dark": (2, partial(_plain, 0.02, 0.12), 128, 1.0),
    "metal": (2, partial(_plain, 0.35, 0.6), 128, 1.0),
    "white": (1, partial(_plain, 0.85, 1.0), 64, 1.0),
}
_MATERIALS: dict[str, Material] = {
    f"{kind}{variant}": Material(paint, size, metres)
    for kind, (variants, paint, size, metres) in _KINDS.items()
    for variant in range(variants)
}
MATERIALS = {name: number for number, name in enumerate(_MATERIALS)}


def draw(rng: np.random.Generator, kind: str) -> str:
    """Draw a material of a kind."""
    return f"{kind}{rng.integers(_KINDS[kind][0])}"


@cache
def build_atlas(seed: int) -> TextureAtlas:
    """Paint the materials of a world; the same seed gives the same texels."""
    return paint_atlas(seed, _MATERIALS)
