"""Lay out a scene from a seed: roads, buildings, plants, vehicles, people, light and the camera's viewpoints."""

from dataclasses import dataclass

import numpy as np

from tools.synthetic.shapes import Shapes
from tools.synthetic.streets.materials import MATERIALS, draw
from tools.synthetic.streets.objects import (
    add_bin,
    add_bridge,
    add_broadleaf,
    add_building,
    add_bush,
    add_conifer,
    add_fence,
    add_gantry,
    add_hedge,
    add_person,
    add_pole,
    add_wall,
    footprint,
)
from tools.synthetic.streets.vehicles import KINDS, add_vehicle, vehicle_size

BEHIND, AHEAD = -12.0, 150.0  # metres of road around the first viewpoint
REACH = 5.0  # metres of road that the viewpoints span
PLANTS = (add_broadleaf, add_broadleaf, add_conifer, add_bush)
BARRIERS = (add_hedge, add_wall, add_fence)


@dataclass(frozen=True)
class Road:
    """A road along x that bends evenly, with an optional crossing.

    Attributes:
        bend: 1 / radius in 1/m, left positive; the centre line is the parabola ``bend * x ** 2 / 2``.
        lanes: Lanes per direction.
        lane: Width of a lane in metres.
        parking: Width of the parking strip on both sides, 0 without.
        pavement: Width of both pavements, 0 without.
        marked: Whether lanes have markings.
        crossing: x of the centre of a crossing road, infinite without.
        crossing_half: Half its width.
    """

    bend: float
    lanes: int
    lane: float
    parking: float
    pavement: float
    marked: bool
    crossing: float
    crossing_half: float

    @property
    def half(self) -> float:
        """Distance from the centre line to the kerb."""
        return self.lanes * self.lane + self.parking

    def at(self, along: float, across: float) -> tuple[np.ndarray, float]:
        """Return the position (2,) and the heading in radians; across is positive to the left."""
        heading = np.arctan(self.bend * along)
        x, y = along - across * np.sin(heading), self.bend * along**2 / 2 + across * np.cos(heading)
        return np.array([x, y]), heading

    def across(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the distance to the left of the centre line; exact where the road is straight."""
        return (y - self.bend * x**2 / 2) / np.sqrt(1 + (self.bend * x) ** 2)

    def in_crossing(self, along: float, margin: float) -> bool:
        """Whether a position is on the crossing road, or within ``margin`` metres of it."""
        return abs(along - self.crossing) < self.crossing_half + margin


def _draw_road(rng: np.random.Generator, busy: bool) -> Road:
    bend = 0.0 if rng.random() < 0.4 else float(np.clip(rng.normal(0, 0.004), -0.012, 0.012))
    return Road(
        bend=bend,
        lanes=int(rng.integers(1, 4)) if busy else 1,
        lane=rng.uniform(3.0, 3.7) if busy else rng.uniform(2.3, 3.4),
        parking=rng.choice([0.0, 2.2]) if busy else rng.choice([0.0, 2.1, 2.3]),
        pavement=rng.choice([0.0, rng.uniform(1, 4.5)], p=[0.25, 0.75]),
        marked=bool(rng.random() < (0.95 if busy else 0.4)),
        crossing=rng.uniform(7, 60) if rng.random() < 0.4 else np.inf,
        crossing_half=rng.uniform(3, 9),
    )


class Scene:
    """One scene with several viewpoints.

    Args:
        seed: Integers that determine the scene.
        views: Number of viewpoints.

    Attributes:
        road: The road.
        shapes: All objects.
        ground: Names of the materials of "road", "pavement", "field" and "crossing".
        sky: Name of the sky's material.
        sun: (3,) unit vector towards the sun.
        sunlight: Share of direct light, 0 if the sky is overcast.
        poses: (views, 4, 4) T_world_from_camera.
    """

    def __init__(self, seed: tuple[int, ...], views: int):
        rng = np.random.default_rng(seed)
        self._rng = rng
        self.busy = bool(rng.random() < 0.45)
        self.road = _draw_road(rng, self.busy)
        paved = rng.choice(["asphalt", "slabs"], p=[0.9, 0.1])
        self.ground = {
            "road": draw(rng, paved),
            "crossing": draw(rng, paved),
            "pavement": draw(rng, rng.choice(["slabs", "asphalt", "gravel"], p=[0.6, 0.3, 0.1])),
            "field": draw(rng, rng.choice(["grass", "gravel", "slabs"], p=[0.6, 0.2, 0.2])),
        }
        self.sky = draw(rng, "sky")
        elevation, azimuth = np.radians(rng.uniform(15, 70)), rng.uniform(0, 2 * np.pi)
        self.sun = np.array(
            [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        )
        self.sunlight = rng.uniform(0.45, 0.85) if rng.random() < 0.65 else rng.uniform(0, 0.25)
        self.shapes = Shapes(materials=MATERIALS)
        self._occupied: list[tuple[float, float, float, float]] = []
        self.poses = self._viewpoints(views)
        self._add_traffic()
        for side in (-1, 1):
            self._add_side(side)
        self._add_crossings()
        self._add_background()

    def _viewpoints(self, views: int) -> np.ndarray:
        """Place the cameras in the right lanes, at random heights and angles."""
        rng, road = self._rng, self.road
        self.own_lane = int(rng.integers(road.lanes))
        across = -(self.own_lane + 0.5) * road.lane if rng.random() < 0.85 else rng.uniform(-0.3, 0.3)
        self.camera_across = across
        height, tilt = rng.choice([rng.uniform(1.35, 1.8), rng.uniform(0.9, 2.6)], p=[0.7, 0.3]), rng.normal(0, 1.5)
        poses = []
        for _ in range(views):
            sideways = np.clip(rng.normal(0, 0.3), -0.6, 0.6)
            (x, y), heading = road.at(rng.uniform(0, REACH), across + sideways)
            yaw = rng.normal(0, 4) if rng.random() < 0.8 else rng.uniform(-40, 40)
            heading += np.radians(yaw)
            pitch, roll = np.radians(tilt + rng.normal(0, 0.7)), np.radians(rng.normal(0, 1))
            ahead = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), np.sin(pitch)])
            left = np.array([-np.sin(heading), np.cos(heading), 0])
            up = np.cross(ahead, left)
            right = -np.cos(roll) * left + np.sin(roll) * up
            pose = np.eye(4)
            pose[:3, :3] = np.stack([right, np.cross(ahead, right), ahead], axis=1)
            pose[:3, 3] = x, y, height
            poses.append(pose)
        return np.stack(poses)

    def _add_vehicle(self, along: float, across: float, kind: str | None = None, turn: float = 0.0) -> float:
        """Add a vehicle whose back is at ``along``; return its length, also if it does not fit."""
        rng = self._rng
        share = [0.55, 0.17, 0.2, 0.08] if self.busy else [0.78, 0.14, 0.05, 0.03]
        kind = kind or str(rng.choice(KINDS, p=share))
        size = vehicle_size(rng, kind)
        position, heading = self.road.at(along + size[0] / 2, across)
        if self._claim(footprint((size[0] + 0.5, size[1] + 0.3), position, heading + turn)):
            add_vehicle(self.shapes, rng, kind, size, position, heading + turn)
        return size[0]

    def _claim(self, corners: np.ndarray) -> bool:
        """Reserve the box around corners (N, 2), unless a camera or another object is there."""
        (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
        for x, y in self.poses[:, :2, 3]:
            if x0 - 1.2 < x < x1 + 2.2 and y0 - 0.7 < y < y1 + 0.7:
                return False
        for a0, b0, a1, b1 in self._occupied:
            if x0 < a1 and a0 < x1 and y0 < b1 and b0 < y1:
                return False
        self._occupied.append((x0, y0, x1, y1))
        return True

    def _add_traffic(self) -> None:
        """Fill the lanes: queues or single vehicles ahead, beside and oncoming."""
        rng, road = self._rng, self.road
        for direction in (-1, 1):
            for lane in range(road.lanes):
                if rng.random() > (0.8 if self.busy else 0.45):
                    continue
                gap = rng.choice([rng.uniform(1.5, 5), rng.uniform(5, 40)])
                at = rng.uniform(-8, 15) if rng.random() < 0.8 else rng.uniform(0, 60)
                while at < AHEAD * 0.7:
                    if not road.in_crossing(at, 6):
                        turn = np.radians(rng.normal(0, 2)) + (np.pi if direction > 0 else 0)
                        at += self._add_vehicle(
                            at, direction * (lane + 0.5) * road.lane + rng.normal(0, 0.2), None, turn
                        )
                    at += gap * rng.uniform(0.6, 1.6)
                    if rng.random() < 0.1:
                        break
        if np.isfinite(road.crossing) and rng.random() < 0.6:  # traffic on the crossing road
            for _ in range(rng.integers(1, 4)):
                across = rng.uniform(-30, 30)
                along = road.crossing + rng.uniform(-0.6, 0.6) * road.crossing_half
                self._add_vehicle(along, across, None, np.pi / 2 * rng.choice([-1, 1]))

    def _add_side(self, side: int) -> None:
        rng, road = self._rng, self.road
        edge = road.half + road.pavement
        if road.parking and rng.random() < 0.85:
            at, gap = rng.uniform(-9, 2), rng.choice([0.8, 3, 12])
            while at < AHEAD * 0.6:
                if not road.in_crossing(at, 5):
                    turn = np.radians(rng.normal(0, 1.5)) + (np.pi if rng.random() < 0.4 else 0)
                    at += self._add_vehicle(at, side * (road.half - 1.0 + rng.normal(0, 0.1)), None, turn)
                at += gap * rng.uniform(0.6, 2)
        setback = rng.choice([rng.uniform(0.05, 1.5), rng.uniform(1.5, 14)])
        if rng.random() < (0.55 if self.busy else 0.9):
            self._add_buildings(side, edge + setback)
            plant_at = (edge - 0.3, edge + max(setback, 1.0))
        else:
            plant_at = (edge + 0.5, edge + rng.uniform(3, 25))
        if rng.random() < 0.5:
            barrier, height = BARRIERS[rng.integers(3)], rng.uniform(0.5, 2.2)
            across = edge + rng.uniform(0.2, 0.6)
            if setback > 1.0:
                self._along(side, (3, 9), lambda at, gap: self._add_barrier(side, at, gap, across, barrier, height))
        self._along(side, (rng.uniform(3, 30),) * 2, lambda at, _: self._add_plant(side, at, plant_at))
        if road.pavement or not self.busy:
            self._along(side, (rng.uniform(10, 40),) * 2, lambda at, _: self._add_small(side, at, edge))

    def _along(self, side: int, gaps: tuple[float, float], add) -> None:
        rng, at = self._rng, self._rng.uniform(BEHIND / 2, BEHIND / 2 + gaps[1])
        while at < AHEAD * 0.8:
            gap = rng.uniform(*gaps) * rng.uniform(0.6, 1.4)
            if not self.road.in_crossing(at, 1):
                add(at, gap)
            at += gap

    def _add_buildings(self, side: int, front: float) -> None:
        rng = self._rng
        at, floors = BEHIND, rng.choice([1, 2, 2, 3, 4, 6])
        dense = rng.random() < 0.5
        while at < AHEAD:
            length, depth = rng.uniform(7, 20), rng.uniform(6, 14)
            setback = 0.0 if dense else rng.uniform(-0.5, 5) * rng.integers(0, 2)
            position, heading = self.road.at(at + length / 2, side * (front + max(setback, 0) + depth / 2))
            blocked = self.road.in_crossing(at + length / 2, length / 2 + 1)
            turned = rng.random() < 0.3
            size = (depth, length) if turned else (length, depth)
            heading += np.pi / 2 if turned else 0
            if rng.random() < 0.93 and not blocked and self._claim(footprint(size, position, heading)):
                eaves = max(2.4, 2.8 * floors + rng.uniform(-0.5, 1.2) + rng.choice([0, 0, -2.8, 2.8]))
                add_building(self.shapes, rng, position, heading, (*size, eaves))
            at += length + (rng.choice([0.02, 0.3]) if dense else rng.uniform(0.5, 9))

    def _add_plant(self, side: int, along: float, across: tuple[float, float]) -> None:
        rng = self._rng
        position, _ = self.road.at(along, side * rng.uniform(*across))
        plant = PLANTS[rng.integers(len(PLANTS))]
        if self._claim(position + 0.4 * np.array([[-1, -1], [1, 1]])):
            plant(self.shapes, rng, position, rng.uniform(0.6, 2.5) if plant is add_bush else rng.uniform(3.5, 14))

    def _add_barrier(self, side: int, along: float, length: float, across: float, barrier, height: float) -> None:
        if self._rng.random() < 0.75:
            position, heading = self.road.at(along + length / 2, side * across)
            if self._claim(footprint((length, 0.3), position, heading)):
                barrier(self.shapes, self._rng, position, heading, length, height)

    def _add_small(self, side: int, along: float, edge: float) -> None:
        """Add a pole, person or bin on the pavement."""
        rng = self._rng
        across = rng.uniform(self.road.half + 0.3, max(edge, self.road.half + 0.8))
        position, heading = self.road.at(along, side * across)
        if not self._claim(position + 0.3 * np.array([[-1, -1], [1, 1]])):
            return
        kind = rng.integers(4)
        if kind < 2:
            # The arm of a lamp is on the left.
            add_pole(self.shapes, rng, position, heading + (np.pi if side > 0 else 0), rng.uniform(2.2, 9))
        elif kind == 2:
            add_person(self.shapes, rng, position)
        else:
            add_bin(self.shapes, rng, position, heading)

    def _add_crossings(self) -> None:
        """Add bridges and gantries above the road, and people on it."""
        rng, road = self._rng, self.road
        clear = (road.half + road.pavement,) * 2
        if rng.random() < (0.35 if self.busy else 0.06):
            for at in rng.uniform(10, 80, rng.integers(1, 3)):
                position, heading = road.at(at, 0.0)
                add_bridge(self.shapes, rng, position, heading + rng.normal(0, 0.2), clear)
        for _ in range(rng.integers(0, 3)):
            position, heading = road.at(rng.uniform(8, 70), 0.0)
            add_gantry(self.shapes, rng, position, heading, clear)
        if rng.random() < 0.15:
            position, _ = road.at(rng.uniform(REACH + 4, 30), rng.uniform(-1, 1) * road.half)
            if self._claim(position + 0.3 * np.array([[-1, -1], [1, 1]])):
                add_person(self.shapes, rng, position)

    def _add_background(self) -> None:
        """Close the view with woods and buildings far away."""
        rng = self._rng
        for _ in range(rng.integers(5, 40)):
            along, across = rng.uniform(40, 200), rng.choice([-1, 1]) * rng.uniform(25, 110)
            position, heading = self.road.at(along, across)
            if along > AHEAD and rng.random() < 0.6:
                position, heading = self.road.at(along, rng.uniform(-60, 60))
            if rng.random() < 0.7:
                add_broadleaf(self.shapes, rng, position, rng.uniform(6, 18))
            elif self._claim(footprint((15, 15), position, 0)):
                size = (rng.uniform(8, 25), rng.uniform(8, 14), rng.uniform(3, 18))
                add_building(self.shapes, rng, position, heading, size)
