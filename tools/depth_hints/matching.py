"""Disparity of a rectified stereo pair: semi-global matching with 12 settings, fused by photometric error.

No setting is best everywhere: small blocks keep thin objects, and fewer disparities lose less of the side that only one
camera sees. Each pixel takes the disparity whose warped image matches best (Watson et al., ICCV 2019, section 3.3).
"""

import cv2
import numpy as np

BLOCK_SIZES = (1, 2, 3)
DISPARITIES = (64, 96, 128, 160)  # for images of KITTI's width
KITTI_WIDTH = 1242
STEP = 16  # OpenCV's fixed-point disparities, and the multiple that their number must be
SMOOTHNESS = (72, 864)  # penalties of disparity steps by one and by more, per channel
CONTRAST = 63  # limit of the gradients that are compared
UNIQUENESS = 10  # percent by which the best cost must beat the second
SPECKLE = (100, 2)  # smaller connected regions are dropped; steps within a region, pixels
LEFT_RIGHT = 1  # pixels by which the disparities of both images may differ
SSIM_WEIGHT, C1, C2 = 0.85, 0.01**2, 0.03**2  # as in ``layers.photometric``


def matcher_settings(width: int) -> list[tuple[int, int]]:
    """Return (block size, number of disparities) of each setting; small images have fewer that differ."""
    scaled = (max(STEP, round(number * width / KITTI_WIDTH / STEP) * STEP) for number in DISPARITIES)
    return [(block, number) for number in dict.fromkeys(scaled) for block in BLOCK_SIZES]


def fused_disparity(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Match a rectified pair with all settings, and fuse the results.

    Args:
        left, right: uint8 (H, W) or (H, W, 3).

    Returns:
        float32 (H, W), disparity of the left image in pixels, 0 where no setting found one.
    """
    best_error = np.full(left.shape[:2], np.inf, np.float32)
    fused = np.zeros(left.shape[:2], np.float32)
    target, source = (image.astype(np.float32) / 255 for image in (left, right))
    for block, number in matcher_settings(left.shape[1]):
        disparity = match(left, right, block, number)
        error = photometric_error(warp(source, disparity), target)
        better = (disparity > 0) & (error < best_error)
        best_error[better] = error[better]
        fused[better] = disparity[better]
    return fused


def match(left: np.ndarray, right: np.ndarray, block: int, number: int) -> np.ndarray:
    """Match with one setting: float32 (H, W), disparity in pixels, 0 where unknown."""
    channels = 1 if left.ndim == 2 else left.shape[2]
    matcher = cv2.StereoSGBM_create(
        minDisparity=0,
        numDisparities=number,
        blockSize=block,
        P1=SMOOTHNESS[0] * channels,
        P2=SMOOTHNESS[1] * channels,
        preFilterCap=CONTRAST,
        disp12MaxDiff=LEFT_RIGHT,
        uniquenessRatio=UNIQUENESS,
        speckleWindowSize=SPECKLE[0],
        speckleRange=SPECKLE[1],
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,  # a third faster than the default, and fewer pixels without a disparity
    )
    return np.maximum(matcher.compute(left, right), 0).astype(np.float32) / STEP


def warp(source: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    """Sample the right image where the left one's pixels are seen; the border continues beyond the image."""
    rows, columns = np.indices(disparity.shape, dtype=np.float32)
    return cv2.remap(source, columns - disparity, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def photometric_error(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compute ``layers.photometric.photometric_error`` without Paddle, which worker processes need not load.

    Args:
        prediction, target: float32 (H, W) or (H, W, C) in [0, 1].

    Returns:
        (H, W), 0 where the images are equal.
    """
    mean, target_mean = _mean(prediction), _mean(target)
    variance = _mean(prediction * prediction) - mean * mean
    target_variance = _mean(target * target) - target_mean * target_mean
    covariance = _mean(prediction * target) - mean * target_mean
    numerator = (2 * mean * target_mean + C1) * (2 * covariance + C2)
    denominator = (mean * mean + target_mean * target_mean + C1) * (variance + target_variance + C2)
    ssim = np.clip((1 - numerator / denominator) / 2, 0, 1)
    error = SSIM_WEIGHT * ssim + (1 - SSIM_WEIGHT) * abs(target - prediction)
    return error if error.ndim == 2 else error.mean(axis=2)


def _mean(image: np.ndarray) -> np.ndarray:
    """Average over 3x3 windows, with reflection at the border."""
    return cv2.blur(image, (3, 3), borderType=cv2.BORDER_REFLECT_101)
