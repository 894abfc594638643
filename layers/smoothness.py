"""Edge-aware smoothness of disparity (paper, section 3.1)."""

from paddle import Tensor


def smoothness_loss(disp: Tensor, image: Tensor) -> Tensor:
    """Mean gradient of ``disp``, less where the image has an edge (Godard et al., 2017).

    Args:
        disp: (B, 1, H, W).
        image: (B, 3, H, W) in [0, 1], of the same size.

    Returns:
        A scalar.
    """
    loss = 0.0
    for axis in (2, 3):  # down, then right
        disp_step, image_step = _steps(disp, axis), _steps(image, axis)
        weight = (-image_step.mean(axis=1, keepdim=True)).exp()
        loss = loss + (disp_step * weight).mean()
    return loss


def mean_normalised(disp: Tensor) -> Tensor:
    """``disp`` (B, 1, H, W) divided by its mean over each image, so that shrinking all depth gains nothing."""
    return disp / (disp.mean(axis=[2, 3], keepdim=True) + 1e-7)


def _steps(x: Tensor, axis: int) -> Tensor:
    """Absolute differences of neighbours along ``axis``."""
    size = x.shape[axis]
    return (x.slice([axis], [0], [size - 1]) - x.slice([axis], [1], [size])).abs()
