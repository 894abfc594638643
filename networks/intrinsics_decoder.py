"""Focal length and centre from pose features: Gordon et al., "Depth from Videos in the Wild", ICCV 2019."""

from collections.abc import Hashable, Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Constant

# The pooled features are many and all positive: unscaled, one step of Adam would move the camera by percents, each
# sample's its own way, and the depth could not follow.
FOCAL_SCALE, CENTRE_SCALE = 0.1, 0.005


class IntrinsicsDecoder(nn.Layer):
    """A mean over space, and one 1x1 convolution: the paper's section on learning the intrinsics.

    The focal length is a softplus, which keeps it positive, times the image's longer side; the paper takes width and
    height, but pixels are about square, while images need not be. The centre is an offset from the middle. At first
    all images have a focal length of 0.69 of the longer side and the centre in the middle.

    Args:
        num_features: channels of the coarsest features, of all images together.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.net = nn.Conv2D(num_features, 4, kernel_size=1, weight_attr=Constant(0.0), bias_attr=Constant(0.0))

    def forward(self, features: Sequence[Tensor], height: int, width: int) -> Tensor:
        """fx, fy, cx, cy of every sample: (B, 4), pixels.

        Args:
            features: (B, C, h, w) of each image.
            height, width: of the images.
        """
        pooled = paddle.concat([f.mean(axis=[2, 3], keepdim=True) for f in features], axis=1)  # (B, C, 1, 1)
        x = self.net(pooled).flatten(1)  # (B, 4)
        size = paddle.to_tensor([width, height], dtype=x.dtype)
        focal = F.softplus(FOCAL_SCALE * x[:, :2]) * max(height, width)
        centre = (0.5 + CENTRE_SCALE * x[:, 2:]) * size - 0.5
        return paddle.concat([focal, centre], axis=1)


def intrinsics_outputs(intrinsics: Tensor, scales: Sequence[int]) -> dict[Hashable, Tensor]:
    """("K", s) and ("inv_K", s), each (B, 4, 4) in pixels of scale s, as a batch holds them.

    Args:
        intrinsics: (B, 4) of scale 0: fx, fy, cx, cy.
        scales: scale s is 1 / 2**s of the size.
    """
    outputs: dict[Hashable, Tensor] = {}
    for scale in scales:
        factor = 1 / 2**scale
        fx, fy = (intrinsics[:, i] * factor for i in (0, 1))
        # Pixel i has its centre at coordinate i, so that its left edge lies at i - 0.5.
        cx, cy = ((intrinsics[:, i] + 0.5) * factor - 0.5 for i in (2, 3))
        outputs["K", scale] = _matrix(fx, fy, cx, cy)
        outputs["inv_K", scale] = _matrix(1 / fx, 1 / fy, -cx / fx, -cy / fy)
    return outputs


def _matrix(fx: Tensor, fy: Tensor, cx: Tensor, cy: Tensor) -> Tensor:
    zero, one = paddle.zeros_like(fx), paddle.ones_like(fx)
    rows = ([fx, zero, cx, zero], [zero, fy, cy, zero], [zero, zero, one, zero], [zero, zero, zero, one])
    return paddle.stack([paddle.stack(row, axis=1) for row in rows], axis=1)
