"""The photometric reprojection error with minimum reprojection and auto-masking (paper, section 3.2)."""

from collections.abc import Mapping, Sequence
from functools import reduce

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from layers.loss_term import TermResult, mean_over_scales
from layers.photometric import photometric_error
from layers.view_synthesis import FrameId, Frames, View, resize_bilinear

IGNORED_MAPS = ("map/mask_dir", "map/overlays")  # 1 where pixels do not count
TIE_BREAKING_NOISE = 1e-5


class ReprojectionLoss(nn.Layer):
    """Photometric error of the warped sources: the minimum over sources, where it beats the unwarped sources.

    Args:
        source_frames: the frames warped to frame 0, for example (-1, 1, "s").
        use_ssim: 0.85 SSIM + 0.15 L1, else L1 alone.
        automasking: drop pixels that an unwarped source explains better (paper, eq. 5).
        avg_reprojection: average over sources instead of the minimum (paper, eq. 4).
        predictive_mask: weigh errors by the predicted mask (Zhou et al., 2017).
        separate_stereo: take the minimum over the temporal sources and over the stereo source separately and average
            both, so that depth must explain the stereo pair as well, which fixes its scale.
        tie_breaking_noise: standard deviation of what is added to the unwarped errors in training, so that a static
            camera, where all errors are equal, does not always choose the same one.
    """

    def __init__(
        self,
        source_frames: Sequence[FrameId],
        *,
        use_ssim: bool = True,
        automasking: bool = True,
        avg_reprojection: bool = False,
        predictive_mask: bool = False,
        separate_stereo: bool = False,
        tie_breaking_noise: float = TIE_BREAKING_NOISE,
    ) -> None:
        super().__init__()
        self.source_frames = tuple(source_frames)
        self.use_ssim = use_ssim
        self.automasking = automasking
        self.avg_reprojection = avg_reprojection
        self.predictive_mask = predictive_mask
        self.tie_breaking_noise = tie_breaking_noise
        temporal = tuple(f for f in self.source_frames if f != "s")
        self.groups = (temporal, ("s",)) if separate_stereo else (self.source_frames,)

    def forward(self, batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor], views: Sequence[View]) -> TermResult:
        """Average the reprojection error over scales and pixels.

        Args:
            batch: those of ``IGNORED_MAPS`` that it has, (B, 1, H, W).
            outputs: "predictive_mask/S" (B, sources, ...) if it is used.
            views: of every scale.

        Returns:
            The loss and "loss/S" of each scale. Of the first scale, without gradient: the scalars "auto_mask" (share of
            pixels kept), "source/F" (share of pixels that source F explains best; of those of its own group if stereo
            is separate) and, if some pixels do not count, "valid" (share of pixels that do); and the maps "warped/F"
            (B, 3, H, W) and "auto_mask" (B, 1, H, W), 1 where kept.
        """
        identity_errors = {}
        if self.automasking:
            for view in views:
                if view.frames.scale not in identity_errors:
                    identity_errors[view.frames.scale] = self._identity_errors(view.frames)
        losses: dict[int, Tensor] = {}
        for view in views:
            errors = self._reprojection_errors(view, outputs)
            identity = identity_errors.get(view.frames.scale)
            valid = self._valid(batch, view)
            losses[view.scale] = self._combine(errors, identity, valid)
            if view is views[0]:
                shares, auto_mask = self._statistics(errors, identity, valid)
                if valid is not None:
                    shares["valid"] = valid.mean()
        loss, by_scale = mean_over_scales(losses)
        warped = {f"warped/{f}": image.detach() for f, image in views[0].warped.items()}
        return TermResult(loss, {**by_scale, **shares}, {**warped, "auto_mask": auto_mask})

    @staticmethod
    def _valid(batch: Mapping[str, Tensor], view: View) -> Tensor | None:
        """Return the pixels of the view that count, (B, 1, H, W); None if all do."""
        ignored = [batch[name] for name in IGNORED_MAPS if name in batch]
        valid = reduce(paddle.multiply, [1 - mask for mask in ignored]) if ignored else None
        return None if valid is None else resize_bilinear(valid, *view.frames.target.size)

    def _reprojection_errors(self, view: View, outputs: Mapping[str, Tensor]) -> dict[FrameId, Tensor]:
        """Source -> photometric error of the warped image, (B, 1, H, W)."""
        target = view.frames.target
        errors = {f: photometric_error(image, target, self.use_ssim) for f, image in view.warped.items()}
        if self.predictive_mask:
            mask = resize_bilinear(outputs[f"predictive_mask/{view.scale}"], *target.size)
            errors = {f: error * mask[:, i : i + 1] for i, (f, error) in enumerate(errors.items())}
        return errors

    @paddle.no_grad()
    def _identity_errors(self, frames: Frames) -> dict[tuple[FrameId, ...], Tensor]:
        """Group of sources -> reduced error of its unwarped images, (B, 1, H, W)."""
        noise = self.tie_breaking_noise if self.training else 0.0
        errors = {f: photometric_error(image, frames.target, self.use_ssim) for f, image in frames.sources.items()}
        if self.avg_reprojection:
            reduced = {group: sum(errors[f] for f in group) / len(group) for group in self.groups}
            return {group: error + noise * paddle.randn(error.shape) for group, error in reduced.items()}
        noisy = {f: error + noise * paddle.randn(error.shape) for f, error in errors.items()}
        return {group: minimum([noisy[f] for f in group]) for group in self.groups}

    def _reduce(self, errors: list[Tensor]) -> Tensor:
        """Reduce the error maps of a group's sources to one, (B, 1, H, W)."""
        return sum(errors) / len(errors) if self.avg_reprojection else minimum(errors)

    def _combine(
        self, errors: Mapping[FrameId, Tensor], identity: Mapping | None, valid: Tensor | None = None
    ) -> Tensor:
        """Average the reduced errors, masked by those of the unwarped sources, over pixels and groups.

        Pixels that do not count have error 0, so that all others weigh as much as without a mask.
        """
        loss = 0.0
        for group in self.groups:
            error = self._reduce([errors[f] for f in group])
            if identity is not None:
                error = paddle.minimum(identity[group], error)
            loss = loss + (error if valid is None else error * valid).mean()
        return loss / len(self.groups)

    @paddle.no_grad()
    def _statistics(
        self, errors: Mapping[FrameId, Tensor], identity: Mapping | None, valid: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the shares of valid pixels that are kept and that each source explains best, and the auto-mask."""
        shares, masks = {}, []
        for group in self.groups:
            best = minimum([errors[f] for f in group])
            if identity is None:
                kept = paddle.ones_like(best)
            else:
                kept = (self._reduce([errors[f] for f in group]) < identity[group]).astype(best.dtype)
            kept = kept if valid is None else kept * valid
            masks.append(kept)
            unclaimed = kept
            for f in group:  # where sources tie, as they do beyond the border, the first one counts
                wins = unclaimed * (errors[f] <= best).astype(best.dtype)
                shares[f"source/{f}"] = _mean(wins, valid)
                unclaimed = unclaimed - wins
        auto_mask = sum(masks) / len(masks)
        return {"auto_mask": _mean(auto_mask, valid), **shares}, auto_mask


class MaskPriorLoss(nn.Layer):
    """Cross-entropy that pushes the predictive mask towards 1 (Zhou et al., 2017)."""

    def forward(self, batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor], views: Sequence[View]) -> TermResult:
        """Average the cross-entropy of "predictive_mask/S" over scales."""
        losses = {}
        for view in views:
            mask = resize_bilinear(outputs[f"predictive_mask/{view.scale}"], *view.frames.target.size)
            losses[view.scale] = F.binary_cross_entropy(mask, paddle.ones_like(mask))
        return TermResult(*mean_over_scales(losses), {})


def _mean(values: Tensor, valid: Tensor | None) -> Tensor:
    """Average (B, 1, H, W), 0 on pixels that do not count, over those that do."""
    return values.mean() if valid is None else values.sum() / valid.sum().clip(min=1.0)


def minimum(errors: Sequence[Tensor]) -> Tensor:
    """Return the pixelwise minimum of maps; the gradient of this chain is cheaper than that of a concatenation."""
    return reduce(paddle.minimum, errors)
