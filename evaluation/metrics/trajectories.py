"""Convert trajectories between poses, motions and text formats.

Poses are T_world_from_camera, (N, 4, 4), one per frame. Motions are T_target_to_source from each frame to the next,
(N - 1, 4, 4): X_next = T X.
"""

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation


def motions_between(poses: np.ndarray) -> np.ndarray:
    """Convert poses (N, 4, 4) to motions (N - 1, 4, 4)."""
    return np.linalg.inv(poses[1:]) @ poses[:-1]


def chain_motions(motions: np.ndarray) -> np.ndarray:
    """Convert motions (N - 1, 4, 4) to poses (N, 4, 4), starting at the identity."""
    return chain(np.linalg.inv(motions))


def chain(transforms: np.ndarray) -> np.ndarray:
    """Compute the cumulative products of 0 to N transforms (N, 4, 4): (N + 1, 4, 4)."""
    products = [np.eye(4)]
    for transform in transforms:
        products.append(products[-1] @ transform)
    return np.stack(products)


def motions_along(to_neighbours: Mapping[int, np.ndarray]) -> np.ndarray:
    """Convert motions from successive targets to their neighbours into motions from each frame to the next.

    At the ends of a drive, frames without a neighbour are not targets; the nearest target gives the motion between its
    neighbours.

    Args:
        to_neighbours: f -> (M, 4, 4), T_target_to_source from each target to the frame f after it. Together with 0,
            which may be omitted, the keys are successive numbers.

    Returns:
        (N - 1, 4, 4) for the N frames from the first neighbour of the first target to the last neighbour of the last.
    """
    num_targets = len(next(iter(to_neighbours.values())))
    known = {0: np.tile(np.eye(4), (num_targets, 1, 1)), **to_neighbours}
    nearest_first = sorted((f for f in known if f + 1 in known), key=abs)
    motions = []
    for frame in range(min(known), num_targets - 1 + max(known)):  # counted from the first target
        f = next(f for f in nearest_first if 0 <= frame - f < num_targets)
        motions.append(known[f + 1][frame - f] @ np.linalg.inv(known[f][frame - f]))
    return np.stack(motions)


def kitti_format(poses: np.ndarray) -> str:
    """Format poses as 12 numbers per line and frame: the upper three rows of the pose, row by row."""
    return "".join(" ".join(f"{x:.9e}" for x in pose[:3].ravel()) + "\n" for pose in poses)


def tum_format(poses: np.ndarray, seconds: np.ndarray) -> str:
    """Format poses as 8 numbers per line and frame: time in seconds, position, rotation as quaternion x, y, z, w."""
    quaternions = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    lines = zip(seconds, poses[:, :3, 3], quaternions, strict=True)
    return "".join(f"{time:.6f} " + " ".join(f"{x:.9f}" for x in (*at, *turned)) + "\n" for time, at, turned in lines)
