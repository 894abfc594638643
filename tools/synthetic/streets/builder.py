"""Parts of objects, in the object's own axes: x ahead, y left, z up, the origin on the ground in its middle."""

from collections.abc import Sequence

import numpy as np

from tools.synthetic.shapes import SIDES, TOP, Shapes, place, prism

BOTTOM = (3, 2, 1, 0)


class Builder:
    """Adds the parts of one object to ``shapes``.

    Args:
        shapes: The shapes of the scene.
        position: (x, y) of the object.
        heading: Radians from x.
    """

    def __init__(self, shapes: Shapes, position: Sequence[float], heading: float):
        self.shapes, self.position, self.heading = shapes, position, heading

    def faces(self, corners: np.ndarray, faces: Sequence[Sequence[int]], material: str, tint=(1, 1, 1)) -> None:
        """Add faces with 3 or 4 corners, rows of ``corners`` (N, 3), counterclockwise from outside."""
        self.shapes.add_faces(place(corners, self.position, self.heading), faces, material, tint, 0)

    def box(self, x: tuple, y: tuple, z: tuple, material: str, tint=(1, 1, 1), taper=(0.0, 0.0)) -> None:
        """Add a box between two values of each coordinate; ``taper`` as for ``prism``."""
        corners = prism(x[1] - x[0], y[1] - y[0], z[0], z[1], at=(x[0] + x[1]) / 2, taper=taper)
        corners[:, 1] += (y[0] + y[1]) / 2
        self.faces(corners, (*SIDES, TOP, BOTTOM) if z[0] > 1.2 else (*SIDES, TOP), material, tint)

    def extrude(self, outline: np.ndarray, y: tuple, material: str, tint=(1, 1, 1), inset: float = 0.0) -> None:
        """Extrude a convex outline (N, 2) of (x, z), counterclockwise seen from the right (-y), across y.

        Points above the outline's middle are moved ``inset`` inwards on both sides.
        """
        count = len(outline)
        z = outline[:, 1]
        shift = inset * np.clip((z - z.min()) / max(np.ptp(z), 1e-6), 0, 1)
        right = np.stack([outline[:, 0], y[0] + shift, z], axis=1)
        left = np.stack([outline[:, 0], y[1] - shift, z], axis=1)
        corners = np.concatenate([right, left])
        around = [(i, count + i, count + (i + 1) % count, (i + 1) % count) for i in range(count)]
        fan = [(0, i, i + 1, min(i + 2, count - 1)) for i in range(1, count - 1, 2)]
        fan = [face[:3] if face[2] == face[3] else face for face in fan]
        mirrored = [tuple(count + i for i in reversed(face)) for face in fan]
        self.faces(corners, (*around, *fan, *mirrored), material, tint)

    def disc(self, x: float, y: float, z: float, radius: float, side: int, material: str, tint=(1, 1, 1)) -> None:
        """Add an upright disc facing left (``side`` 1) or right (-1)."""
        angles = np.linspace(0, 2 * np.pi, 10, endpoint=False) * -side
        corners = np.stack([x + radius * np.cos(angles), np.full(10, y), z + radius * np.sin(angles)], axis=1)
        self.faces(corners, [(0, i, i + 1, i + 2) for i in (1, 3, 5, 7)], material, tint)

    def tube(self, x: tuple, radius: float, z: float, material: str, tint=(1, 1, 1), sides: int = 14) -> None:
        """Add a lying cylinder along x."""
        angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
        ring = np.stack([radius * np.cos(angles), z + radius * np.sin(angles)], axis=1)
        corners = np.concatenate([np.column_stack([np.full(sides, at), ring]) for at in x])
        strips = [(i, sides + i, sides + (i + 1) % sides, (i + 1) % sides) for i in range(sides)]
        strips = [face[::-1] for face in strips]
        front = [(sides, sides + i, sides + i + 1, sides + i + 2) for i in range(1, sides - 2, 2)]
        back = [tuple(i - sides for i in reversed(face)) for face in front]
        self.faces(corners, (*strips, *front, *back), material, tint)

    def decal(self, x: float, y: tuple, z: tuple, ahead: bool, material: str, tint=(1, 1, 1)) -> None:
        """Add an upright rectangle across, facing ahead or back."""
        order = ((y[0], z[0]), (y[1], z[0]), (y[1], z[1]), (y[0], z[1]))
        corners = np.array([(x, across, up) for across, up in order])
        self.faces(corners, [(0, 1, 2, 3) if ahead else (1, 0, 3, 2)], material, tint)
