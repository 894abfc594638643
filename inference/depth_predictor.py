"""Depth of images: ``DepthPredictor.from_folder(folder)(image).depth`` is the depth of a photo."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import paddle
from paddle import Tensor, nn
from PIL import Image

from common.errors import DataError
from datasets.batch import prepare_batch
from datasets.build import dataset_class
from datasets.transforms import image_to_array, resize_lanczos
from inference.network_weights import DEFAULT_DEPTH_RANGE, depth_range, input_size, load_networks, model_of
from layers.geometry import disp_to_depth
from serialization.weights_folder import WeightsInfo, read_weights_info


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is predicted for one image of H x W pixels.

    Attributes:
        scaled_disp: float32 (H, W), one over depth in scene units, within [1 / max_depth, 1 / min_depth].
        depth: float32 (H, W), along the camera's axis: metres where ``metric``, else scene units.
        metric: whether it is known what a scene unit is.
    """

    scaled_disp: np.ndarray
    depth: np.ndarray
    metric: bool


class DepthPredictor:
    """The depth networks of a model in evaluation mode, with the size and depth range that they were trained for.

    Args:
        model: built by its ``for_depth``.
        size: (height, width) of the images to be given.
        min_depth, max_depth: what disparity 1 and 0 stand for, scene units.
        scale: metres in a scene unit; None where that is not known.

    Attributes:
        info: what the weights were trained for; None where they do not say, or come from no folder.
        left_out: names in the weights' files that are none of the networks'.
    """

    def __init__(
        self,
        model: nn.Layer,
        size: tuple[int, int],
        *,
        min_depth: float = DEFAULT_DEPTH_RANGE[0],
        max_depth: float = DEFAULT_DEPTH_RANGE[1],
        scale: float | None = None,
    ) -> None:
        self.model = model
        self.size = size
        self.depth_range = (min_depth, max_depth)
        self.scale = scale
        self.info: WeightsInfo | None = None
        self.left_out: tuple[str, ...] = ()
        model.eval()

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        depth_network: str | None = None,
        height: int | None = None,
        width: int | None = None,
        min_depth: float | None = None,
        max_depth: float | None = None,
        scale: float | None = None,
        dataset: str = "kitti",
    ) -> "DepthPredictor":
        """Build the depth networks that a weights folder names, and load them.

        Args:
            folder: holds the networks in a format of ``serialization.weights_folder``.
            depth_network: a key of ``DEPTH_NETWORKS``; None takes the one that ``weights.json`` names, else resnet18.
            height, width: of the network's input; None takes the weights' own, else 192 and 640.
            min_depth, max_depth: scene units; None takes the weights' own, else 0.1 and 100.
            scale: metres in a scene unit; None takes that of weights.json (``metres_per_unit``), else the dataset's
                stereo factor where stereo pairs set the weights' scale (``use_stereo``); else it is not known.
            dataset: what the weights were trained on, a key of ``DATASETS``.

        Raises:
            WeightsError: something is missing, damaged, or does not fit.
        """
        info = read_weights_info(folder)
        model_class, settings = model_of(folder, info, depth_network=depth_network)
        model = model_class.for_depth(**settings)
        reports = load_networks(folder, model.networks())
        nearest, farthest = depth_range(info, min_depth, max_depth)
        if scale is None and info:
            scale = info.metres_per_unit or (dataset_class(dataset).STEREO_SCALE_FACTOR if info.use_stereo else None)
        size = input_size(info, height, width)
        predictor = cls(model, size, min_depth=nearest, max_depth=farthest, scale=scale)
        predictor.info = info
        predictor.left_out = tuple(
            f"{role}: {name}"
            for role, report in reports.items()
            for name in report.unexpected
            if not name.startswith(getattr(model.networks()[role], "unused_prefixes", ()))
        )
        return predictor

    def __call__(
        self, images: np.ndarray | Sequence[np.ndarray], *, post_process: bool = False
    ) -> Prediction | list[Prediction]:
        """Disparity and depth of images, each at its own size.

        Args:
            images: uint8 (H, W, 3), RGB, of any size; or a list of such, of any sizes, which is one batch.
            post_process: as in `predict`.

        Returns:
            The prediction; for a list, a list of them.

        Raises:
            DataError: an image has another shape or type.
        """
        if isinstance(images, np.ndarray):
            return self([images], post_process=post_process)[0]
        if not len(images):
            return []
        colours = np.stack([self._network_input(image) for image in images])  # (B, 3, height, width)
        batch = prepare_batch({"color/0/0": colours}, scales=(0,))
        scaled_disps = self.predict({"color_aug/0/0": batch["color/0/0"]}, post_process)
        return [self._at_size(disp, image.shape[:2]) for disp, image in zip(scaled_disps, images, strict=True)]

    def _network_input(self, image: np.ndarray) -> np.ndarray:
        """uint8 (3, height, width) of the predictor's size."""
        shape, kind = np.shape(image), getattr(image, "dtype", type(image).__name__)
        if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise DataError(f"an image should be uint8 (height, width, 3), RGB; this one is {kind} {shape}.")
        return image_to_array(resize_lanczos(Image.fromarray(image), *self.size))

    def _at_size(self, scaled_disp: np.ndarray, size: tuple[int, int]) -> Prediction:
        # Disparity is resized, not depth: published scores are made so, and near things keep their edges.
        resized = cv2.resize(scaled_disp, size[::-1], interpolation=cv2.INTER_LINEAR)
        scale = 1.0 if self.scale is None else self.scale
        return Prediction(resized, np.float32(scale) / resized, self.scale is not None)

    def checksum(self) -> str:
        """Eight hexadecimal digits that other weights do not have."""
        value = 0
        for network in self.model.networks().values():
            for tensor in network.state_dict().values():
                value = zlib.crc32(np.ascontiguousarray(tensor.numpy()), value)
        return f"{value:08x}"

    @paddle.no_grad()
    def predict(self, batch: Mapping[str, Tensor], post_process: bool = False) -> np.ndarray:
        """Predict the scaled disparity (1 / depth) of a batch.

        Args:
            batch: what the model's ``forward`` reads: "color_aug/F/0" (B, 3, H, W) in [0, 1], of the predictor's size.
            post_process: average with the mirrored image's prediction, except at the sides (Godard et al., 2017).

        Returns:
            float32 (B, H, W), in inverse scene units.
        """
        if post_process:
            batch = {key: paddle.concat([images, images.flip(3)], axis=0) for key, images in batch.items()}
        scaled_disps = to_scaled_disp(self.model(batch)["disp/0"], *self.depth_range)
        if post_process:
            plain, mirrored = np.split(scaled_disps, 2)
            scaled_disps = post_process_disparity(plain, mirrored[:, :, ::-1]).astype(np.float32)
        return scaled_disps

    def predict_all(self, batches: Iterable[Mapping], post_process: bool = False) -> np.ndarray:
        """Predict all frames of a loader, which has the model's ``depth_frames``, in its order: float32 (N, H, W)."""
        predictions = []
        for batch in batches:
            prepared = prepare_batch({f"color/{f}/0": batch[f"color/{f}/0"] for f in self.model.depth_frames}, (0,))
            images = {f"color_aug/{f}/0": prepared[f"color/{f}/0"] for f in self.model.depth_frames}
            predictions.append(self.predict(images, post_process))
        return np.concatenate(predictions)


def to_scaled_disp(disp: Tensor, min_depth: float, max_depth: float) -> np.ndarray:
    """The network's output (B, 1, H, W) in [0, 1] as scaled disparity, float32 (B, H, W)."""
    scaled_disp, _ = disp_to_depth(disp, min_depth, max_depth)
    return scaled_disp.squeeze(1).numpy()


def post_process_disparity(disp: np.ndarray, mirrored_disp: np.ndarray) -> np.ndarray:
    """Blends the disparity of an image with that of its mirror image, flipped back (Godard et al., 2017).

    Both are averaged, but for ramps at the sides: what only one camera of a stereo pair sees is hidden at the left of
    an image, so the leftmost 5 % are taken from the mirrored prediction, the rightmost from the plain one.

    Args:
        disp, mirrored_disp: (N, H, W).

    Returns:
        (N, H, W), float64.
    """
    across = np.linspace(0, 1, disp.shape[2])
    left = 1.0 - np.clip(20 * (across - 0.05), 0, 1)  # 1 at the left side, 0 from a tenth of the width on
    right = left[::-1]
    return right * disp + left * mirrored_disp + (1.0 - left - right) * 0.5 * (disp + mirrored_disp)
