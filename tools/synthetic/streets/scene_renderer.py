"""Render a view of a scene: the ground with markings, cast shadows, the sky."""

import numpy as np

from tools.synthetic.raster import Solids
from tools.synthetic.render import PinholeCamera, StreetRenderer, Surface
from tools.synthetic.streets.materials import MATERIALS
from tools.synthetic.streets.scene import Scene
from tools.synthetic.streets.shadows import Shadows
from tools.synthetic.textures import TextureAtlas


class SceneRenderer(StreetRenderer):
    """Renderer of the views of one scene.

    Args:
        scene: The scene.
        atlas: Textures of the materials.
        camera: The camera.
    """

    def __init__(self, scene: Scene, atlas: TextureAtlas, camera: PinholeCamera):
        self.scene, self.atlas, self.camera = scene, atlas, camera
        self.solids = Solids(scene.shapes)
        self.shadows = Shadows(self.solids, scene.sun) if scene.sunlight > 0.05 else None
        self.occlusion = Shadows(self.solids, np.array([0.0, 0.0, 1.0]), blur=0.6)
        self._set_samples()

    def solids_of(self, frame: int) -> Solids:
        """Return the objects; all views of a scene have the same."""
        return self.solids

    def surface(self, solids: Solids, T_world_camera: np.ndarray, frame: int) -> Surface:
        """Return the shading of a view."""
        return _SceneSurface(self, solids, T_world_camera, frame)


class _SceneSurface(Surface):
    """Shading of the samples of a view of a scene."""

    def _light(self, index: np.ndarray, normals: np.ndarray, tint) -> None:
        """Apply light from the sun, where it reaches, and from the sky."""
        scene, points = self.renderer.scene, self._points(index)
        direct = np.maximum(normals @ scene.sun.astype(np.float32), 0)
        if self.renderer.shadows is not None:
            direct = direct * self.renderer.shadows.lit(points)
        up = normals[..., 2] if normals.ndim == 2 else normals[2]
        sky = (0.75 + 0.25 * up) * (1 - 0.75 * scene.sunlight)
        sky = sky * (0.45 + 0.55 * self.renderer.occlusion.lit(points))
        self.light[index] = (sky + 1.1 * scene.sunlight * direct)[:, None] * tint
        self._widen(index, normals)

    def _shade_sky(self, index: np.ndarray) -> None:
        super()._shade_sky(index)
        self.material[index] = MATERIALS[self.renderer.scene.sky]

    def _shade_ground(self, index: np.ndarray) -> None:
        scene, road = self.renderer.scene, self.renderer.scene.road
        x, y, _ = self._points(index).T
        across = road.across(x, y)
        distance = abs(across)
        on_crossing = abs(x - road.crossing) < road.crossing_half
        names = {name: MATERIALS[material] for name, material in scene.ground.items()}
        inside = [distance < road.half, on_crossing, distance < road.half + road.pavement]
        parts = [names["road"], names["crossing"], names["pavement"]]
        self.material[index] = np.select(inside, parts, names["field"])
        self.u[index], self.v[index] = x, y
        self._light(index, np.array([0, 0, 1], np.float32), 1.0)
        kerb = _line(distance - road.half - 0.1, 0.1, self.footprint[index]) * (~on_crossing if road.pavement else 0)
        self.light[index] *= (1 + 0.35 * kerb)[:, None]
        if road.marked:
            self._mark(index, x, across, on_crossing)

    def _mark(self, index: np.ndarray, x: np.ndarray, across: np.ndarray, on_crossing: np.ndarray) -> None:
        """Brighten the lines between lanes, dashed except in the middle and at the edges, and stop lines."""
        road, paint = self.renderer.scene.road, np.zeros(len(index), np.float32)
        blur = self.footprint[index]
        for lane in range(-road.lanes, road.lanes + 1):
            line = _line(across - lane * road.lane, 0.07, blur)
            solid = abs(lane) == road.lanes or (lane == 0 and road.lanes > 1)
            paint = np.maximum(paint, line if solid else line * ((x % 9.0) < 4.0))
        paint *= ~on_crossing
        if np.isfinite(road.crossing):
            stop = road.crossing - road.crossing_half - 1.2
            inside = (across < 0) & (across > -road.lanes * road.lane)
            paint = np.maximum(paint, _line(x - stop, 0.25, blur) * inside)
        self.light[index] *= (1 + 0.9 * paint)[:, None]


def _line(offset: np.ndarray, half: float, blur: np.ndarray) -> np.ndarray:
    """Return the share (N,) of samples of width ``blur`` that a line of width 2 ``half`` covers."""
    reach = np.maximum(blur, 0.01)
    return np.clip((half - abs(offset)) / reach + 0.5, 0, 1) * np.minimum(1, 2 * half / reach)
