"""The self-supervised loss of Monodepth2 (paper, section 3): one layer, tensors in, tensors out.

For every scale of the decoder the disparity becomes depth, each source frame is warped to the target, and the
photometric errors become one number: the minimum over sources, where it beats the unwarped sources (auto-masking),
plus edge-aware smoothness.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import reduce

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.geometry import disp_to_depth
from layers.photometric import Target, photometric_error
from layers.smoothness import mean_normalised, smoothness_loss
from layers.view_synthesis import ViewSynthesis, resize_bilinear

FrameId = Hashable  # 0, -1, 1, ..., or "s" for the other camera of a stereo pair
TIE_BREAKING_NOISE = 1e-5
MASK_PRIOR_WEIGHT = 0.2


class SelfSupervisedLoss(nn.Layer):
    """Photometric reprojection of all sources and scales, and smoothness.

    Args:
        source_frames: the frames warped to frame 0, for example (-1, 1, "s").
        scales: the decoder's scales; scale s is 1 / 2**s of the input size.
        min_depth, max_depth: the range that disparity spans, scene units.
        disparity_smoothness: weight of smoothness at scale 0, halved at each further one.
        use_ssim: 0.85 SSIM + 0.15 L1, else L1 alone.
        automasking: drop pixels that an unwarped source explains better (paper, eq. 5).
        avg_reprojection: mean over sources in the place of the minimum (paper, eq. 4).
        v1_multiscale: compare at each scale's own size, not at full resolution.
        predictive_mask: weigh errors by ``outputs[("predictive_mask", s)]``, pushed towards 1 (Zhou et al., 2017).
        scale_translation: multiply the predicted translation by the mean inverse depth (Wang et al., 2018),
            as PoseCNN needs.
        separate_stereo: take the minimum over the temporal sources and over the stereo source apart and average
            both, so that depth must explain the stereo pair as well, which fixes its scale.
        tie_breaking_noise: standard deviation of what is added to the unwarped errors in training, so that a static
            camera, where all errors are equal, does not always choose the same one.
    """

    def __init__(
        self,
        source_frames: Sequence[FrameId],
        scales: Sequence[int] = (0, 1, 2, 3),
        *,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
        disparity_smoothness: float = 1e-3,
        use_ssim: bool = True,
        automasking: bool = True,
        avg_reprojection: bool = False,
        v1_multiscale: bool = False,
        predictive_mask: bool = False,
        scale_translation: bool = False,
        separate_stereo: bool = False,
        tie_breaking_noise: float = TIE_BREAKING_NOISE,
    ) -> None:
        super().__init__()
        self.source_frames = tuple(source_frames)
        self.scales = tuple(scales)
        self.depth_range = (min_depth, max_depth)
        self.disparity_smoothness = disparity_smoothness
        self.use_ssim = use_ssim
        self.automasking = automasking
        self.avg_reprojection = avg_reprojection
        self.v1_multiscale = v1_multiscale
        self.predictive_mask = predictive_mask
        self.scale_translation = scale_translation
        self.tie_breaking_noise = tie_breaking_noise
        temporal = tuple(f for f in self.source_frames if f != "s")
        self.groups = (temporal, ("s",)) if separate_stereo else (self.source_frames,)

    def forward(self, batch: Mapping, outputs: Mapping) -> tuple[dict[str, Tensor], dict[Hashable, Tensor]]:
        """The loss of one batch.

        Args:
            batch: ("color", f, s) in [0, 1] for frame 0 at every scale and for the sources at the scale compared
                at, ("K", s) and ("inv_K", s), "stereo_T" where "s" is a source, and "distortion" where lenses bend.
            outputs: ("disp", s) (B, 1, H / 2**s, W / 2**s) for every scale, ("cam_T_cam", 0, f) (B, 4, 4) for every
                temporal source, ("predictive_mask", s) (B, sources, ...) if it is used, and ("K", s) and ("inv_K", s)
                where they are predicted: they take the place of the batch's.

        Returns:
            Scalars: "loss", the mean over scales; "loss/S" of each; and of the first scale, without gradient,
            "auto_mask" (share of pixels kept) and "source/F" (share of pixels that source F explains best; of
            those of its own group where stereo is apart).
            Maps, of the first scale: ("warped", F) (B, 3, H, W) and "auto_mask" (B, 1, H, W), 1 where kept.
        """
        batch = {**batch, **{key: value for key, value in outputs.items() if key[0] in ("K", "inv_K")}}
        transforms = {f: batch["stereo_T"] if f == "s" else outputs["cam_T_cam", 0, f] for f in self.source_frames}
        at_size = {s: _AtSize(self, batch, s, transforms) for s in (self.scales if self.v1_multiscale else (0,))}
        losses: dict[str, Tensor] = {}
        maps: dict[Hashable, Tensor] = {}
        for scale in self.scales:
            view = at_size[scale if self.v1_multiscale else 0]
            warped = self._warp_all(view, outputs["disp", scale])
            reprojection_errors = {f: view.compare(image) for f, image in warped.items()}
            mask_prior_loss = 0.0
            if self.predictive_mask:
                mask = resize_bilinear(outputs["predictive_mask", scale], *view.size)
                for i, f in enumerate(self.source_frames):
                    reprojection_errors[f] = reprojection_errors[f] * mask[:, i : i + 1]
                mask_prior_loss = MASK_PRIOR_WEIGHT * F.binary_cross_entropy(mask, paddle.ones_like(mask))
            disp, image = outputs["disp", scale], batch["color", 0, scale]
            smooth = self.disparity_smoothness / 2**scale * smoothness_loss(mean_normalised(disp), image)
            losses[f"loss/{scale}"] = self._combine(reprojection_errors, view) + mask_prior_loss + smooth
            if scale == self.scales[0]:
                maps = {("warped", f): image.detach() for f, image in warped.items()}
                statistics, maps["auto_mask"] = self._statistics(reprojection_errors, view)
        losses["loss"] = sum(losses.values()) / len(self.scales)
        return {**losses, **statistics}, maps

    def _warp_all(self, view: "_AtSize", disp: Tensor) -> dict[FrameId, Tensor]:
        """Every source warped to the target by this disparity."""
        _, depth = disp_to_depth(resize_bilinear(disp, *view.size), *self.depth_range)
        warped = {}
        for f in self.source_frames:
            translation_scale = None
            if self.scale_translation and f != "s":
                translation_scale = (1.0 / depth).mean(axis=[2, 3])[:, :, None]  # (B, 1, 1)
            warped[f] = view.synthesis.warp(f, depth, translation_scale)
        return warped

    def _reduce(self, errors: list[Tensor]) -> Tensor:
        """One error map of several: (B, 1, H, W)."""
        if self.avg_reprojection:
            return sum(errors) / len(errors)
        return minimum(errors)

    def _combine(self, reprojection_errors: Mapping[FrameId, Tensor], view: "_AtSize") -> Tensor:
        """Mean over pixels of the reduced errors, masked by the unwarped sources'; averaged over groups."""
        loss = 0.0
        for group in self.groups:
            error = self._reduce([reprojection_errors[f] for f in group])
            if self.automasking:
                error = paddle.minimum(view.identity_error(group), error)
            loss = loss + error.mean()
        return loss / len(self.groups)

    @paddle.no_grad()
    def _statistics(
        self, reprojection_errors: Mapping[FrameId, Tensor], view: "_AtSize"
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Which pixels are kept, and which source explains them best."""
        scalars, masks = {}, []
        for group in self.groups:
            best = minimum([reprojection_errors[f] for f in group])
            if self.automasking:
                reduced = self._reduce([reprojection_errors[f] for f in group])
                kept = (reduced < view.identity_error(group)).astype(best.dtype)
            else:
                kept = paddle.ones_like(best)
            masks.append(kept)
            unclaimed = kept
            for f in group:  # where sources tie, as they do beyond the border, the first one counts
                wins = unclaimed * (reprojection_errors[f] <= best).astype(best.dtype)
                scalars[f"source/{f}"] = wins.mean()
                unclaimed = unclaimed - wins
        auto_mask = sum(masks) / len(masks)
        return {"auto_mask": auto_mask.mean(), **scalars}, auto_mask


class _AtSize:
    """What the scales compared at one image size share: target, rays, and the unwarped sources' errors."""

    def __init__(
        self, loss: SelfSupervisedLoss, batch: Mapping, scale: int, transforms: Mapping[FrameId, Tensor]
    ) -> None:
        sources = {f: batch["color", f, scale] for f in loss.source_frames}
        self.target = Target(batch["color", 0, scale])
        self.size = tuple(self.target.image.shape[2:])
        self.synthesis = ViewSynthesis(
            sources, batch["K", scale], batch["inv_K", scale], transforms, batch.get("distortion")
        )
        self.use_ssim = loss.use_ssim
        self._identity_errors = self._unwarped_errors(loss, sources) if loss.automasking else {}

    def compare(self, image: Tensor) -> Tensor:
        """Photometric error of ``image`` (B, 3, H, W) against the target: (B, 1, H, W)."""
        return photometric_error(image, self.target, self.use_ssim)

    def identity_error(self, group: tuple[FrameId, ...]) -> Tensor:
        """Reduced error of the unwarped sources of ``group``: (B, 1, H, W), without gradient."""
        return self._identity_errors[group]

    @paddle.no_grad()
    def _unwarped_errors(
        self, loss: SelfSupervisedLoss, sources: Mapping[FrameId, Tensor]
    ) -> dict[tuple[FrameId, ...], Tensor]:
        noise = loss.tie_breaking_noise if loss.training else 0.0
        errors = {f: self.compare(image) for f, image in sources.items()}
        if loss.avg_reprojection:
            reduced = {group: sum(errors[f] for f in group) / len(group) for group in loss.groups}
            return {group: error + noise * paddle.randn(error.shape) for group, error in reduced.items()}
        noisy = {f: error + noise * paddle.randn(error.shape) for f, error in errors.items()}
        return {group: minimum([noisy[f] for f in group]) for group in loss.groups}


def minimum(errors: Sequence[Tensor]) -> Tensor:
    """Pixelwise minimum of one or more maps; a chain, whose gradient is cheaper than that of a concatenation's."""
    pairwise: Callable[[Tensor, Tensor], Tensor] = paddle.minimum
    return reduce(pairwise, errors)
