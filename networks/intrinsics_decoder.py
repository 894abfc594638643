"""Focal length and centre from pose features: Gordon et al., "Depth from Videos in the Wild", ICCV 2019."""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Constant

# The pooled features are many and all positive: unscaled, one step of Adam would move the principal point by percents
# of the image, differently for each sample. The focal length must converge early, since depth cannot be learned with a
# wrong one; hence its larger scale.
FOCAL_SCALE, CENTRE_SCALE = 0.3, 0.005


class IntrinsicsDecoder(nn.Layer):
    """Global average pooling and one 1x1 convolution (Gordon et al., section on learning the intrinsics).

    The focal length is softplus(output), which is positive, times the image's longer side. The principal point is an
    offset from the image centre. The initial focal length is ln 2 = 0.69 of the longer side, and the initial principal
    point is the image centre.

    The paper predicts one focal length per axis. Here the pixel aspect ratio is given, and one focal length is
    predicted: only pitch reveals the vertical focal length, and a car hardly pitches.

    Args:
        num_features: channels of the coarsest features of all images together.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.net = nn.Conv2D(num_features, 3, kernel_size=1, weight_attr=Constant(0.0), bias_attr=Constant(0.0))

    def forward(
        self, features: Sequence[Tensor], height: int, width: int, pixel_aspect: Tensor | None = None
    ) -> Tensor:
        """Predict the intrinsics of every sample.

        Args:
            features: (B, C, h, w) of each image.
            height, width: image size in pixels.
            pixel_aspect: (B,), fy / fx; None for square pixels.

        Returns:
            (B, 4): fx, fy, cx, cy in pixels.
        """
        pooled = paddle.concat([f.mean(axis=[2, 3], keepdim=True) for f in features], axis=1)  # (B, C, 1, 1)
        focal, x, y = self.net(pooled).flatten(1).unbind(axis=1)  # (B,) each
        aspect = paddle.ones_like(focal) if pixel_aspect is None else pixel_aspect
        fx = F.softplus(FOCAL_SCALE * focal) * (height / aspect).clip(min=float(width))
        cx, cy = ((0.5 + CENTRE_SCALE * offset) * side - 0.5 for offset, side in ((x, width), (y, height)))
        return paddle.stack([fx, aspect * fx, cx, cy], axis=1)


def intrinsics_outputs(intrinsics: Tensor, scales: Sequence[int]) -> dict[str, Tensor]:
    """Return "K/S" and "inv_K/S", each (B, 4, 4) in pixels of scale S, as in a batch.

    Args:
        intrinsics: (B, 4), fx, fy, cx, cy in pixels of scale 0.
        scales: scale s has 1 / 2**s of the input size.
    """
    outputs: dict[str, Tensor] = {}
    for scale in scales:
        factor = 1 / 2**scale
        fx, fy = (intrinsics[:, i] * factor for i in (0, 1))
        # Pixel i has its centre at coordinate i and its left edge at i - 0.5.
        cx, cy = ((intrinsics[:, i] + 0.5) * factor - 0.5 for i in (2, 3))
        outputs[f"K/{scale}"] = _matrix(fx, fy, cx, cy)
        outputs[f"inv_K/{scale}"] = _matrix(1 / fx, 1 / fy, -cx / fx, -cy / fy)
    return outputs


def _matrix(fx: Tensor, fy: Tensor, cx: Tensor, cy: Tensor) -> Tensor:
    zero, one = paddle.zeros_like(fx), paddle.ones_like(fx)
    rows = ([fx, zero, cx, zero], [zero, fy, cy, zero], [zero, zero, one, zero], [zero, zero, zero, one])
    return paddle.stack([paddle.stack(row, axis=1) for row in rows], axis=1)
