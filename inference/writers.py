"""Write the outputs of an image or video frame; one writer per kind.

To add a kind, add a function and a line in ``WRITERS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from common.colormap import colourise_disparity
from common.png import encode_png
from datasets.depth_maps import FAST, encode_depth_png
from evaluation.metrics.point_cloud import back_project
from inference.gltf import encode_glb

if TYPE_CHECKING:  # imports Paddle, which a mistyped option must not wait for
    from inference.depth_predictor import Prediction

PLY_VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
PLY_HEADER = """ply
format binary_little_endian 1.0
comment x right, y down, z forward; {unit}
element vertex {count}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
end_header
"""


@dataclass(frozen=True, eq=False)
class PredictedImage:
    """Input and prediction of one image or frame.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        prediction: Prediction at the size of the image.
        K: (3, 3) intrinsics, pixels of the image; None if unknown.
    """

    image: np.ndarray
    prediction: "Prediction"
    K: np.ndarray | None = None


@dataclass(frozen=True)
class Writer:
    """One kind of output.

    Attributes:
        ending: Suffix of the file name, after the image's name without its extension.
        write: Writes a result to a stream.
        needs_metres: Whether the format requires metric depth.
        needs_intrinsics: Whether the format requires K.
        has_depth: Whether the format contains depth, which depends on the scale, and not only disparity.
        needs_mirrored: Whether the format contains ``Prediction.uncertainty``, which takes a second prediction.
    """

    ending: str
    write: Callable[[BinaryIO, PredictedImage], None]
    needs_metres: bool = False
    needs_intrinsics: bool = False
    has_depth: bool = True
    needs_mirrored: bool = False


def write_picture(stream: BinaryIO, result: PredictedImage) -> None:
    """Write a PNG (H, 2 W): the image and, to its right, the coloured disparity; near is bright, far is dark."""
    picture = np.concatenate([result.image, colourise_disparity(result.prediction.scaled_disp)], axis=1)
    stream.write(encode_png(picture))


def write_disp_npy(stream: BinaryIO, result: PredictedImage) -> None:
    """Write scaled disparity, 1 / depth in scene units: float32 (H, W)."""
    np.save(stream, result.prediction.scaled_disp)


def write_depth_npy(stream: BinaryIO, result: PredictedImage) -> None:
    """Write depth in metres or scene units: float32 (H, W)."""
    np.save(stream, result.prediction.depth)


def write_depth_png(stream: BinaryIO, result: PredictedImage) -> None:
    """Write a 16-bit grey PNG (H, W) as in KITTI: metres * 256, up to 255.99 m. 0 (unknown) is never written."""
    stream.write(encode_depth_png(result.prediction.depth, compress_level=FAST))


def write_depth_mm(stream: BinaryIO, result: PredictedImage) -> None:
    """Write a 16-bit grey PNG (H, W): millimetres, up to 65.535 m. 0 (unknown) is never written."""
    stream.write(encode_depth_png(result.prediction.depth, steps_per_metre=1000, compress_level=FAST))


def write_ply(stream: BinaryIO, result: PredictedImage) -> None:
    """Write a binary PLY with one coloured point per pixel, row by row, in the camera frame; metres or scene units."""
    vertices = np.empty(result.prediction.depth.size, PLY_VERTEX)
    vertices["xyz"] = _points(result)
    vertices["rgb"] = result.image.reshape(-1, 3)
    stream.write(PLY_HEADER.format(unit=_unit(result), count=len(vertices)).encode() + vertices.tobytes())


def write_glb(stream: BinaryIO, result: PredictedImage) -> None:
    """Write the points of ``write_ply`` as binary glTF, which turns them into its own frame: y up, z backward."""
    stream.write(encode_glb(_points(result), result.image.reshape(-1, 3), _unit(result)))


def _points(result: PredictedImage) -> np.ndarray:
    """Back-project every pixel, row by row: (H * W, 3), camera frame."""
    depth = result.prediction.depth
    rows, columns = np.indices(depth.shape).reshape(2, -1)
    return back_project(depth.ravel(), rows, columns, result.K)


def _unit(result: PredictedImage) -> str:
    return "metres" if result.prediction.metric else "scene units"


def write_uncertainty(stream: BinaryIO, result: PredictedImage) -> None:
    """Write a PNG (H, 2 W): the image and, to its right, the coloured uncertainty; bright is uncertain."""
    stream.write(encode_png(np.concatenate([result.image, colourise_disparity(result.prediction.uncertainty)], axis=1)))


def write_uncertainty_npy(stream: BinaryIO, result: PredictedImage) -> None:
    """Write the uncertainty of disparity, float32 (H, W), in inverse scene units."""
    np.save(stream, result.prediction.uncertainty)


WRITERS = {
    "picture": Writer("_picture.png", write_picture, has_depth=False),
    "disp_npy": Writer("_disp.npy", write_disp_npy, has_depth=False),
    "uncertainty": Writer("_uncertainty.png", write_uncertainty, has_depth=False, needs_mirrored=True),
    "uncertainty_npy": Writer("_uncertainty.npy", write_uncertainty_npy, has_depth=False, needs_mirrored=True),
    "depth_npy": Writer("_depth.npy", write_depth_npy),
    "depth_png": Writer("_depth.png", write_depth_png, needs_metres=True),
    "depth_mm": Writer("_depth_mm.png", write_depth_mm, needs_metres=True),
    "ply": Writer("_cloud.ply", write_ply, needs_intrinsics=True),
    "glb": Writer("_cloud.glb", write_glb, needs_intrinsics=True),
}
