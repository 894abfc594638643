"""Warp source frames into the target view, given the target's depth and the camera's motion (paper, eq. 2)."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import paddle.nn.functional as F
from paddle import Tensor

from layers.camera_models import distort_pixels, undistort_rays
from layers.geometry import (
    disp_to_depth,
    pixel_rays,
    project_plane_at_infinity,
    project_rays,
    reproject,
    sample_image,
)
from layers.kernels.ops import operator
from layers.photometric import TargetStatistics

FrameId = Hashable  # 0, -1, 1, ..., or "s" for the other camera of a stereo pair


class ViewSynthesis:
    """Warps source images into the target view at one size; all that does not depend on depth is computed once.

    Args:
        sources: source id -> image (B, 3, H, W).
        K, inv_K: (B, 4, 4), intrinsics in pixels of that size and their inverse.
        transforms: source id -> T_target_to_source (B, 4, 4).
        distortion: (B, 9), see ``layers.camera_models``; the lens of target and sources. None for pinhole cameras.
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
        """Warp a source image into the target view.

        Args:
            source: id of the source.
            depth: (B, 1, H, W), depth of the target, scene units.
            translation_scale: (B, 1, 1), multiplies the transform's translation; 1 by default.

        Returns:
            (B, 3, H, W).
        """
        image = self.sources[source]
        # The operator does not support distortion.
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
        """Project the target's pixels (``of_pixels``) or rays into the source image, up to depth."""
        if of_pixels:
            return project_plane_at_infinity(self.inv_K, self.K, self.transforms[source])
        if self._rays is None:
            self._rays = pixel_rays(self.inv_K, *self.sources[source].shape[2:])
            if self.distortion is not None:
                self._rays = undistort_rays(self._rays, self.distortion)
        return project_rays(self._rays, self.K, self.transforms[source])


def resize_bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """Resize (B, C, h, w) to (B, C, height, width); pixel areas are aligned, not corners."""
    if tuple(x.shape[2:]) == (height, width):
        return x
    return F.interpolate(x, size=[height, width], mode="bilinear", align_corners=False)


@dataclass(frozen=True, eq=False)
class Frames:
    """The images that are compared at one size.

    Attributes:
        scale: the images have 1 / 2**scale of the input size.
        target: frame 0.
        sources: source frame -> image (B, 3, H, W).
        synthesis: warps the sources by any depth.
    """

    scale: int
    target: TargetStatistics
    sources: dict[FrameId, Tensor]
    synthesis: ViewSynthesis


@dataclass(frozen=True, eq=False)
class View:
    """The sources, warped into the target view by the disparity of one scale.

    Attributes:
        scale: of the disparity.
        frames: the images before warping; at full size unless the loss compares at each scale's own.
        warped: source frame -> image (B, 3, H, W).
        depth: (B, 1, H, W), the depth that the sources are warped by, scene units.
    """

    scale: int
    frames: Frames
    warped: dict[FrameId, Tensor]
    depth: Tensor


class ViewSynthesiser:
    """Synthesises the views of all scales once, for all terms of a loss.

    Args:
        source_frames: the frames warped to frame 0, for example (-1, 1, "s").
        scales: the decoder's scales.
        min_depth, max_depth: the range that disparity spans, scene units.
        v1_multiscale: compare at each scale's own size, not at full resolution.
        scale_translation: multiply the predicted translation by the mean inverse depth (Wang et al., 2018), as PoseCNN
            needs.
    """

    def __init__(
        self,
        source_frames: Sequence[FrameId],
        scales: Sequence[int],
        *,
        min_depth: float,
        max_depth: float,
        v1_multiscale: bool,
        scale_translation: bool,
    ) -> None:
        self.source_frames = tuple(source_frames)
        self.scales = tuple(scales)
        self.depth_range = (min_depth, max_depth)
        self.v1_multiscale = v1_multiscale
        self.scale_translation = scale_translation

    def __call__(self, batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> list[View]:
        """Return the view of every scale, in the order of ``scales``.

        Args:
            batch: "color/F/S" (B, 3, H, W); where there are sources, "K/S" and "inv_K/S" (B, 4, 4); "stereo_T"
                (B, 4, 4) where "s" is a source, and "distortion" (B, 9) where lenses distort. S is 0, or every scale
                with ``v1_multiscale``.
            outputs: "disp/S" (B, 1, H / 2**S, W / 2**S) for every scale, "T_target_to_source/F" (B, 4, 4) for every
                temporal source, and "K/S" and "inv_K/S" where they are predicted: they replace the batch's.
        """
        transforms = {
            f: batch["stereo_T"] if f == "s" else outputs[f"T_target_to_source/{f}"] for f in self.source_frames
        }
        at_size = {
            s: self._prepare(batch, outputs, s, transforms) for s in (self.scales if self.v1_multiscale else (0,))
        }
        views = []
        for scale in self.scales:
            frames = at_size[scale if self.v1_multiscale else 0]
            disp = resize_bilinear(outputs[f"disp/{scale}"], *frames.target.size)
            _, depth = disp_to_depth(disp, *self.depth_range)
            views.append(View(scale, frames, self._warp_all(frames.synthesis, depth), depth))
        return views

    def _prepare(self, batch: Mapping, outputs: Mapping, scale: int, transforms: Mapping[FrameId, Tensor]) -> Frames:
        """Return what all disparities that are compared at one size share."""
        sources = {f: batch[f"color/{f}/{scale}"] for f in self.source_frames}
        K, inv_K = (outputs.get(f"{name}/{scale}", batch.get(f"{name}/{scale}")) for name in ("K", "inv_K"))
        synthesis = ViewSynthesis(sources, K, inv_K, transforms, batch.get("distortion"))
        return Frames(scale, TargetStatistics(batch[f"color/0/{scale}"]), sources, synthesis)

    def _warp_all(self, synthesis: ViewSynthesis, depth: Tensor) -> dict[FrameId, Tensor]:
        """Warp every source by the depth (B, 1, H, W)."""
        warped = {}
        for f in self.source_frames:
            translation_scale = None
            if self.scale_translation and f != "s":
                translation_scale = (1.0 / depth).mean(axis=[2, 3])[:, :, None]  # (B, 1, 1)
            warped[f] = synthesis.warp(f, depth, translation_scale)
        return warped
