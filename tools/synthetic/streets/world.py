"""The varied world as a KITTI raw tree of single views, each drive one scene, each day one camera."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tools.synthetic.kitti_tree import write_calibration, write_view
from tools.synthetic.render import PinholeCamera, RenderedView
from tools.synthetic.streets.effects import Optics, photograph
from tools.synthetic.streets.materials import build_atlas
from tools.synthetic.streets.scene import Scene
from tools.synthetic.streets.scene_renderer import SceneRenderer
from tools.synthetic.world import World

VIEWS_PER_SCENE = 5
CAMERAS = 24
NARROWEST, WIDEST = 60.0, 100.0  # horizontal fields of view in degrees
SKY_DEPTH = 65535 / 256  # metres: the largest value of a depth map. A network should learn that the sky is far.


@dataclass(frozen=True)
class StreetsWorld(World):
    """The parameters that determine every byte of a varied world; its frames are single images of one camera.

    Attributes:
        height, width, frames, seed: As for ``World``.
    """

    NAME = "streets"
    VERSION = 1
    FRAMES_PER_DRIVE = VIEWS_PER_SCENE
    IMAGES = "images"

    @property
    def manifest(self) -> dict:
        """What the folder's manifest states."""
        return {"world": self.NAME, **super().manifest}

    @cached_property
    def cameras(self) -> list[PinholeCamera]:
        """The cameras: most are like KITTI's, others have random fields of view and principal points."""
        rng = np.random.default_rng([self.seed, 2])
        cameras = [PinholeCamera.like_kitti(self.height, self.width)] * (CAMERAS // 4)
        for _ in range(CAMERAS - len(cameras)):
            focal = self.width / 2 / np.tan(np.radians(rng.uniform(NARROWEST, WIDEST)) / 2)
            cx, cy = (self.width - 1) / 2, rng.uniform(0.3, 0.7) * (self.height - 1)
            K = np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]])
            cameras.append(PinholeCamera(self.height, self.width, K))
        return cameras

    def day(self, camera: int) -> str:
        """Return the folder of a camera's drives."""
        return f"2000_02_{camera + 1:02d}"

    def drive_folder(self, drive: int) -> str:
        """Return the folder of a drive, as in split lines."""
        day = self.day(drive % CAMERAS)
        return f"{day}/{day}_drive_{drive + 1:04d}_sync"

    def split_lines(self, part: str) -> list[str]:
        """List the lines of a part; the frames have no neighbours."""
        return [
            f"{self.drive_folder(drive)} {frame} l"
            for drive, its_part in enumerate(self.parts)
            if its_part == part
            for frame in range(self.drive_lengths[drive])
        ]

    def renderer(self, drive: int) -> SceneRenderer:
        """Create the renderer of a drive's scene."""
        scene = Scene((self.seed, drive), self.drive_lengths[drive])
        return SceneRenderer(scene, build_atlas(self.seed), self.cameras[drive % CAMERAS])

    def prepare(self, folder: Path) -> None:
        """Write the calibration of every camera."""
        for number, camera in enumerate(self.cameras):
            write_calibration(folder / self.day(number), camera)

    def write_frame(self, folder: Path, renderer: SceneRenderer, drive: int, frame: int) -> None:
        """Render and write the image and the depth of a frame."""
        view = renderer.render(frame, renderer.scene.poses[frame])
        optics = Optics(np.random.default_rng([self.seed, drive, 1]))
        color = photograph(np.random.default_rng([self.seed, drive, 1, frame]), optics, view)
        depth = np.where(view.depth > 0, view.depth, SKY_DEPTH)
        view = RenderedView(color, depth, view.instances)
        write_view(folder / self.drive_folder(drive), 2, frame, view, optics.quality)
