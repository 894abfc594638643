"""The camera of a source: what is given of it, whether that can be meant, and what becomes of it when images do."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike

from common.errors import DataError
from datasets.transforms import scale_intrinsics

BROWN, FISHEYE = 0, 1  # as in `layers.camera_models`
FULL_FRAME_DIAGONAL = math.hypot(36, 24)  # mm, what focal lengths "in 35 mm film" are measured on
GUESSED_VIEW = 65.0  # degrees, horizontal FOV in landscape: about what telephones film with
VIEWS = {BROWN: (15.0, 150.0), FISHEYE: (15.0, 200.0)}  # degrees, horizontal FOV that lenses have
NORMALISED = 5.0  # no focal length in pixels is as short
MARGIN = 0.1  # of the image, in which no lens has its centre
SAME_SHAPE = 0.01  # relative difference of aspect ratios that cropping by a few pixels makes
EXACT = 0.05  # pixels
WIDEST_ANGLE = 85.0  # degrees from the axis, as in `layers.camera_models`
WIDEST_STRAIGHT = 120.0  # degrees, horizontal: with more, an undistorted image hardly has pixels left for its middle


def field_of_view(pixels: float, focal: float) -> float:
    """Degrees that an image this many pixels across sees at this focal length, in pixels, centred, without a lens."""
    return 2 * math.degrees(math.atan(pixels / 2 / focal))


def focal_length(pixels: float, degrees: float) -> float:
    """Focal length in pixels at which an image this many pixels across has this `field_of_view`."""
    return pixels / 2 / math.tan(math.radians(degrees) / 2)


@dataclass(frozen=True)
class Camera:
    """A pinhole behind a lens; pixel i has its centre at coordinate i.

    Attributes:
        K: (3, 3) in pixels.
        size: (height, width) of the image.
        distortion: (9,) as in `layers.camera_models`; zeros where lines are straight.
        origin: where this is known from, for people.
    """

    K: np.ndarray
    size: tuple[int, int]
    distortion: np.ndarray
    origin: str

    @classmethod
    def from_view(cls, degrees: float, size: tuple[int, int], origin: str, pixel_aspect: float = 1.0) -> "Camera":
        """Without a lens, centred, with this field of view across the image's width."""
        height, width = size
        focal = focal_length(width, degrees)
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal * pixel_aspect, (height - 1) / 2], [0, 0, 1]])
        return cls(K, size, np.zeros(9), origin)

    @classmethod
    def from_35mm_equivalent(cls, millimetres: float, size: tuple[int, int], origin: str) -> "Camera":
        """As `from_view`, from the focal length that would see the same across the diagonal of 35 mm film."""
        focal = millimetres / FULL_FRAME_DIAGONAL * math.hypot(*size)
        return cls.from_view(field_of_view(size[1], focal), size, origin)

    @classmethod
    def guessed(cls, size: tuple[int, int], pixel_aspect: float = 1.0) -> "Camera":
        """What telephones film with, where nothing is known."""
        focal_of_longer = focal_length(max(size), GUESSED_VIEW)
        return cls.from_view(field_of_view(size[1], focal_of_longer), size, "guessed", pixel_aspect)

    @property
    def has_distortion(self) -> bool:
        """Whether lines are bent."""
        return bool(self.distortion[1:].any() or self.distortion[0])

    @property
    def view(self) -> tuple[float, float]:
        """Field of view in degrees, across and down through the centre, lens included; NaN where the lens has none."""
        height, width = self.size
        cx, cy = self.K[0, 2], self.K[1, 2]
        left, right, top, bottom = self.angles([[-0.5, cy], [width - 0.5, cy], [cx, -0.5], [cx, height - 0.5]])
        return float(left + right), float(top + bottom)

    def angles(self, pixels: ArrayLike) -> np.ndarray:
        """Degrees (N,) between the axis and what pixels (N, 2) see; NaN where the fisheye has no such ray."""
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
        """Where rays of pixels (N, 2) have z = 1: (N, 2), without the lens."""
        points, coefficients = np.asarray(pixels, float).reshape(-1, 1, 2), self.distortion[1:]
        if self.distortion[0] == FISHEYE:
            rays = cv2.fisheye.undistortPoints(points, self.K, coefficients[:4])
        else:
            criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-12)
            rays = _undistort_points(points, self.K, coefficients, criteria)
        return rays.reshape(-1, 2)

    def pixels(self, rays: np.ndarray) -> np.ndarray:
        """The inverse of `rays`."""
        points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)[:, None]
        still, coefficients = np.zeros(3), self.distortion[1:]
        if self.distortion[0] == FISHEYE:
            return cv2.fisheye.projectPoints(points, still, still, self.K, coefficients[:4])[0][:, 0]
        return cv2.projectPoints(points, still, still, self.K, coefficients)[0][:, 0]

    def resized(self, size: tuple[int, int]) -> "Camera":
        """The same camera, whose images were made to (height, width)."""
        return replace(self, K=scale_intrinsics(self.K, self.size, size), size=size)

    def describe(self) -> str:
        """One line for whoever imports."""
        across, down = self.view
        lens = {(True, BROWN): ", lens by Brown", (True, FISHEYE): ", fisheye"}.get(
            (self.has_distortion, int(self.distortion[0])), ""
        )
        return (
            f"{across:.1f} x {down:.1f} degrees (fx {self.K[0, 0]:.1f}, fy {self.K[1, 1]:.1f}, cx {self.K[0, 2]:.1f}, "
            f"cy {self.K[1, 2]:.1f} at {self.size[1]}x{self.size[0]}{lens}), {self.origin}"
        )


def _undistort_points(points: np.ndarray, K: np.ndarray, coefficients: np.ndarray, criteria: tuple) -> np.ndarray:
    # OpenCV 5 has one function for what were two.
    if hasattr(cv2, "undistortPointsIter"):
        return cv2.undistortPointsIter(points, K, coefficients, None, None, criteria)
    return cv2.undistortPoints(points, K, coefficients, None, None, None, criteria)


def rescale_and_validate(camera: Camera, size: tuple[int, int], what: str) -> Camera:
    """The camera for images of this (height, width), which those that it was calibrated for were resized to.

    Args:
        what: the source, for messages.

    Raises:
        DataError: it cannot be meant for them.
    """
    (height, width), (its_height, its_width) = size, camera.size
    if (its_height, its_width) != size and abs(its_width / its_height / (width / height) - 1) > SAME_SHAPE:
        cause = "Calibrate with images of the shape that it films in; a crop has another camera."
        if (its_width, its_height) == size or abs(its_height / its_width / (width / height) - 1) <= SAME_SHAPE:
            cause = (
                "Width and height are swapped: one stands upright, the other lies on its side. Write the calibration "
                "for the images as they are seen: swap fx and fy, cx and cy, width and height."
            )
        raise DataError(
            f"{camera.origin} is for images of {its_width}x{its_height}, but {what} has {width}x{height}. {cause}"
        )
    camera = camera.resized(size)
    _check(camera, what)
    return camera


def _check(camera: Camera, what: str) -> None:
    """Raises DataError for a camera that cannot be meant, with the likely cause."""
    (height, width), (fx, fy), (cx, cy) = camera.size, np.diag(camera.K)[:2].tolist(), camera.K[:2, 2].tolist()
    about = f"{camera.origin}, for {what} of {width}x{height}: "
    if not np.isfinite(camera.K).all() or min(fx, fy) <= 0:
        raise DataError(f"{about}focal lengths {fx:g} and {fy:g}; positive numbers of pixels were expected.")
    if max(fx, fy) < NORMALISED:
        raise DataError(
            f"{about}focal lengths {fx:g} and {fy:g} are shares of the image, not pixels. Multiply fx and cx by the "
            "width, fy and cy by the height."
        )
    x, y = cx / width, cy / height
    is_swapped = abs(cx / height - 0.5) < 0.1 and abs(cy / width - 0.5) < 0.1
    if not (MARGIN < x < 1 - MARGIN and MARGIN < y < 1 - MARGIN) or (
        is_swapped and max(abs(x - 0.5), abs(y - 0.5)) > 0.1
    ):
        cause = "Is it for another size of image? State that by width and height."
        if is_swapped:
            cause = "Are cx and cy, or width and height, swapped?"
        elif max(cx, cy) <= 1:
            cause = "It is a share of the image, not pixels: multiply cx by the width and cy by the height."
        raise DataError(f"{about}the centre ({cx:g}, {cy:g}) is outside the image, or at its border. {cause}")
    _check_lens(camera, about)
    across, (least, most) = camera.view[0], VIEWS[int(camera.distortion[0])]
    if not least <= across <= most:
        raise DataError(
            f"{about}a field of view of {across:.1f} degrees across; {least:g} to {most:g} were expected. Is the focal "
            "length in pixels, and for images of this size?"
        )


def _check_lens(camera: Camera, about: str) -> None:
    """Raises DataError where the coefficients fold the image over, so that parts of it have no rays."""
    height, width = camera.size
    if camera.distortion[0] == FISHEYE:  # whose corners may be black
        is_whole = np.isfinite(camera.view).all()
    else:
        x, y = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9))
        pixels = np.stack([x.ravel(), y.ravel()], axis=1)
        is_whole = bool((abs(camera.pixels(camera.rays(pixels)) - pixels) < EXACT).all())
    if not is_whole:
        coefficients = ", ".join(f"{value:g}" for value in camera.distortion[1:])
        raise DataError(
            f"{about}the distortion ({coefficients}) cannot be undone all over the image. Is the order k1, k2, p1, p2, "
            "k3 (fisheye: k1, k2, k3, k4), and the model the right one? Coefficients are for coordinates divided by "
            "the focal length, not for pixels."
        )


def check_keeping(camera: Camera) -> None:
    """Raises DataError where a lens cannot be kept, since pixels have no ray with z = 1."""
    height, width = camera.size
    corners = camera.angles([[x, y] for x in (0, width - 1) for y in (0, height - 1)])
    if not (corners < WIDEST_ANGLE).all():
        raise DataError(
            f"{camera.origin}: corners of the image look more than {WIDEST_ANGLE:g} degrees away from the axis, beyond "
            "what --keep_distortion can hold. Leave it out: the lens is then undone, and the corners cut off."
        )


class Undistorter:
    """Undistort images of a camera to those of a pinhole camera, in which all pixels have been seen.

    What lies further than 60 degrees aside is cut off.

    Attributes:
        camera: of the images that come out; of the same size.
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
        """An image (H, W, 3) without the lens."""
        return cv2.remap(pixels, *self._maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    def depth(self, depth: np.ndarray) -> np.ndarray:
        """A depth map of the image's size without the lens; each pixel takes the nearest that was measured."""
        return cv2.remap(depth, *self._maps, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
