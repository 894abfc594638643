"""Parallax between two frames: how far the camera moves, compared with its distance from the nearest surfaces.

Depth is learned from parallax, so frames should be as far apart as KITTI's, in this sense: KITTI's camera is 1.65 m
above the road and moves 1.1 m per frame, two thirds of its clearance. The clearance of a camera that moves along a
line is the distance of the nearest surface from this line: the road, a wall, trees, the floor.

The measure rests on one identity. Let a be the angle between a ray and the direction of travel. When the camera moves
by t, a static point at distance X from the line of travel goes from angle a to angle b with cot a - cot b = t / X. In
coordinates (direction around the line of travel, cot a), each surface along the road is therefore shifted by a
constant, whatever its distance ahead, the field of view, and the part of the image that shows it. So the measure

1. tracks corners and fits an essential matrix, which gives rotation and direction of travel. Rotation by turns and
   shakes is undone; other vehicles and wrong tracks are outliers.
2. resamples both frames to these coordinates and searches for the shift of each of 64 cells by cross-correlation.
   Unlike single corners, a whole cell of asphalt with a lane marking can be matched.
3. takes the largest shift that two cells agree on: the nearest surface. The sky, the horizon, a bonnet, drops on the
   windscreen and vehicles ahead have smaller shifts or none, and however much of the image they fill, do not change
   the result. Cells without texture, with ambiguous matches (along a lane marking or guard rail) or with noise do not
   count.

A camera that looks across its direction of travel, out of a train for example, sees no line of travel. All it sees is
shifted alike, and the median shift counts.
"""

from itertools import pairwise

import cv2
import numpy as np

from common.image_motion import TARGET_MOTION, track_corners

PARALLAX_WIDTH = 480  # pixels; images are reduced to this width
KITTI_FOCAL = 0.58  # focal length of KITTI's cameras, a share of the image width
KITTI_SHIFT = 1.1 / 1.65  # metres per frame, metres above the road
LEAST_TRACKS = 25
EPIPOLAR_ERROR = 0.5  # pixels
HOMOGRAPHY_ERROR, FLAT = 1.0, 0.9  # pixels; share of the tracks, at most 0.86 on KITTI even at walking pace
FORWARD = 0.7  # least cosine between the direction of travel and the optical axis
SECTORS, ROWS = 16, 6  # around the line of travel; rows of samples per sector
RINGS = ((1.4, 2.2), (2.2, 3.2), (3.2, 4.6), (4.6, 7.0), (7.0, 10.0))  # ranges of cot a: 35 to 6 degrees
STEP, LARGEST_SHIFT = 0.03, 2.0  # of cot a
LEAST_CONTRAST = 1.0  # grey levels, standard deviation of a cell
LEAST_SCORE, LEAST_LEAD = 0.6, 0.1  # correlation, and its lead over any other shift
AGREEMENT = 0.8  # ratio of two shifts that agree


def measure_parallax(before: np.ndarray, after: np.ndarray, focal: float = KITTI_FOCAL) -> float:
    """Measure the parallax between two frames.

    Args:
        before, after: Grey images, uint8 (h, w), at most about ``PARALLAX_WIDTH`` wide.
        focal: Focal length as a share of the width. The result is proportional to it.

    Returns:
        The parallax in units of image motion (a share of the width): ``TARGET_MOTION`` where the camera moves two
        thirds of its clearance, as KITTI's at 1.1 m per frame, and proportionally more or less; 0 where nothing can be
        matched, and where the camera only turns or sees a single plane. Saturates at about three times the target.
    """
    height, width = before.shape
    pixels = focal * width
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    first, second = ((points - centre) / pixels for points in track_corners(before, after))
    if len(first) < LEAST_TRACKS or _is_flat(first, second, pixels):
        return 0.0
    R, travel = _relative_pose(first, second, pixels)
    if abs(travel[2]) < FORWARD:
        return _sideways_motion(first, second, R, focal)
    if travel[2] < 0:  # backwards: the same as forwards in reverse order
        before, after, R, travel = after, before, R.T, -R @ travel
    shifts = np.sort(_cell_shifts(before, after, R, travel, pixels))[::-1]
    agreed = (large for large, small in pairwise(shifts) if small >= AGREEMENT * large)
    return TARGET_MOTION / KITTI_SHIFT * max(0.0, float(next(agreed, 0.0)))


def _is_flat(first: np.ndarray, second: np.ndarray, pixels: float) -> bool:
    """Whether a homography explains the tracks, so that the camera turned, or saw a single plane.

    Args:
        first, second: (N, 2), coordinates of the tracks at depth 1.
        pixels: Focal length in pixels.
    """
    _, inliers = cv2.findHomography(first, second, cv2.RANSAC, HOMOGRAPHY_ERROR / pixels, maxIters=200)
    return inliers is not None and inliers.mean() > FLAT


def _relative_pose(first: np.ndarray, second: np.ndarray, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Estimate R_before_to_after (3, 3) and the direction of travel, a unit vector in the frame ``before``.

    Args:
        first, second: (N, 2), coordinates of the tracks at depth 1.
        pixels: Focal length in pixels.
    """
    cv2.setRNGSeed(0)
    E, inliers = cv2.findEssentialMat(
        first,
        second,
        np.eye(3),
        method=cv2.USAC_MAGSAC,
        prob=0.999,
        threshold=EPIPOLAR_ERROR / pixels,
        maxIters=500,
    )
    if E is None or E.shape != (3, 3):  # no solution, or several that are equally good
        return np.eye(3), np.array([0.0, 0.0, 1.0])  # straight ahead
    _, R, translation, _ = cv2.recoverPose(E, first, second, np.eye(3), mask=inliers)
    return R, -(R.T @ translation).ravel()


def _sideways_motion(first: np.ndarray, second: np.ndarray, R: np.ndarray, focal: float) -> float:
    """Return the median length of the tracks without rotation, a share of the width."""
    rays = np.column_stack([second, np.ones(len(second))]) @ R  # (N, 3), in the frame ``before``
    moved = rays[:, :2] / rays[:, 2:] - first
    return focal * float(np.median(np.hypot(*moved.T)))


def _cell_shifts(before: np.ndarray, after: np.ndarray, R: np.ndarray, travel: np.ndarray, pixels: float) -> np.ndarray:
    """Find the shift t / X of each cell of sectors and rings; cells that cannot be matched are omitted."""
    cot = np.arange(RINGS[0][0], RINGS[-1][1] + LARGEST_SHIFT, STEP)
    angles = (np.arange(SECTORS * ROWS) + 0.5) * 2 * np.pi / (SECTORS * ROWS)
    right = np.cross([0.0, 1.0, 0.0], travel)
    right /= np.linalg.norm(right)
    around = np.outer(np.cos(angles), right) + np.outer(np.sin(angles), np.cross(travel, right))
    rays = cot[None, :, None] * travel + around[:, None]  # (angles, cot, 3)
    searched, _ = _sample(before, rays, pixels)
    wanted, is_seen = _sample(after, rays @ R.T, pixels)
    shifts = []
    for sector in range(SECTORS):
        rows = slice(sector * ROWS, (sector + 1) * ROWS)
        for ring in RINGS:
            begin, end = (round((edge - cot[0]) / STEP) for edge in ring)
            patch = wanted[rows, begin:end]
            if is_seen[rows, begin:end].mean() < 0.9 or patch.std() < LEAST_CONTRAST:
                continue
            area = searched[rows, begin : end + round(LARGEST_SHIFT / STEP)]
            steps = _clear_peak(cv2.matchTemplate(area, patch, cv2.TM_CCOEFF_NORMED)[0])
            if steps is not None:
                shifts.append(steps * STEP)
    return np.array(shifts)


def _sample(image: np.ndarray, rays: np.ndarray, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Sample the high frequencies of an image along rays (A, C, 3).

    Returns:
        Values, float32 (A, C), 0 outside the image; and whether each ray is inside.
    """
    height, width = image.shape
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.8)
    detail = smooth - cv2.GaussianBlur(smooth, (0, 0), 5)
    is_ahead = rays[..., 2] > 1e-3
    depth = np.where(is_ahead, rays[..., 2], 1)
    x = np.where(is_ahead, rays[..., 0] / depth * pixels + (width - 1) / 2, -9).astype(np.float32)
    y = np.where(is_ahead, rays[..., 1] / depth * pixels + (height - 1) / 2, -9).astype(np.float32)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return cv2.remap(detail, x, y, cv2.INTER_LINEAR, borderValue=0), inside


def _clear_peak(scores: np.ndarray) -> float | None:
    """Return the index of the highest score, refined by a parabola; None if it is low, ambiguous or at the end."""
    best = int(scores.argmax())
    far = abs(np.arange(len(scores)) - best) > max(5, 0.3 * best)
    if best == len(scores) - 1 or scores[best] < max(LEAST_SCORE, scores[far].max(initial=-1) + LEAST_LEAD):
        return None
    if best == 0:
        return 0.0
    left, middle, right = scores[best - 1 : best + 2]
    return best + 0.5 * (left - right) / min(left - 2 * middle + right, -1e-9)
