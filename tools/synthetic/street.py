"""Generate a street from a seed: static objects, traffic, and the trajectory of the camera."""

from dataclasses import dataclass

import numpy as np

from tools.synthetic.road import Road
from tools.synthetic.shapes import (
    CAR_SIZE,
    Shapes,
    add_car,
    add_hedge,
    add_house,
    add_pole,
    add_tree,
    instance_id,
)
from tools.synthetic.textures import KERB, PAVEMENT_END, WALL_STYLES

FRAME_SECONDS = 0.1
CAMERA_HEIGHT = 1.65
LANE = -1.6  # across coordinate of the camera's lane; traffic keeps right
VIEW = 130.0  # metres of street beyond the last frame
CAR_TINTS = (
    (0.9, 0.9, 0.9),
    (0.12, 0.13, 0.15),
    (0.55, 0.1, 0.1),
    (0.12, 0.2, 0.5),
    (0.6, 0.62, 0.65),
    (0.75, 0.6, 0.2),
)


@dataclass(frozen=True)
class MovingCar:
    """A moving car, at ``along[i]`` in frame i; an oncoming car faces against the direction of the road."""

    along: np.ndarray
    across: float
    oncoming: bool
    tint: tuple[float, float, float]
    instance: int


class Street:
    """One drive through one street.

    Args:
        seed: Integers that determine the street and the drive.
        num_frames: Number of frames of the drive.
        leading_car: Whether a car drives ahead at the camera's speed; None lets the seed decide.
        frame_seconds: Seconds between frames; the same seed and duration give nearly the same drive at any frame rate.

    Attributes:
        road: The centre line.
        along: (N,) position of the camera along the road in each frame, in metres.
        shapes: Static objects.
        moving: Moving cars.
        poses: (N, 4, 4) T_world_from_camera of the left camera in each frame.
        speeds: (N,) in m/s.
        sun: (3,) unit vector towards the sun.
    """

    def __init__(
        self,
        seed: tuple[int, ...],
        num_frames: int,
        leading_car: bool | None = None,
        frame_seconds: float = FRAME_SECONDS,
    ):
        rng = np.random.default_rng(seed)
        self.frame_seconds = frame_seconds
        self.speeds = _speeds(rng, np.arange(num_frames) * (frame_seconds / FRAME_SECONDS))
        self.along = 2.0 + np.concatenate([[0], np.cumsum(self.speeds[:-1] * frame_seconds)])
        self.road = Road(rng, self.along[-1] + VIEW)
        elevation, azimuth = np.radians(rng.uniform(30, 60)), rng.uniform(0, 2 * np.pi)
        self.sun = np.array(
            [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        )
        self.poses = self._camera_poses(rng)
        self.shapes = Shapes()
        for side in (-1, 1):
            self._build_side(rng, side)
        self.moving = self._traffic(rng, leading_car)

    def _camera_poses(self, rng: np.random.Generator) -> np.ndarray:
        """Compute poses (N, 4, 4) along the lane, with the slight pitch, roll and bounce of a car."""
        count = len(self.along)
        steps = np.arange(count) * (self.frame_seconds / FRAME_SECONDS)
        (x, y), heading = self.road.at(self.along, LANE)[0].T, self.road.at(self.along)[1]
        pitch, sway, bounce = (
            size * np.sin(2 * np.pi * (steps / period + rng.random()))
            for size, period in ((np.radians(0.12), 13), (np.radians(0.08), 17), (0.01, 9))
        )
        poses = np.tile(np.eye(4), (count, 1, 1))
        for i in range(count):
            forward, left = _direction(heading[i]), _direction(heading[i] + np.pi / 2)
            forward = np.cos(pitch[i]) * forward + np.sin(pitch[i]) * np.array([0, 0, 1])
            up = np.cross(forward, left)
            right = -np.cos(sway[i]) * left + np.sin(sway[i]) * up
            poses[i, :3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
            poses[i, :3, 3] = [x[i], y[i], CAMERA_HEIGHT + bounce[i]]
        return poses

    def _build_side(self, rng: np.random.Generator, side: int) -> None:
        """Place houses, then trees, poles, hedges and parked cars; density and distances differ between the sides."""
        setback = rng.uniform(PAVEMENT_END + 1.0, 15.0)
        at = rng.uniform(-12, 0)
        while at < self.road.length:
            length = rng.uniform(8, 15)
            if rng.random() < 0.85:
                self._build_house(rng, side, at + length / 2, length, setback + rng.uniform(-0.8, 2.0))
            at += length + rng.uniform(1.0, 7.0)
        self._place_along(rng, side, (12, 30), self._build_tree)
        self._place_along(rng, side, (22, 30), self._build_pole)
        if rng.random() < 0.6:
            self._place_along(rng, side, (7, 14), self._build_hedge)
        density = rng.uniform(6, 22)
        self._place_along(rng, side, (density, 1.8 * density), self._build_parked_car)

    def _place_along(self, rng: np.random.Generator, side: int, gaps: tuple[float, float], build) -> None:
        at = rng.uniform(0, gaps[1])
        while at < self.road.length:
            build(rng, side, at)
            at += rng.uniform(*gaps)

    def _build_house(self, rng, side: int, along: float, length: float, front: float) -> None:
        depth = rng.uniform(8, 12)
        position, heading = self.road.at(along, side * (front + depth / 2))
        corners = np.array([[x, y] for x in (-length / 2, 0, length / 2) for y in (-depth / 2, 0, depth / 2)])
        turn = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
        if abs(self.road.beside(corners @ turn + position)[1]).min() < PAVEMENT_END + 0.3:
            return  # it would overlap another bend of the road
        size = (length, depth, rng.choice([3.2, 6.0, 6.0, 9.0]) + rng.uniform(-0.2, 0.6))
        wall = f"wall{rng.integers(WALL_STYLES)}"
        number = len(self.shapes.quads)
        add_house(self.shapes, position, heading, size, wall, rng.uniform(0.7, 1.1, 3), instance_id("house", number))

    def _build_tree(self, rng, side: int, along: float) -> None:
        position, _ = self.road.at(along, side * rng.uniform(PAVEMENT_END - 0.6, PAVEMENT_END + 1.0))
        add_tree(self.shapes, rng, position, rng.uniform(4.5, 8.5), instance_id("tree", len(self.shapes.quads)))

    def _build_pole(self, rng, side: int, along: float) -> None:
        position, _ = self.road.at(along, side * (KERB + 0.4))
        add_pole(self.shapes, position, rng.uniform(5, 7), instance_id("pole", len(self.shapes.quads)))

    def _build_hedge(self, rng, side: int, along: float) -> None:
        position, heading = self.road.at(along, side * (PAVEMENT_END + 0.45))
        number = instance_id("hedge", len(self.shapes.quads))
        add_hedge(self.shapes, position, heading, rng.uniform(3, 6.5), rng.uniform(0.7, 1.6), number)

    def _build_parked_car(self, rng, side: int, along: float) -> None:
        position, heading = self.road.at(along, side * rng.uniform(4.1, 4.3))
        heading += np.radians(rng.uniform(-2, 2)) + (np.pi if side > 0 else 0)
        tint = CAR_TINTS[rng.integers(len(CAR_TINTS))]
        add_car(self.shapes, tint, instance_id("parked car", len(self.shapes.quads)), position, heading)

    def _traffic(self, rng: np.random.Generator, leading_car: bool | None) -> list[MovingCar]:
        times = np.arange(len(self.along)) * self.frame_seconds
        tints = [CAR_TINTS[i] for i in rng.permutation(len(CAR_TINTS))]
        moving = []
        for number in range(rng.integers(0, 3)):
            start = self.along[0] + rng.uniform(25, 60) + 40 * number
            along = start - rng.uniform(6, 11) * times
            moving.append(MovingCar(along, -LANE, True, tints[number], instance_id("moving car", number)))
        if leading_car or (leading_car is None and rng.random() < 0.25):
            along = self.along + rng.uniform(9, 16)
            moving.append(MovingCar(along, LANE, False, tints[-1], instance_id("moving car", 9)))
        return moving

    def moving_shapes(self, frame: int) -> Shapes:
        """Return the moving cars at their positions in a frame, without those that have left the street."""
        shapes = Shapes()
        for car, (position, heading) in zip(self.moving, self.moving_poses(frame), strict=True):
            if CAR_SIZE[0] < car.along[frame] < self.road.length:
                add_car(shapes, car.tint, car.instance, position, heading)
        return shapes

    def moving_poses(self, frame: int) -> list[tuple[np.ndarray, float]]:
        """Return the position (2,) and heading in radians of each moving car in a frame."""
        poses = []
        for car in self.moving:
            position, heading = self.road.at(car.along[frame], car.across)
            poses.append((position, float(heading) + (np.pi if car.oncoming else 0)))
        return poses


def _speeds(rng: np.random.Generator, steps: np.ndarray) -> np.ndarray:
    """Sample smooth speeds from 3.5 to 11 m/s at steps of 0.1 s; one in five longer drives stops once."""
    knots = rng.uniform(3.5, 11, int(steps[-1] + 1) // 20 + 2)
    if rng.random() < 0.2 and len(knots) > 3:
        knots[rng.integers(1, len(knots) - 1)] = 0.0
    at = steps / 20
    share = at % 1
    eased = share * share * (3 - 2 * share)
    before = at.astype(int)
    return knots[before] * (1 - eased) + knots[before + 1] * eased


def _direction(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle), 0.0])
