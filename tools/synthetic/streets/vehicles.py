"""Vehicles of random shape: cars, vans, lorries with boxes, tarpaulins or tanks, and buses."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tools.synthetic.shapes import Shapes
from tools.synthetic.streets.builder import Builder
from tools.synthetic.streets.materials import draw

RED, ORANGE = (0.8, 0.08, 0.05), (0.95, 0.5, 0.1)


def vehicle_size(rng: np.random.Generator, kind: str) -> tuple[float, float, float]:
    """Draw length, width and height of a vehicle."""
    length, width, height = _SIZES[kind]
    return rng.uniform(*length), rng.uniform(*width), rng.uniform(*height)


def add_vehicle(shapes: Shapes, rng: np.random.Generator, kind: str, size, position: Sequence[float], heading: float):
    """Add a vehicle of ``kind``, a key of ``KINDS``, with its middle at ``position``, facing along the heading."""
    _BUILDERS[kind](Builder(shapes, position, heading), rng, *size)


def paint_tint(rng: np.random.Generator) -> np.ndarray:
    """Draw a colour of paint: mostly white to black, as on real roads."""
    if rng.random() < 0.7:
        return np.full(3, rng.choice([0.06, 0.15, 0.3, 0.5, 0.75, 1.0])) * rng.uniform(0.8, 1.1) + rng.normal(
            0, 0.015, 3
        )
    return rng.uniform(0.03, 0.2) + rng.uniform(0, 0.7, 3) * (rng.random(3) < 0.5)


def _wheels(body: Builder, rng, at: Sequence[float], width: float, radius: float) -> None:
    hub = np.full(3, rng.uniform(0.4, 1.1))
    for x in at:
        body.box(
            (x - radius * 0.9, x + radius * 0.9), (-width / 2 + 0.03, -width / 2 + 0.25), (0, 1.6 * radius), "dark0"
        )
        body.box((x - radius * 0.9, x + radius * 0.9), (width / 2 - 0.25, width / 2 - 0.03), (0, 1.6 * radius), "dark0")
        for side in (-1, 1):
            body.disc(x, side * (width / 2 + 0.02), radius, 1.1 * radius, side, "dark0", (0.6, 0.6, 0.6))
            body.disc(x, side * (width / 2 + 0.03), radius, 0.6 * radius, side, "metal0", hub)


def _ends(body: Builder, rng, length: float, width: float, z: float, size: float = 0.16) -> None:
    """Add lights and number plates at both ends at height ``z``."""
    for ahead in (False, True):
        x = (length / 2 + 0.015) * (1 if ahead else -1)
        light = "white0" if ahead else "paint0"
        tint = (1.1, 1.1, 1.05) if ahead else np.array(RED) * rng.uniform(0.7, 1.3)
        for side in (-1, 1):
            inner, outer = sorted((side * (width / 2 - 0.06), side * (width / 2 - 0.06 - 1.9 * size)))
            body.decal(x, (inner, outer), (z, z + size * rng.uniform(0.8, 1.8)), ahead, light, tint)
        body.decal(x, (-0.26, 0.26), (z - 0.2, z - 0.08), ahead, "white0")
        body.decal(
            x - 0.004 * (1 if ahead else -1), (-width / 2 + 0.05, width / 2 - 0.05), (0.25, 0.42), ahead, "dark0"
        )


def _car(body: Builder, rng: np.random.Generator, length: float, width: float, height: float) -> None:
    tint, half = paint_tint(rng), length / 2
    belt = height * rng.uniform(0.55, 0.62)  # height of the windows' lower edge
    bonnet = belt - rng.uniform(0.0, 0.15)
    cowl = half - length * rng.uniform(0.22, 0.28)  # where the windscreen begins
    boot = rng.choice([0.02, 0.02, 0.12, 0.2]) * length  # hatchbacks and estates have none
    lower = np.array(
        [(-half + 0.06, 0.22), (half - 0.1, 0.22), (half, 0.42), (half - 0.06, bonnet - 0.1), (cowl, belt),
         (-half + 0.03, belt), (-half, 0.5)]
    )  # fmt: skip
    paint = draw(rng, "paint")
    body.extrude(lower, (-width / 2, width / 2), paint, tint, inset=0.05)
    roof_front, roof_back = (
        cowl - (height - belt) * rng.uniform(1.1, 1.6),
        -half + boot + (height - belt) * rng.uniform(0.3, 0.9),
    )
    cabin = np.array([(-half + boot, belt), (cowl, belt), (roof_front, height), (roof_back, height)])
    glass = draw(rng, "glass")
    body.extrude(cabin, (-width / 2 + 0.05, width / 2 - 0.05), glass, inset=0.17)
    y = width / 2 - 0.2
    body.box((roof_back - 0.03, roof_front + 0.03), (-y, y), (height - 0.04, height + 0.02), paint, tint)
    for x in (roof_back + 0.1, rng.uniform(-0.2, 0.3)):  # pillars
        body.extrude(
            np.array([(x - 0.09, belt), (x + 0.09, belt), (x + 0.06, height), (x - 0.06, height)]),
            (-width / 2 + 0.045, width / 2 - 0.045), paint, tint, inset=0.165,
        )  # fmt: skip
    for side in (-1, 1):
        inner, outer = sorted((side * (width / 2 - 0.05), side * (width / 2 + 0.16)))
        body.box((cowl - 0.45, cowl - 0.3), (inner, outer), (belt, belt + 0.15), paint, tint)
    _wheels(body, rng, (-half + 0.19 * length, half - 0.2 * length), width, rng.uniform(0.29, 0.36))
    _ends(body, rng, length, width, belt - 0.28)


def _van(body: Builder, rng: np.random.Generator, length: float, width: float, height: float) -> None:
    half, tint = length / 2, paint_tint(rng) if rng.random() < 0.5 else np.full(3, rng.uniform(0.8, 1.05))
    paint = draw(rng, "lettering") if rng.random() < 0.4 else draw(rng, "paint")
    nose, top = half - rng.uniform(0.5, 0.9), half - rng.uniform(1.3, 1.7)
    outline = np.array([(-half, 0.3), (half, 0.3), (half, 0.85), (nose, 1.1), (top, height), (-half + 0.06, height)])
    body.extrude(outline, (-width / 2, width / 2), paint, tint, inset=0.09)
    glass, y = draw(rng, "glass"), width / 2
    slope = (top - nose) / (height - 1.1)
    screen = np.array([(nose + 0.03 + 0.12 * slope, s * (y - 0.2), 1.22) for s in (-1, 1)]
                      + [(top + 0.03 - 0.2 * slope, s * (y - 0.26), height - 0.2) for s in (1, -1)])  # fmt: skip
    body.faces(screen, [(0, 1, 2, 3)], glass)
    window = np.array([(top - 0.8, 1.15), (nose - 0.15, 1.15), (top + 0.05, height - 0.25), (top - 0.8, height - 0.25)])
    body.extrude(window, (-y - 0.0, y + 0.0), glass, inset=0.07)
    if rng.random() < 0.6:
        body.decal(-half - 0.012, (-y + 0.2, y - 0.2), (1.15, height - 0.25), False, glass)
    if rng.random() < 0.4:
        back = np.array(
            [(-half + 0.3, 1.15), (top - 1.1, 1.15), (top - 1.1, height - 0.3), (-half + 0.3, height - 0.3)]
        )
        body.extrude(back, (-y + 0.0, y - 0.0), glass, inset=0.06)
    _wheels(body, rng, (-half + 0.2 * length, half - 0.17 * length), width, rng.uniform(0.32, 0.38))
    _ends(body, rng, length, width, rng.uniform(0.65, 1.0), 0.2)


def _cab(body: Builder, rng, front: float, length: float, width: float, height: float) -> None:
    tint, paint, back = paint_tint(rng), draw(rng, "paint"), front - length
    lean = rng.uniform(0, 0.35)
    outline = np.array([(back, 0.5), (front, 0.5), (front, 1.4), (front - lean, height), (back, height)])
    body.extrude(outline, (-width / 2, width / 2), paint, tint, inset=0.06)
    glass = draw(rng, "glass")
    screen = [(front + 0.02 - 0.1 * lean, s * (width / 2 - 0.15), 1.5) for s in (-1, 1)]
    screen += [(front + 0.02 - 0.85 * lean, s * (width / 2 - 0.2), min(2.4, height - 0.2)) for s in (1, -1)]
    body.faces(np.array(screen), [(0, 1, 2, 3)], glass)
    x = (back + 0.35 * length, front - 0.12 - lean)
    body.box(x, (-width / 2 - 0.015, width / 2 + 0.015), (1.5, min(2.3, height - 0.25)), glass)
    body.decal(front + 0.02, (-0.5, 0.5), (0.75, 1.2), True, "dark1")


def _lorry(body: Builder, rng: np.random.Generator, length: float, width: float, height: float) -> None:
    half, cab = length / 2, rng.uniform(1.6, 2.3)
    cab_height = rng.uniform(2.3, min(3.4, height))
    _cab(body, rng, half, cab, width - 0.05, cab_height)
    rear, start, floor = -half, half - cab - rng.uniform(0.1, 0.7), rng.uniform(0.85, 1.25)
    body.box((rear + 0.2, half - 0.2), (-0.45, 0.45), (0.45, floor), "dark1")
    kind, y = rng.integers(4), width / 2
    if kind == 0:  # a tank
        radius = min(width / 2, (height - floor) / 2)
        body.tube((rear, start), radius, floor + radius, draw(rng, "lettering"), np.full(3, rng.uniform(0.7, 1.1)))
        for z in (floor + 0.2, floor + 0.7):
            body.box((rear, start), (-y, y), (z, z + 0.1), "dark1")
    elif kind == 1:  # a low platform with a load under a tarpaulin
        material, tint = draw(rng, "tarpaulin"), rng.uniform(0.1, 1, 3) * (rng.random(3) < 0.7) + 0.08
        body.box((rear, start), (-y, y), (floor, floor + 0.5), draw(rng, "paint"), paint_tint(rng))
        load = (-y + 0.05, y - 0.05)
        body.box((rear + 0.05, start - 0.05), load, (floor + 0.5, height * 0.85), material, tint, taper=(0.1, 0.1))
    elif kind == 2:
        body.box((rear, start), (-y, y), (floor, height), draw(rng, "tarpaulin"), rng.uniform(0.15, 1.1, 3))
    else:
        material = draw(rng, rng.choice(["lettering", "paint", "lettering"]))
        body.box((rear, start), (-y, y), (floor, height), material, np.full(3, rng.uniform(0.5, 1.1)))
    if kind in (2, 3) and rng.random() < 0.7:  # doors at the back
        body.decal(
            rear - 0.012, (-y + 0.05, y - 0.05), (floor + 0.1, height - 0.1), False, draw(rng, "paint"), paint_tint(rng)
        )
        body.decal(rear - 0.02, (-0.02, 0.02), (floor + 0.1, height - 0.1), False, "dark0")
    body.decal(
        rear - 0.03, (-y, y), (floor - 0.25, floor), False, draw(rng, "hazard") if rng.random() < 0.5 else "dark1"
    )
    body.box((rear, rear + 0.1), (-y, y), (0.45, 0.6), "metal0")
    for side in (-1, 1):
        inner, outer = sorted((side * (y - 0.5), side * (y - 0.05)))
        body.decal(rear - 0.04, (inner, outer), (floor - 0.22, floor - 0.05), False, "paint0", RED)
    body.decal(rear - 0.04, (-0.3, 0.3), (0.62, 0.76), False, "white0")
    if rng.random() < 0.7:  # guards between the axles
        for side in (-1, 1):
            inner, outer = sorted((side * (y - 0.08), side * y))
            for z in (0.5, 0.8):
                body.box((rear + 0.3 * length, start - 1.0), (inner, outer), (z, z + 0.12), "metal1")
    axles = [half - 1.2, rear + 1.2, *([rear + 2.4] if length > 7 else []), *([rear + 3.6] if length > 10 else [])]
    _wheels(body, rng, axles, width - 0.1, rng.uniform(0.42, 0.52))


def _bus(body: Builder, rng: np.random.Generator, length: float, width: float, height: float) -> None:
    half, y, tint = length / 2, width / 2, paint_tint(rng)
    tint = tint if rng.random() < 0.5 else rng.uniform(0.3, 1.1, 3)
    paint = draw(rng, rng.choice(["paint", "lettering"]))
    body.box((-half, half), (-y, y), (0.3, height), paint, tint, taper=(0.05, 0.1))
    glass, low, high = draw(rng, "glass"), rng.uniform(1.0, 1.4), height - rng.uniform(0.35, 0.6)
    panes = np.linspace(-half + 0.3, half - 0.3, rng.integers(5, 9))
    for start, end in pairwise(panes):
        body.box((start + 0.05, end - 0.05), (-y - 0.012, y + 0.012), (low, high), glass)
    body.decal(-half - 0.02, (-y + 0.2, y - 0.2), (low + 0.3, high), False, glass)
    body.decal(half + 0.02, (-y + 0.12, y - 0.12), (0.9, high), True, glass)
    _wheels(body, rng, (-half + 2.8, half - 2.5), width, 0.48)
    _ends(body, rng, length, width, 0.75, 0.22)


_SIZES = {
    "car": ((3.5, 4.9), (1.6, 1.95), (1.38, 1.75)),
    "van": ((4.4, 6.2), (1.8, 2.1), (1.85, 2.7)),
    "lorry": ((5.5, 13.5), (2.2, 2.55), (2.7, 4.0)),
    "bus": ((9.0, 12.5), (2.4, 2.55), (2.9, 3.3)),
}
_BUILDERS = {"car": _car, "van": _van, "lorry": _lorry, "bus": _bus}
KINDS = tuple(_BUILDERS)
