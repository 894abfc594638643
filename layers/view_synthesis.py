"""The target frame rendered from a source frame, given the target's depth and the camera's motion (paper, eq. 2)."""

from collections.abc import Hashable, Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from kernels import operator
from layers.geometry import pixel_grid, project_pixels, reproject, sample_image


class ViewSynthesis:
    """Warps several sources to one target at one size; what depth has no part in is computed once.

    Args:
        sources: source id -> image (B, 3, H, W).
        K, inv_K: (B, 4, 4), pixels of that size.
        transforms: source id -> T_target_to_source (B, 4, 4).
    """

    def __init__(
        self, sources: Mapping[Hashable, Tensor], K: Tensor, inv_K: Tensor, transforms: Mapping[Hashable, Tensor]
    ) -> None:
        self.sources = sources
        self._projections = {f: project_pixels(K, inv_K, transforms[f]) for f in sources}
        self._directions: dict[Hashable, Tensor] = {}

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
        homography, offset = self._projections[source]
        if translation_scale is not None:
            offset = offset * translation_scale
        fused = operator("warp", image, depth, homography, offset)
        if fused:
            return fused(image, depth, homography, offset)
        if source not in self._directions:
            pixels = pixel_grid(*image.shape[2:], dtype=homography.dtype)
            self._directions[source] = paddle.matmul(homography, pixels)  # (B, 3, H * W)
        return sample_image(image, reproject(depth, self._directions[source], offset))


def resize_bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, h, w) -> (B, C, height, width), pixel areas aligned."""
    if tuple(x.shape[2:]) == (height, width):
        return x
    return F.interpolate(x, size=[height, width], mode="bilinear", align_corners=False)
