"""What stands beside and above a street: houses, plants, walls, fences, poles, people and bridges."""

from collections.abc import Sequence

import numpy as np

from tools.synthetic.shapes import SIDES, Shapes, place, prism
from tools.synthetic.streets.builder import Builder
from tools.synthetic.streets.materials import draw


def add_building(shapes: Shapes, rng: np.random.Generator, position, heading: float, size) -> None:
    """Add a house of size (length along the heading, depth, eaves height): gabled, hipped or flat."""
    x, y, eaves = size[0] / 2, size[1] / 2, size[2]
    body = Builder(shapes, position, heading)
    tint = rng.uniform(0.7, 1.3) * rng.uniform(0.95, 1.05, 3)
    facade, side = draw(rng, "facade"), draw(rng, rng.choice(["facade", "wall"]))
    walls = prism(size[0], size[1], 0, eaves)
    body.faces(walls, (SIDES[0], SIDES[2]), facade, tint)
    body.faces(walls, (SIDES[1], SIDES[3]), side, tint)
    plinth = rng.uniform(0.3, 1.0)
    if rng.random() < 0.6:
        around = (-x - 0.04, x + 0.04), (-y - 0.04, y + 0.04)
        body.box(*around, (0, plinth), draw(rng, "wall"), tint * rng.uniform(0.4, 0.9))
    _add_roof(body, rng, x, y, eaves, side, tint)
    if rng.random() < 0.4:  # balconies or a porch towards both sides
        z = rng.choice([2.6, 5.4]) if eaves > 5 else 2.4
        at = rng.uniform(-x + 1, max(x - 3, -x + 1.1))
        body.box((at, at + 2.5), (-y - 1.1, y + 1.1), (z, z + rng.uniform(0.2, 1.1)), draw(rng, "wall"), tint)


def _add_roof(body: Builder, rng: np.random.Generator, x: float, y: float, eaves: float, side: str, tint) -> None:
    """Add the roof of a house that extends to x and y; gables have the material ``side``."""
    kind, over = rng.integers(4), rng.uniform(0.1, 0.7)
    roof, roof_tint = draw(rng, "roof"), rng.uniform(0.7, 1.2, 3)
    if kind == 0:  # flat
        around = (-x - 0.1, x + 0.1), (-y - 0.1, y + 0.1)
        body.box(*around, (eaves - 0.1, eaves + rng.uniform(0.1, 0.5)), draw(rng, "wall"), 0.7 * tint)
        return
    hip = 0.0 if kind < 3 else min(x, y) * rng.uniform(0.3, 0.9)
    pitch = rng.uniform(0.4, 1.1)
    low, ridge = eaves - pitch * over, eaves + pitch * y
    long, wide = x + over, y + over
    edge = [(-long, -wide, low), (long, -wide, low), (long, wide, low), (-long, wide, low)]
    top = [(-long + hip, 0, ridge), (long - hip, 0, ridge)]
    gables = [(-x, -y, eaves), (x, -y, eaves), (x, y, eaves), (-x, y, eaves), (-x, 0, ridge), (x, 0, ridge)]
    points = np.array([*edge, *top, *gables])
    body.faces(points, ((0, 1, 5, 4), (2, 3, 4, 5)), roof, roof_tint)
    if hip:
        body.faces(points, ((3, 0, 4), (1, 2, 5)), roof, roof_tint)
    else:
        body.faces(points, ((9, 6, 10), (7, 8, 11)), side, tint)
    for _ in range(rng.integers(0, 3)):  # chimneys
        at = rng.uniform(-x + 1, x - 1)
        body.box((at, at + 0.6), (-0.3, 0.3), (ridge - 1, ridge + 0.9), draw(rng, "wall"), 0.7 * tint)


def add_broadleaf(shapes: Shapes, rng: np.random.Generator, position, height: float) -> None:
    """Add a tree with a crown of overlapping ellipsoids of different shades."""
    trunk = rng.uniform(0.025, 0.05) * height
    Builder(shapes, position, rng.uniform(0, np.pi)).box(
        (-trunk, trunk), (-trunk, trunk), (0, 0.6 * height), draw(rng, "bark")
    )
    crown, low = rng.uniform(0.2, 0.34) * height, rng.uniform(0.3, 0.5)
    _add_foliage(shapes, rng, position, crown, low * height, height, rng.integers(8, 16))


def _add_foliage(shapes, rng, position, radius: float, low: float, high: float, count: int) -> None:
    """Fill an upright ellipsoid of foliage with ``count`` smaller ones; those below and inside are darker."""
    leaves, tint = draw(rng, "leaves"), rng.uniform(0.6, 1.3) * rng.uniform(0.85, 1.15, 3)
    for _ in range(count):
        direction = rng.normal(size=3)
        direction *= rng.uniform(0.3, 0.75) / np.linalg.norm(direction)
        centre = (
            position[0] + direction[0] * radius,
            position[1] + direction[1] * radius,
            (low + high) / 2 + direction[2] * (high - low) / 2,
        )
        size = rng.uniform(0.28, 0.5)
        radii = (radius * size * rng.uniform(0.8, 1.2), radius * size * rng.uniform(0.8, 1.2), (high - low) / 2 * size)
        shapes.add_ellipsoid(centre, radii, leaves, tint * (0.8 + 0.4 * direction[2]) * rng.uniform(0.85, 1.15), 0)


def add_conifer(shapes: Shapes, rng: np.random.Generator, position, height: float) -> None:
    """Add a conifer of stacked pyramids."""
    body, leaves = Builder(shapes, position, rng.uniform(0, np.pi)), draw(rng, "leaves")
    body.box((-0.15, 0.15), (-0.15, 0.15), (0, 0.4 * height), draw(rng, "bark"))
    radius, tint, tiers = rng.uniform(0.14, 0.28) * height, rng.uniform(0.4, 0.9, 3), rng.integers(3, 7)
    levels = np.linspace(rng.uniform(0.05, 0.2), 0.85, tiers) * height
    for z in levels:
        r = radius * (1 - z / height) * rng.uniform(0.85, 1.15) + 0.15
        angles = np.linspace(0, 2 * np.pi, 7)[:-1] + rng.uniform(0, 1)
        ring = np.stack([r * np.cos(angles), r * np.sin(angles), np.full(6, z)], axis=1)
        tip = (0, 0, min(height, z + 2.2 * height / tiers))
        body.faces(np.concatenate([ring, [tip]]), [(i, (i + 1) % 6, 6) for i in range(6)], leaves, tint)


def add_bush(shapes: Shapes, rng: np.random.Generator, position, height: float) -> None:
    """Add a bush."""
    _add_foliage(shapes, rng, position, height * rng.uniform(0.4, 0.8), -0.2 * height, height, 6)


def add_hedge(shapes: Shapes, rng, position, heading: float, length: float, height: float) -> None:
    """Add a hedge; its top is uneven."""
    body, leaves, tint = Builder(shapes, position, heading), draw(rng, "leaves"), rng.uniform(0.6, 1.2)
    thick = rng.uniform(0.3, 0.6)
    for start in np.arange(-length / 2, length / 2, 1.5):
        top = height * rng.uniform(0.92, 1.08)
        body.box(
            (start, min(start + 1.5, length / 2)),
            (-thick, thick),
            (0, top),
            leaves,
            np.full(3, tint * rng.uniform(0.85, 1.1)),
        )


def add_wall(shapes: Shapes, rng, position, heading: float, length: float, height: float) -> None:
    """Add a wall with a coping."""
    body, wall, tint = Builder(shapes, position, heading), draw(rng, "wall"), rng.uniform(0.6, 1.1, 3)
    body.box((-length / 2, length / 2), (-0.15, 0.15), (0, height), wall, tint)
    body.box((-length / 2, length / 2), (-0.2, 0.2), (height, height + 0.08), draw(rng, "wall"), tint * 0.8)


def add_fence(shapes: Shapes, rng, position, heading: float, length: float, height: float) -> None:
    """Add a fence or guard rail of posts and rails."""
    body, kind = Builder(shapes, position, heading), rng.choice(["metal", "bark", "white"])
    material, tint = draw(rng, kind), np.full(3, rng.uniform(0.5, 1.1))
    for start in np.arange(-length / 2, length / 2, 2.0):
        body.box((start, start + 0.1), (-0.05, 0.05), (0, height), material, tint)
    thick = rng.uniform(0.05, 0.3)
    for z in np.linspace(0.25 * height, height - thick, rng.integers(1, 4)):
        body.box((-length / 2, length / 2), (-0.07, -0.02), (z, z + thick), material, tint)


def add_pole(shapes: Shapes, rng: np.random.Generator, position, heading: float, height: float) -> None:
    """Add a lamp post, sign or traffic light."""
    body, tint = Builder(shapes, position, heading), np.full(3, rng.uniform(0.3, 1.1))
    thick = rng.uniform(0.04, 0.11)
    body.box((-thick, thick), (-thick, thick), (0, height), draw(rng, "metal"), tint)
    kind = rng.integers(4)
    if kind == 0:  # an arm with a lamp over the road
        reach = rng.uniform(1, 3)
        body.box((-0.05, 0.05), (0, reach), (height, height + 0.1), draw(rng, "metal"), tint)
        body.box((-0.15, 0.15), (reach, reach + 0.6), (height, height + 0.12), "metal0", tint)
    elif kind == 1:  # a sign
        z, size = min(height, 2.8), rng.uniform(0.25, 0.5)
        tint = [(0.8, 0.1, 0.1), (0.1, 0.2, 0.7), (0.9, 0.9, 0.9), (0.9, 0.7, 0.1)][rng.integers(4)]
        body.box((-0.14, -0.11), (-size, size), (z - 2 * size, z), draw(rng, rng.choice(["paint", "lettering"])), tint)
        body.decal(-0.15, (-0.7 * size, 0.7 * size), (z - 1.7 * size, z - 0.3 * size), False, "white0")
    elif kind == 2:
        z = min(height, 3.4)
        body.box((-0.2, 0.12), (-0.18, 0.18), (z - 1.0, z), "dark0")
        body.decal(-0.21, (-0.1, 0.1), (z - 0.35, z - 0.15), False, "paint0", (1.0, 0.15, 0.1))


def add_person(shapes: Shapes, rng: np.random.Generator, position) -> None:
    """Add a standing or walking person."""
    height = rng.uniform(1.5, 1.9)
    body = Builder(shapes, position, rng.uniform(0, 2 * np.pi))
    trousers, coat = rng.uniform(0.05, 0.5, 3), rng.uniform(0.05, 0.9, 3)
    stride = rng.uniform(0, 0.25)
    for side in (-1, 1):
        inner, outer = sorted((side * 0.03, side * 0.19))
        x = side * stride
        body.box((x - 0.09, x + 0.09), (inner, outer), (0, 0.48 * height), draw(rng, "tarpaulin"), trousers)
    body.box((-0.13, 0.13), (-0.24, 0.24), (0.45 * height, 0.83 * height), draw(rng, "tarpaulin"), coat)
    shapes.add_ellipsoid(
        (*position, 0.93 * height), (0.1, 0.1, 0.13), "metal0", rng.uniform(0.4, 1.6) * np.array([1, 0.8, 0.7]), 0
    )


def add_bin(shapes: Shapes, rng: np.random.Generator, position, heading: float) -> None:
    """Add a bin, cabinet or box."""
    x, y, z = rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.5), rng.uniform(0.7, 1.5)
    Builder(shapes, position, heading).box((-x, x), (-y, y), (0, z), draw(rng, "paint"), rng.uniform(0.1, 1, 3))


def add_bridge(shapes: Shapes, rng: np.random.Generator, position, heading: float, clear: Sequence[float]) -> None:
    """Add a bridge across the road, with supports outside the widths (right, left) that stay clear."""
    body, wall, tint = Builder(shapes, position, heading), draw(rng, "wall"), np.full(3, rng.uniform(0.4, 0.9))
    depth, z, thick = rng.uniform(2, 7), rng.uniform(4.5, 6.5), rng.uniform(0.6, 1.6)
    body.box((-depth, depth), (-80, 80), (z, z + thick), wall, tint)
    for x in (-depth, depth - 0.1):
        body.box(
            (x, x + 0.1),
            (-80, 80),
            (z + thick, z + thick + rng.uniform(0.5, 1.2)),
            draw(rng, rng.choice(["wall", "metal"])),
            tint,
        )
    gap = rng.uniform(0.5, 5)
    if rng.random() < 0.5:  # walls or embankments at both ends
        for near, far in ((-clear[0] - gap - 60, -clear[0] - gap), (clear[1] + gap, clear[1] + gap + 60)):
            body.box((-depth, depth), (near, far), (0, z), draw(rng, rng.choice(["wall", "grass"])), tint)
        return
    thick = rng.uniform(0.3, 0.7)
    for y in (-clear[0] - gap - 12, -clear[0] - gap, clear[1] + gap, clear[1] + gap + 12):
        for x in (-depth * 0.6, depth * 0.6):
            body.box((x - thick, x + thick), (y - thick, y + thick), (0, z), wall, tint)


def add_gantry(shapes: Shapes, rng: np.random.Generator, position, heading: float, clear: Sequence[float]) -> None:
    """Add a sign gantry, or a cable, across the road."""
    body, z = Builder(shapes, position, heading), rng.uniform(4.8, 6.5)
    right, left = -clear[0] - 1, clear[1] + 1
    thick = rng.choice([0.02, 0.15])
    body.box((-thick, thick), (right, left), (z, z + 2 * thick), "metal1")
    for y in (right, left):
        body.box((-0.12, 0.12), (y - 0.12, y + 0.12), (0, z + 0.3), "metal1")
    if thick > 0.1:
        for _ in range(rng.integers(1, 4)):
            y = rng.uniform(right, left - 3)
            body.box(
                (-0.3, -0.2), (y, y + rng.uniform(1.5, 4)), (z - 0.8, z + 1.2), draw(rng, "lettering"), (0.3, 0.4, 0.9)
            )


def footprint(size: Sequence[float], position, heading: float) -> np.ndarray:
    """Return the corners (4, 2) of a rectangle of (length, width)."""
    x, y = size[0] / 2, size[1] / 2
    return place(np.array([(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0.0)]), position, heading)[:, :2]
