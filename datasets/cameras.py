"""Camera models: construction from user input, validation, rescaling and undistortion."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike

from common.errors import DataError
from datasets.transforms import scale_intrinsics

BROWN, FISHEYE = 0, 1  # as in ``layers.camera_models``
FULL_FRAME_DIAGONAL = math.hypot(36, 24)  # mm, reference of 35 mm equivalent focal lengths
GUESSED_VIEW = 65.0  # degrees, horizontal FOV in landscape orientation, typical of phone videos
VIEWS = {BROWN: (15.0, 150.0), FISHEYE: (15.0, 200.0)}  # degrees, plausible horizontal FOV of each model
NORMALISED = 5.0  # a focal length below this is not in pixels
MARGIN = 0.1  # fraction of the image at each border that cannot contain the principal point
SAME_SHAPE = 0.01  # relative difference of aspect ratios; allows for cropping by a few pixels
EXACT = 0.05  # pixels, error of undistorting and distorting again
MAX_PIXELS = 100_000_000  # of an image; arrays of its size are allocated
WIDEST_ANGLE = 85.0  # degrees from the optical axis, as in ``layers.camera_models``
WIDEST_STRAIGHT = 120.0  # degrees, horizontal FOV; beyond it, few pixels are left for the image centre


def field_of_view(pixels: float, focal: float) -> float:
    """Compute the FOV in degrees of a centred pinhole from an image dimension and a focal length, both in pixels."""
    return 2 * math.degrees(math.atan(pixels / 2 / focal))


def focal_length(pixels: float, degrees: float) -> float:
    """Compute the focal length in pixels from an image dimension in pixels and its FOV in degrees."""
    return pixels / 2 / math.tan(math.radians(degrees) / 2)


def checked_size(width: float, height: float, where: str) -> tuple[int, int]:
    """Validate an image size of a calibration file, and return it as (height, width).

    Raises:
        DataError: It is not that of an image.
    """
    if not (width >= 1 and height >= 1 and width * height <= MAX_PIXELS):  # False for NaN
        raise DataError(
            f"{where}: image size: got {width:g} x {height:g}, expected at least 1 x 1 and at most {MAX_PIXELS} pixels."
        )
    return int(height), int(width)


def checked_intrinsics(K: np.ndarray, where: str) -> np.ndarray:
    """Validate the intrinsics (3, 3) of a calibration file, and return them.

    Raises:
        DataError: A number is not finite, or a focal length is not positive.
    """
    fx, fy = np.diag(K)[:2].tolist()
    if not np.isfinite(K).all() or min(fx, fy) <= 0 or np.linalg.matrix_rank(K) < 3:
        raise DataError(
            f"{where}: intrinsics with focal lengths {fx:g} and {fy:g}: expected positive numbers of pixels, and an "
            "invertible matrix. Copy the file again."
        )
    return K


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with optional lens distortion; pixel i has its centre at coordinate i.

    Attributes:
        K: Intrinsics (3, 3) in pixels.
        size: (height, width) of the image.
        distortion: (9,) as in ``layers.camera_models``; zeros for a pinhole.
        origin: Source of these values, for messages.
    """

    K: np.ndarray
    size: tuple[int, int]
    distortion: np.ndarray
    origin: str

    @classmethod
    def from_view(cls, degrees: float, size: tuple[int, int], origin: str, pixel_aspect: float = 1.0) -> "Camera":
        """Build a centred pinhole camera from its horizontal FOV in degrees."""
        height, width = size
        focal = focal_length(width, degrees)
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal * pixel_aspect, (height - 1) / 2], [0, 0, 1]])
        return cls(K, size, np.zeros(9), origin)

    @classmethod
    def from_35mm_equivalent(cls, millimetres: float, size: tuple[int, int], origin: str) -> "Camera":
        """Build a centred pinhole camera from its 35 mm equivalent focal length in mm, based on the diagonal."""
        focal = millimetres / FULL_FRAME_DIAGONAL * math.hypot(*size)
        return cls.from_view(field_of_view(size[1], focal), size, origin)

    @classmethod
    def guessed(cls, size: tuple[int, int], pixel_aspect: float = 1.0) -> "Camera":
        """Build the camera of an unknown source: a FOV of 65 degrees across the longer side, typical of phones."""
        focal_of_longer = focal_length(max(size), GUESSED_VIEW)
        return cls.from_view(field_of_view(size[1], focal_of_longer), size, "guessed", pixel_aspect)

    @property
    def has_distortion(self) -> bool:
        """Whether the lens distorts the image."""
        return bool(self.distortion[1:].any() or self.distortion[0])

    @property
    def view(self) -> tuple[float, float]:
        """Horizontal and vertical FOV in degrees through the principal point, with distortion; NaN if undefined."""
        height, width = self.size
        cx, cy = self.K[0, 2], self.K[1, 2]
        left, right, top, bottom = self.angles([[-0.5, cy], [width - 0.5, cy], [cx, -0.5], [cx, height - 0.5]])
        return float(left + right), float(top + bottom)

    def angles(self, pixels: ArrayLike) -> np.ndarray:
        """Compute the angles (N,) in degrees between the optical axis and pixels (N, 2); NaN if a pixel has no ray."""
        if self.distortion[0] != FISHEYE:
            return np.degrees(np.arctan(np.hypot(*self.rays(np.asarray(pixels)).T)))
        bent = np.hypot(*((np.asarray(pixels) - self.K[:2, 2]) / np.diag(self.K)[:2]).T)
        angles = np.linspace(0, np.pi, 2000)
        k1, k2, k3, k4 = self.distortion[1:5]
        there = angles * (1 + k1 * angles**2 + k2 * angles**4 + k3 * angles**6 + k4 * angles**8)
        rising = np.append(np.diff(there) > 0, False)
        end = int(np.argmin(rising)) + 1
        return np.degrees(np.interp(bent, there[:end], angles[:end], right=np.nan))

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Undistort pixels (N, 2) to normalised coordinates (N, 2), at z = 1."""
        points, coefficients = np.asarray(pixels, float).reshape(-1, 1, 2), self.distortion[1:]
        if self.distortion[0] == FISHEYE:
            rays = cv2.fisheye.undistortPoints(points, self.K, coefficients[:4])
        else:
            criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-12)
            rays = _undistort_points(points, self.K, coefficients, criteria)
        return rays.reshape(-1, 2)

    def pixels(self, rays: np.ndarray) -> np.ndarray:
        """Project normalised coordinates (N, 2) to pixels (N, 2), with distortion; the inverse of ``rays``."""
        points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)[:, None]
        zeros, coefficients = np.zeros(3), self.distortion[1:]
        if self.distortion[0] == FISHEYE:
            return cv2.fisheye.projectPoints(points, zeros, zeros, self.K, coefficients[:4])[0][:, 0]
        return cv2.projectPoints(points, zeros, zeros, self.K, coefficients)[0][:, 0]

    def resized(self, size: tuple[int, int]) -> "Camera":
        """Return the camera of the same images resized to (height, width)."""
        return replace(self, K=scale_intrinsics(self.K, self.size, size), size=size)

    def describe(self) -> str:
        """Describe the camera in one line."""
        across, down = self.view
        lens = {(True, BROWN): ", Brown distortion", (True, FISHEYE): ", fisheye"}.get(
            (self.has_distortion, int(self.distortion[0])), ""
        )
        return (
            f"{across:.1f} x {down:.1f} degrees (fx {self.K[0, 0]:.1f}, fy {self.K[1, 1]:.1f}, cx {self.K[0, 2]:.1f}, "
            f"cy {self.K[1, 2]:.1f} at {self.size[1]}x{self.size[0]}{lens}), {self.origin}"
        )


def _undistort_points(points: np.ndarray, K: np.ndarray, coefficients: np.ndarray, criteria: tuple) -> np.ndarray:
    # OpenCV 5 merged both functions into undistortPoints.
    if hasattr(cv2, "undistortPointsIter"):
        return cv2.undistortPointsIter(points, K, coefficients, None, None, criteria)
    return cv2.undistortPoints(points, K, coefficients, None, None, None, criteria)


def rescale_and_validate(camera: Camera, size: tuple[int, int], what: str) -> Camera:
    """Rescale a camera to the size of the images, and check that it is plausible for them.

    Args:
        camera: Camera of the calibrated resolution.
        size: (height, width) of the images; they must have the same aspect ratio.
        what: Name of the image source, for messages.

    Raises:
        DataError: The camera is implausible for these images. The message states the likely cause.
    """
    (height, width), (its_height, its_width) = size, camera.size
    if (its_height, its_width) != size and abs(its_width / its_height / (width / height) - 1) > SAME_SHAPE:
        cause = "Calibrate with images of the same aspect ratio; cropping changes the intrinsics."
        if (its_width, its_height) == size or abs(its_height / its_width / (width / height) - 1) <= SAME_SHAPE:
            cause = (
                "Width and height are swapped: one is in portrait and the other in landscape orientation. In the "
                "calibration, swap fx and fy, cx and cy, width and height."
            )
        raise DataError(
            f"{camera.origin} is for images of {its_width}x{its_height}, but {what} has {width}x{height}. {cause}"
        )
    camera = camera.resized(size)
    _check(camera, what)
    return camera


def _check(camera: Camera, what: str) -> None:
    """Check that a camera is plausible.

    Raises:
        DataError: It is implausible. The message states the likely cause.
    """
    (height, width), (fx, fy), (cx, cy) = camera.size, np.diag(camera.K)[:2].tolist(), camera.K[:2, 2].tolist()
    about = f"{camera.origin}, for {what} of {width}x{height}: "
    if not np.isfinite(camera.K).all():
        raise DataError(f"{about}got fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}, expected finite numbers of pixels.")
    if min(fx, fy) <= 0:
        raise DataError(f"{about}focal lengths: got {fx:g} and {fy:g}, expected positive numbers of pixels.")
    if max(fx, fy) < NORMALISED:
        raise DataError(
            f"{about}focal lengths {fx:g} and {fy:g} are fractions of the image, not pixels. Multiply fx and cx by the "
            "width, fy and cy by the height."
        )
    x, y = cx / width, cy / height
    is_swapped = abs(cx / height - 0.5) < 0.1 and abs(cy / width - 0.5) < 0.1
    if not (MARGIN < x < 1 - MARGIN and MARGIN < y < 1 - MARGIN) or (
        is_swapped and max(abs(x - 0.5), abs(y - 0.5)) > 0.1
    ):
        cause = "If it is for another image size, add width and height to the file."
        if is_swapped:
            cause = "Check whether cx and cy, or width and height, are swapped."
        elif max(cx, cy) <= 1:
            cause = "It is a fraction of the image, not pixels: multiply cx by the width and cy by the height."
        raise DataError(f"{about}principal point ({cx:g}, {cy:g}) is outside the image or near its border. {cause}")
    _check_lens(camera, about)
    across, (least, most) = camera.view[0], VIEWS[int(camera.distortion[0])]
    if not least <= across <= most:
        raise DataError(
            f"{about}horizontal FOV: got {across:.1f} degrees, expected {least:g} to {most:g}. Check that the focal "
            "length is in pixels, for images of this size."
        )


def _check_lens(camera: Camera, about: str) -> None:
    """Check that the distortion is invertible in the whole image.

    Raises:
        DataError: Parts of the image have no ray.
    """
    if not is_invertible(camera):
        coefficients = ", ".join(f"{value:g}" for value in camera.distortion[1:])
        raise DataError(
            f"{about}distortion ({coefficients}) is not invertible in the whole image. Check the model and the order "
            "of the coefficients: k1, k2, p1, p2, k3 (fisheye: k1, k2, k3, k4). They apply to coordinates divided by "
            "the focal length, not to pixels."
        )


def is_invertible(camera: Camera) -> bool:
    """Return whether every pixel has a ray: the distortion does not fold the image over."""
    height, width = camera.size
    if camera.distortion[0] == FISHEYE:  # its corners may be black, so only the axes are checked
        return bool(np.isfinite(camera.view).all())
    x, y = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9))
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)
    return bool((abs(camera.pixels(camera.rays(pixels)) - pixels) < EXACT).all())


def check_keeping(camera: Camera) -> None:
    """Check that the distortion can be kept: every pixel must have a ray that reaches the plane z = 1.

    Raises:
        DataError: A corner of the image is too far from the optical axis.
    """
    height, width = camera.size
    corners = camera.angles([[x, y] for x in (0, width - 1) for y in (0, height - 1)])
    if not (corners < WIDEST_ANGLE).all():
        raise DataError(
            f"{camera.origin}: the image corners are more than {WIDEST_ANGLE:g} degrees from the optical axis, the "
            "limit of --keep_distortion. Omit it: the images are then undistorted and their corners cropped."
        )


class Undistorter:
    """Undistortion of a camera's images to those of a pinhole camera without empty pixels.

    The horizontal FOV is limited to 120 degrees; anything more than 60 degrees from the optical axis is cropped.

    Attributes:
        camera: Pinhole camera of the undistorted images, which have the same size.
    """

    def __init__(self, camera: Camera) -> None:
        size = camera.size[::-1]
        is_fisheye = camera.distortion[0] == FISHEYE
        coefficients, no_turn = camera.distortion[1 : 5 if is_fisheye else None], np.eye(3)
        if is_fisheye:
            K = cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(camera.K, coefficients, size, no_turn)
        else:
            K, _ = cv2.getOptimalNewCameraMatrix(camera.K, coefficients, size, 0.0)
        K[[0, 1], [0, 1]] *= max(1.0, focal_length(size[0], WIDEST_STRAIGHT) / K[0, 0])
        undo = cv2.fisheye.initUndistortRectifyMap if is_fisheye else cv2.initUndistortRectifyMap
        self._maps = undo(camera.K, coefficients, no_turn, K, size, cv2.CV_32FC1)
        self.camera = Camera(K, camera.size, np.zeros(9), f"{camera.origin}, undistorted")

    def image(self, pixels: np.ndarray) -> np.ndarray:
        """Undistort an image (H, W, 3)."""
        return cv2.remap(pixels, *self._maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    def depth(self, depth: np.ndarray) -> np.ndarray:
        """Undistort a depth map (H, W) with nearest-neighbour interpolation."""
        return cv2.remap(depth, *self._maps, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
