"""The loss of a training: a weighted sum of terms on views that are synthesised once (paper, section 3).

For every scale of the decoder the disparity becomes depth and each source frame is warped into the target view. The
terms of Monodepth2 compare these views with the target (``reprojection_loss``) and smooth the disparity
(``smoothness``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from paddle import Tensor, nn

from layers.loss_term import LossTerm
from layers.reprojection_loss import MaskPriorLoss, ReprojectionLoss
from layers.smoothness import SmoothnessLoss
from layers.view_synthesis import FrameId, ViewSynthesiser

MASK_PRIOR_WEIGHT = 0.2
Terms = Mapping[str, tuple[float, LossTerm]]  # name -> weight and term


class SelfSupervisedLoss(nn.Layer):
    """A weighted sum of terms.

    Args:
        synthesise_views: makes the views that the terms compare.
        terms: name -> weight and term.
    """

    def __init__(self, synthesise_views: ViewSynthesiser, terms: Terms) -> None:
        super().__init__()
        self.synthesise_views = synthesise_views
        self.weights = {name: weight for name, (weight, _) in terms.items()}
        self.terms = {name: term for name, (_, term) in terms.items()}
        for name, term in self.terms.items():
            if isinstance(term, nn.Layer):  # so that it follows ``train`` and ``eval``
                self.add_sublayer(name, term)

    @property
    def scales(self) -> tuple[int, ...]:
        """Scales of the disparity."""
        return self.synthesise_views.scales

    @property
    def depth_range(self) -> tuple[float, float]:
        """Depths of disparity 1 and 0, scene units."""
        return self.synthesise_views.depth_range

    def forward(
        self, batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Compute the loss of a batch.

        Args:
            batch, outputs: as ``ViewSynthesiser`` and the terms read them.

        Returns:
            Scalars: "loss", the weighted sum of the terms; "loss/S" of each scale; and those of the terms. Maps: those
            of the terms.
        """
        views = self.synthesise_views(batch, outputs)
        total = 0.0
        by_scale: dict[str, Any] = {f"loss/{scale}": 0.0 for scale in self.scales}
        scalars: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            result = term(batch, outputs, views)
            total = total + self.weights[name] * result.loss
            for key, value in result.scalars.items():
                if key in by_scale:
                    by_scale[key] = by_scale[key] + self.weights[name] * value
                else:
                    scalars[key] = value
            maps.update(result.maps)
        return {**by_scale, "loss": total, **scalars}, maps


def monodepth2_loss(
    source_frames: Sequence[FrameId],
    scales: Sequence[int] = (0, 1, 2, 3),
    *,
    min_depth: float = 0.1,
    max_depth: float = 100.0,
    disparity_smoothness: float = 1e-3,
    v1_multiscale: bool = False,
    scale_translation: bool = False,
    predictive_mask: bool = False,
    more_terms: Terms | None = None,
    **reprojection: Any,
) -> SelfSupervisedLoss:
    """Build the published loss.

    Args:
        source_frames, scales, min_depth, max_depth, v1_multiscale, scale_translation: as for ``ViewSynthesiser``;
            without source frames, there is no reprojection error.
        disparity_smoothness: weight of ``SmoothnessLoss``.
        predictive_mask: weigh errors by the predicted mask, with ``MaskPriorLoss``.
        more_terms: further terms by name.
        reprojection: settings of ``ReprojectionLoss``.
    """
    synthesise_views = ViewSynthesiser(
        source_frames,
        scales,
        min_depth=min_depth,
        max_depth=max_depth,
        v1_multiscale=v1_multiscale,
        scale_translation=scale_translation,
    )
    terms: dict[str, tuple[float, LossTerm]] = {}
    if source_frames:
        terms["reprojection"] = (1.0, ReprojectionLoss(source_frames, predictive_mask=predictive_mask, **reprojection))
    if predictive_mask:
        terms["mask_prior"] = (MASK_PRIOR_WEIGHT, MaskPriorLoss())
    terms["smoothness"] = (disparity_smoothness, SmoothnessLoss())
    return SelfSupervisedLoss(synthesise_views, {**terms, **(more_terms or {})})
