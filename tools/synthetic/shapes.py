"""The objects of a street, built from planar quads and ellipsoids with materials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tools.synthetic.textures import MATERIALS

# Classes of instances. Mask values are class * INSTANCES_PER_CLASS + number, and 0 for the sky.
CLASSES = {"sky": 0, "road": 1, "pavement": 2, "grass": 3, "house": 4, "tree": 5, "pole": 6, "hedge": 7}
CLASSES |= {"parked car": 8, "moving car": 9}
INSTANCES_PER_CLASS = 1000


def instance_id(name: str, number: int = 0) -> int:
    """Return the mask value of an instance."""
    return CLASSES[name] * INSTANCES_PER_CLASS + number % INSTANCES_PER_CLASS


@dataclass
class Shapes:
    """A growing list of shapes, which ``raster.Solids`` converts to arrays.

    Attributes:
        quads: Corners (4, 3) each, counterclockwise seen from outside; a triangle repeats its last corner.
        quad_looks: (material, tint (3,), instance) of each quad.
        ellipsoids: (centre (3,), radii (3,)) each, with a vertical axis.
        ellipsoid_looks: (material, tint (3,), instance) of each ellipsoid.
        materials: Name -> number in the texture atlas.
    """

    quads: list[np.ndarray] = field(default_factory=list)
    quad_looks: list[tuple[int, np.ndarray, int]] = field(default_factory=list)
    ellipsoids: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    ellipsoid_looks: list[tuple[int, np.ndarray, int]] = field(default_factory=list)
    materials: Mapping[str, int] = field(default_factory=lambda: MATERIALS)

    def add_faces(self, corners: np.ndarray, faces: Sequence[Sequence[int]], material: str, tint, instance: int):
        """Add faces of 3 or 4 corners, given as rows of ``corners`` (N, 3)."""
        for face in faces:
            rows = [*face, face[-1]] if len(face) == 3 else list(face)
            self.quads.append(corners[rows])
            self.quad_looks.append((self.materials[material], np.asarray(tint, np.float32), instance))

    def add_ellipsoid(self, centre, radii, material: str, tint, instance: int) -> None:
        """Add an ellipsoid with a vertical axis."""
        self.ellipsoids.append((np.asarray(centre, float), np.asarray(radii, float)))
        self.ellipsoid_looks.append((self.materials[material], np.asarray(tint, np.float32), instance))


# Rows of the corners of ``prism``: four below, four above, both counterclockwise seen from above.
SIDES = ((0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))
TOP = (4, 5, 6, 7)


def prism(length: float, width: float, bottom: float, top: float, *, at: float = 0.0, taper=(0.0, 0.0)) -> np.ndarray:
    """Return the corners (8, 3) of a box along x, centred at x = ``at``, from z = ``bottom`` to ``top``.

    The top face is shorter by ``taper`` (back, front), and narrower by a quarter of their mean on each side.
    """
    x0, x1, y = at - length / 2, at + length / 2, width / 2
    back, front = taper
    y_top = y - (back + front) / 8
    below = [(x0, -y, bottom), (x1, -y, bottom), (x1, y, bottom), (x0, y, bottom)]
    above = [(x0 + back, -y_top, top), (x1 - front, -y_top, top), (x1 - front, y_top, top), (x0 + back, y_top, top)]
    return np.array(below + above)


def place(points: np.ndarray, position: Sequence[float], heading: float) -> np.ndarray:
    """Rotate points (..., 3) of an object facing x to ``heading`` (radians from x), and move them to (x, y)."""
    cos, sin = np.cos(heading), np.sin(heading)
    turned = points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    return turned + np.array([position[0], position[1], 0.0])


def add_house(shapes: Shapes, position, heading: float, size, wall: str, tint, instance: int) -> None:
    """Add a gabled house of size (length along the heading, depth, eaves height), with its ridge along the heading."""
    length, depth, eaves = size
    walls = place(prism(length, depth, 0, eaves), position, heading)
    shapes.add_faces(walls, SIDES, wall, tint, instance)
    over, ridge = 0.4, eaves + 0.38 * depth
    x, y = length / 2, depth / 2
    low = eaves - 0.38 * over * 2
    roof = np.array(
        [
            (-x - over, -y - over, low),
            (x + over, -y - over, low),
            (x + over, y + over, low),
            (-x - over, y + over, low),
            (-x - over, 0, ridge),
            (x + over, 0, ridge),
            *((-x, -y, eaves), (x, -y, eaves), (x, y, eaves), (-x, y, eaves), (-x, 0, ridge), (x, 0, ridge)),
        ]
    )
    roof = place(roof, position, heading)
    shapes.add_faces(roof, ((0, 1, 5, 4), (2, 3, 4, 5)), "roof", 0.6 + 0.4 * np.asarray(tint), instance)
    shapes.add_faces(roof, ((9, 6, 10), (7, 8, 11)), wall, tint, instance)


CAR_SIZE = (4.3, 1.8)


def add_car(shapes: Shapes, tint, instance: int, position=(0.0, 0.0), heading: float = 0.0) -> None:
    """Add a car of CAR_SIZE (length, width), 1.5 m high, facing along the heading."""
    length, width = CAR_SIZE
    body = place(prism(length, width, 0.28, 0.85, taper=(0.05, 0.1)), position, heading)
    shapes.add_faces(body, (*SIDES, TOP), "paint", tint, instance)
    cabin = place(prism(2.7, width - 0.12, 0.85, 1.42, at=-0.25, taper=(0.45, 0.75)), position, heading)
    shapes.add_faces(cabin, SIDES, "glass", (1, 1, 1), instance)
    roof = place(prism(1.55, width - 0.38, 1.42, 1.47, at=-0.4), position, heading)
    shapes.add_faces(roof, (*SIDES, TOP), "paint", tint, instance)
    for along in (-1.3, 1.35):
        for across in (-1, 1):
            wheel = prism(0.64, 0.22, 0, 0.64, at=along) + np.array([0, across * (width / 2 - 0.1), 0])
            shapes.add_faces(place(wheel, position, heading), SIDES, "rubber", (1, 1, 1), instance)


def add_tree(shapes: Shapes, rng: np.random.Generator, position, height: float, instance: int) -> None:
    """Add a tree: a trunk and three overlapping crowns."""
    trunk = place(prism(0.35, 0.35, 0, 0.6 * height), position, rng.uniform(0, np.pi))
    shapes.add_faces(trunk, SIDES, "bark", rng.uniform(0.8, 1.1, 3), instance)
    tint = rng.uniform(0.75, 1.25, 3)
    for _ in range(3):
        radius = height * rng.uniform(0.17, 0.27)
        offset = rng.uniform(-0.12, 0.12, 2) * height
        centre = (position[0] + offset[0], position[1] + offset[1], height * rng.uniform(0.58, 0.78))
        shapes.add_ellipsoid(centre, (radius, radius, radius * rng.uniform(0.8, 1.2)), "leaves", tint, instance)


def add_pole(shapes: Shapes, position, height: float, instance: int) -> None:
    """Add a lamp post."""
    shapes.add_faces(place(prism(0.16, 0.16, 0, height), position, 0.3), SIDES, "paint", (0.45, 0.47, 0.45), instance)


def add_hedge(shapes: Shapes, position, heading: float, length: float, height: float, instance: int) -> None:
    """Add a hedge, 0.7 m thick."""
    corners = place(prism(length, 0.7, 0, height), position, heading)
    shapes.add_faces(corners, (*SIDES, TOP), "leaves", (1, 1, 1), instance)
