"""Videos of the built-in world by a camera with known speed, height, field of view and disturbances."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import cv2
import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from datasets.cameras import Camera
from tools.synthetic.render import PinholeCamera, StreetRenderer
from tools.synthetic.street import CAMERA_HEIGHT, Street
from tools.synthetic.textures import build_atlas
from tools.video_import.sources import Source, SourceFrame


@dataclass(frozen=True)
class Drive:
    """A drive along a street with parked cars.

    Attributes:
        metres: Metres per frame, of successive stretches of the drive.
        stretches: Number of frames of each stretch.
        height: Height of the camera in metres.
        fov: Horizontal FOV in degrees.
        horizon: Row of the horizon, a share of the image height.
        bonnet: Share of the image height that a bonnet hides.
        night: Darken by a factor of 8, and add noise.
        shake: Standard deviation of the rotation per frame in degrees.
        rain: Number of drops on the windscreen.
        turn: Degrees per frame that the camera turns, in place if ``metres`` is 0.
    """

    metres: tuple[float, ...] = (1.1,)
    stretches: tuple[int, ...] = (40,)
    height: float = CAMERA_HEIGHT
    fov: float = 65.0
    horizon: float = 0.46
    bonnet: float = 0.0
    night: bool = False
    shake: float = 0.0
    rain: int = 0
    turn: float = 0.0
    size: tuple[int, int] = (272, 480)
    seed: int = 1


class StreetSource(Source):
    """The frames of a drive."""

    path = "the drive"

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.steps = np.repeat(drive.metres, drive.stretches)
        self.times = np.arange(len(self.steps)) / 30
        self.size = drive.size

    @cached_property
    def focal(self) -> float:
        """Focal length as a share of the width."""
        return float(self._K[0, 0] / self.size[1])

    @cached_property
    def _K(self) -> np.ndarray:
        K = Camera.from_view(self.drive.fov, self.size, "").K.copy()
        K[1, 2] = self.drive.horizon * (self.size[0] - 1)
        return K

    def read(self, indices, grey_width=None):
        for index in indices:
            yield SourceFrame(index, self.grey(index))

    @lru_cache(maxsize=256)  # noqa: B019 - sources of tests are short-lived
    def grey(self, index: int) -> np.ndarray:
        """Return a grey frame."""
        drive, random = self.drive, np.random.default_rng(index)
        view = _view(drive.seed, self.size, tuple(self._K.ravel()), self._pose(index, random).tobytes())
        image = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY).astype(np.float32)
        if drive.night:
            image = image / 8 + random.normal(0, 3, image.shape)
        fixed = np.random.default_rng(0)
        for _ in range(drive.rain):
            x, y = (int(fixed.integers(side)) for side in self.size[::-1])
            drop = cv2.circle(np.zeros(self.size, np.uint8), (x, y), int(fixed.integers(3, 9)), 1, -1)
            image = np.where(drop, cv2.GaussianBlur(image, (0, 0), 8) / 2 + 60, image)
        if drive.bonnet:
            rows = round(drive.bonnet * self.size[0])
            bonnet = fixed.integers(20, 90, (rows // 8 + 1, self.size[1] // 8 + 1)).astype(np.uint8)
            image[-rows:] = cv2.resize(bonnet, (self.size[1], rows), interpolation=cv2.INTER_CUBIC)
        return image.clip(0, 255).astype(np.uint8)

    def _pose(self, index: int, random: np.random.Generator) -> np.ndarray:
        """Return T_world_from_camera (4, 4) of a frame."""
        drive, street = self.drive, _street(self.drive.seed)
        along = street.along[0] + self.steps[:index].sum()
        pose = np.eye(4)
        rotation = Slerp(street.along, Rotation.from_matrix(street.poses[:, :3, :3]))(along)
        rotation *= Rotation.from_euler("y", drive.turn * index, degrees=True)
        rotation *= Rotation.from_rotvec(np.radians(random.normal(0, drive.shake, 3)))
        pose[:3, :3] = rotation.as_matrix()
        pose[:3, 3] = [np.interp(along, street.along, street.poses[:, axis, 3]) for axis in range(3)]
        pose[2, 3] += drive.height - CAMERA_HEIGHT
        return pose


def source_of(**drive) -> StreetSource:
    """Create the source of a drive."""
    return StreetSource(replace(Drive(), **drive))


@lru_cache(maxsize=2)
def _street(seed: int) -> Street:
    return Street((0, seed), 160, leading_car=False)


@lru_cache(maxsize=2)
def _renderer(seed: int, size: tuple[int, int], K: tuple[float, ...]) -> StreetRenderer:
    return StreetRenderer(_street(seed), _atlas(), PinholeCamera(*size, np.reshape(K, (3, 3))))


@lru_cache(maxsize=1)
def _atlas():
    return build_atlas(0)


@lru_cache(maxsize=512)
def _view(seed: int, size: tuple[int, int], K: tuple[float, ...], pose: bytes) -> np.ndarray:
    return _renderer(seed, size, K).render(0, np.frombuffer(pose).reshape(4, 4)).color
