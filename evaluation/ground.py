"""The plane that a car stands on, found in the truth itself."""

import numpy as np

MAX_DISTANCE = 40.0  # metres: farther away the ground is no plane
MAX_SLOPE = 0.15  # of the ground against the camera, across and ahead; walls and the sides of cars are steeper
TOLERANCE = 0.15  # metres around a plane
_TRIES, _JUDGES = 200, 2000  # planes through three points each, and points that choose among them


def heights_above_ground(points: np.ndarray) -> np.ndarray | None:
    """How high each point is above the plane y = a x + b z + c that most of the near ones lie in.

    Fischler and Bolles' random samples (RANSAC, 1981), the same for the same points, and a fit by least squares to
    those within ``TOLERANCE`` of the best.

    Args:
        points: (P, 3), metres, in the camera's frame: x right, y down, z forward.

    Returns:
        (P,) metres, negative below; None where no such plane is found.
    """
    near = points[points[:, 2] < MAX_DISTANCE]
    if len(near) < 3:
        return None
    random = np.random.default_rng(0)
    samples = near[random.integers(len(near), size=(_TRIES, 3))]  # (tries, point, coordinate)
    across = _across(samples)
    far_apart = np.abs(np.linalg.det(across)) > 1.0  # square metres, twice the triangle's area seen from above
    planes = np.linalg.solve(across[far_apart], samples[far_apart][:, :, 1:])[:, :, 0]  # (planes, a b c)
    planes = planes[(np.abs(planes[:, :2]) < MAX_SLOPE).all(axis=1)]
    if not len(planes):
        return None
    judges = near[:: -(-len(near) // _JUDGES)]
    support = (np.abs(_across(judges) @ planes.T - judges[:, 1:2]) < TOLERANCE).sum(axis=0)
    inside = near[np.abs(_across(near) @ planes[support.argmax()] - near[:, 1]) < TOLERANCE]
    plane = np.linalg.lstsq(_across(inside), inside[:, 1], rcond=None)[0]
    return _across(points) @ plane - points[:, 1]


def _across(points: np.ndarray) -> np.ndarray:
    """(..., 3), x and z, and 1 in the place of y."""
    return np.stack([points[..., 0], points[..., 2], np.ones(points.shape[:-1])], axis=-1)
