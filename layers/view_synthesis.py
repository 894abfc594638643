"""The target frame rendered from a source frame, given the target's depth and the camera's motion (paper, eq. 2)."""

from collections.abc import Hashable, Mapping

import paddle.nn.functional as F
from paddle import Tensor

from layers.camera_models import distort_pixels, undistort_rays
from layers.geometry import pixel_rays, project_plane_at_infinity, project_rays, reproject, sample_image
from layers.kernels.ops import operator


class ViewSynthesis:
    """Warps several sources to one target at one size; what depth has no part in is computed once.

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
        self.K, self.inv_K, self.transforms = K, inv_K, transforms
        self.distortion = distortion
        self._rays: Tensor | None = None
        self._seen: dict[Hashable, tuple[Tensor, Tensor]] = {}

    def warp(self, source: Hashable, depth: Tensor, translation_scale: Tensor | None = None) -> Tensor:
        """What the target would look like, seen by ``source``.

        Args:
            source: the source's id.
            depth: (B, 1, H, W), scene units.
            translation_scale: (B, 1, 1), multiplies the translation of the transform; 1 if not given.

        Returns:
            (B, 3, H, W).
        """
        image = self.sources[source]
        # The operator knows no lenses.
        fused = operator("warp", image, depth, self.K, self.inv_K) if self.distortion is None else None
        if source not in self._seen:
            self._seen[source] = self._view(source, of_pixels=fused is not None)
        directions, offset = self._seen[source]
        if translation_scale is not None:
            offset = offset * translation_scale
        if fused:
            return fused(image, depth, directions, offset)
        pixels = reproject(depth, directions, offset)
        if self.distortion is not None:
            pixels = distort_pixels(pixels, self.K, self.distortion)
        return sample_image(image, pixels)

    def _view(self, source: Hashable, of_pixels: bool) -> tuple[Tensor, Tensor]:
        """How the source sees the target's rays, or its pixels, but for their depth."""
        if of_pixels:
            return project_plane_at_infinity(self.inv_K, self.K, self.transforms[source])
        if self._rays is None:
            self._rays = pixel_rays(self.inv_K, *self.sources[source].shape[2:])
            if self.distortion is not None:
                self._rays = undistort_rays(self._rays, self.distortion)
        return project_rays(self._rays, self.K, self.transforms[source])


def resize_bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, h, w) -> (B, C, height, width), pixel areas aligned."""
    if tuple(x.shape[2:]) == (height, width):
        return x
    return F.interpolate(x, size=[height, width], mode="bilinear", align_corners=False)
