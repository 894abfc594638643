"""Trajectories as poses, as motions, and as text.

Poses are T_world_from_camera, (N, 4, 4), frame by frame; motions are T_target_to_source from each frame to the next,
(N - 1, 4, 4): X_next = T X.
"""

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation


def motions_between(poses: np.ndarray) -> np.ndarray:
    """Poses (N, 4, 4) -> motions (N - 1, 4, 4)."""
    return np.linalg.inv(poses[1:]) @ poses[:-1]


def chain_motions(motions: np.ndarray) -> np.ndarray:
    """Motions (N - 1, 4, 4) -> poses (N, 4, 4), the first of them the identity."""
    return chain(np.linalg.inv(motions))


def chain(transforms: np.ndarray) -> np.ndarray:
    """Products of the first 0 to N of (N, 4, 4): (N + 1, 4, 4)."""
    products = [np.eye(4)]
    for transform in transforms:
        products.append(products[-1] @ transform)
    return np.stack(products)


def motions_along(to_neighbours: Mapping[int, np.ndarray]) -> np.ndarray:
    """Motions from successive targets to their neighbours -> motions from each frame to the next.

    At the ends of a drive, where a frame lacks a neighbour and is no target, the nearest target tells how its
    neighbours moved.

    Args:
        to_neighbours: f -> (M, 4, 4), T_target_to_source from each target to the frame f after it; with 0, which may
            be left out, these are successive numbers.

    Returns:
        (N - 1, 4, 4) for the N frames from the first target's first neighbour to the last target's last.
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
    """A line of 12 numbers a frame: the pose's upper three rows, row by row."""
    return "".join(" ".join(f"{x:.9e}" for x in pose[:3].ravel()) + "\n" for pose in poses)


def tum_format(poses: np.ndarray, seconds: np.ndarray) -> str:
    """A line of 8 numbers a frame: time in seconds, position, and the rotation as a quaternion x, y, z, w."""
    quaternions = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    lines = zip(seconds, poses[:, :3, 3], quaternions, strict=True)
    return "".join(f"{time:.6f} " + " ".join(f"{x:.9f}" for x in (*at, *turned)) + "\n" for time, at, turned in lines)
