"""The target frame rendered from a source frame, given the target's depth and the camera's motion (paper, eq. 2)."""

from collections.abc import Hashable, Mapping

import paddle.nn.functional as F
from paddle import Tensor

from layers.camera_models import distort_pixels, undistort_rays
from layers.geometry import pixel_rays, project_rays, reproject, sample_image


class ViewSynthesis:
    """Warps several sources to one target at one size; rays are computed once, whatever the number of depth maps.

    Args:
        sources: source id -> image (B, 3, H, W).
        K, inv_K: (B, 4, 4), pixels of that size.
        transforms: source id -> T_target_to_source (B, 4, 4).
        distortion: (B, 9) of `layers.camera_models`, the lens of target and sources; None where lines are straight.
    """

    def __init__(
        self,
        sources: Mapping[Hashable, Tensor],
        K: Tensor,
        inv_K: Tensor,
        transforms: Mapping[Hashable, Tensor],
        distortion: Tensor | None = None,
    ) -> None:
        self.sources = sources
        self.K, self.distortion = K, distortion
        height, width = next(iter(sources.values())).shape[2:]
        rays = pixel_rays(inv_K, height, width)
        if distortion is not None:
            rays = undistort_rays(rays, distortion)
        self.projections = {f: project_rays(rays, K, transforms[f]) for f in sources}

    def warp(self, source: Hashable, depth: Tensor, translation_scale: Tensor | None = None) -> Tensor:
        """What the target would look like, seen by ``source``.

        Args:
            source: the source's id.
            depth: (B, 1, H, W), scene units.
            translation_scale: (B, 1, 1), multiplies the translation of the transform; 1 if not given.

        Returns:
            (B, 3, H, W).
        """
        directions, offset = self.projections[source]
        if translation_scale is not None:
            offset = offset * translation_scale
        pixels = reproject(depth, directions, offset)
        if self.distortion is not None:
            pixels = distort_pixels(pixels, self.K, self.distortion)
        return sample_image(self.sources[source], pixels)


def resize_bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, h, w) -> (B, C, height, width), pixel areas aligned."""
    if tuple(x.shape[2:]) == (height, width):
        return x
    return F.interpolate(x, size=[height, width], mode="bilinear", align_corners=False)
