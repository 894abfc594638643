"""Random crops keep the geometry exact: true depth and motion explain the cropped images of the built-in world."""

import numpy as np
import paddle
import pytest
from PIL import Image

from datasets.mono_dataset import MonoDataset
from datasets.splits import SplitLine
from datasets.transforms import ExtraMap
from layers.view_synthesis import ViewSynthesis
from tools.synthetic.kitti_tree import STEREO_BASELINE
from tools.synthetic.shapes import CLASSES, INSTANCES_PER_CLASS

FRAMES = (0, -1, 1, "s")


class SceneDataset(MonoDataset):
    """The frames of a scene as files, with depth and visibility as extra maps."""

    BASELINE = STEREO_BASELINE / 5.4
    EXTRA_MAPS = {"depth": 1, "visible": 1}  # noqa: RUF012

    def image_path(self, line, frame_offset, side):
        """Return the file of the frame id."""
        return f"{self.data_path}/{'s' if side == 'r' else frame_offset}.png"

    def intrinsics(self, line, side):
        """Return those of the scene."""
        return SCENES[self.data_path].camera.K, None

    def extra_maps(self, line):
        """Return the exact depth, and where all sources see the pixel."""
        scene = SCENES[self.data_path]
        visible = np.logical_and.reduce([scene.visible(f) for f in FRAMES[1:]])
        return {"depth": ExtraMap(scene.depth / scene.UNIT), "visible": ExtraMap(visible & static(scene))}


SCENES = {}


def static(scene):
    """Return a mask of the pixels that do not show a moving car."""
    return scene.views[0].instances // INSTANCES_PER_CLASS != CLASSES["moving car"]


@pytest.fixture(scope="module")
def scene_folder(make_scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    SCENES[str(folder)] = scene = make_scene(0)
    for frame in FRAMES:
        Image.fromarray(scene.views[frame].color).save(folder / f"{frame}.png")
    return str(folder)


def errors(folder, epoch, **crop):
    """Return the errors of warped and unwarped sources over visible pixels, and whether the sample is mirrored."""
    scene = SCENES[folder]
    dataset = SceneDataset(
        folder, [SplitLine("-", 0, "l")], height=96, width=320, frame_ids=FRAMES, scales=(0,), train=True, **crop
    )
    sample = dataset[0, epoch]
    flipped = sample["stereo_T"][0, 3] > 0
    mirror = np.diag([-1.0, 1, 1, 1]) if flipped else np.eye(4)
    transforms = {f: paddle.to_tensor(scene.units(mirror @ T @ mirror)) for f, T in scene.transforms.items()}
    np.testing.assert_allclose(transforms["s"].numpy()[0], sample["stereo_T"], atol=1e-6)
    images = {f: paddle.to_tensor(sample[f"color/{f}/0"][None].astype("float32") / 255) for f in FRAMES}
    K, inv_K = (paddle.to_tensor(sample[name][None]) for name in ("K/0", "inv_K/0"))
    synthesis = ViewSynthesis({f: images[f] for f in transforms}, K, inv_K, transforms)
    depth, visible = paddle.to_tensor(sample["map/depth"][None]), sample["map/visible"][0] > 0
    warped, unwarped = [], []
    margin = np.zeros_like(visible)  # what a source shows beyond the crop's border is not in the crop
    margin[12:-12, 40:-40] = True
    for f in transforms:
        for image, found in ((synthesis.warp(f, depth), warped), (images[f], unwarped)):
            found.append(abs(image - images[0]).numpy()[0].mean(axis=0)[visible & margin].mean())
    return np.mean(warped), np.mean(unwarped), flipped


def test_true_depth_and_motion_explain_every_crop(scene_folder):
    whole, seen = errors(scene_folder, 0)[0], set()
    for epoch in range(8):
        warped, unwarped, flipped = errors(scene_folder, epoch, crop_scale=0.5, crop_aspect=1.4)
        assert warped < 1.3 * whole and warped < 0.4 * unwarped
        seen.add(bool(flipped))
    assert seen == {True, False}
