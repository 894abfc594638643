"""Predict the depth of images: ``DepthPredictor.from_folder(folder)(image).depth``."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import paddle
from paddle import Tensor, nn
from PIL import Image

from common.errors import DataError
from datasets.batch import prepare_batch
from datasets.build import dataset_class
from datasets.lanczos import resize_lanczos
from inference.network_weights import DEFAULT_DEPTH_RANGE, depth_range, input_size, load_networks, model_of
from inference.predict_options import LAYER_ENGINES
from layers.geometry import disp_to_depth
from networks.build import DEFAULT_NETWORK
from serialization.weights_download import resolve_weights
from serialization.weights_folder import WeightsInfo, read_weights_info

if TYPE_CHECKING:
    from inference.export.engines import Run


GIVEN_SCALE = "given scale"


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction for one image of H x W pixels.

    Attributes:
        scaled_disp: float32 (H, W), 1 / depth in scene units, in [1 / max_depth, 1 / min_depth].
        depth: float32 (H, W), along the camera axis: metres if ``metric``, else scene units.
        metric: Whether the scale is known.
        uncertainty: float32 (H, W), ``mirror_disagreement`` in inverse scene units; None if it was not requested.
    """

    scaled_disp: np.ndarray
    depth: np.ndarray
    metric: bool
    uncertainty: np.ndarray | None = None


class DepthPredictor:
    """Depth networks of a model in evaluation mode, with the input size and depth range of their training.

    Args:
        model: Model built with its ``for_depth``.
        size: (height, width) of the network input.
        min_depth, max_depth: Depth at disparity 1 and 0, scene units.
        scale: Metres per scene unit; None if unknown.
        engine: "auto" predicts images on a CPU with ``inference.fast_network``, which copies the weights at the first
            image: the results do not follow later changes. "paddle" always runs the layers.

    Raises:
        ValueError: ``engine`` is unknown.

    Attributes:
        info: Training settings stored with the weights; None if there are none.
        left_out: Parameters in the weights files that the networks do not have.
        scale_source: Origin of ``scale``, for messages; "" if it is unknown.
        depth_network: Key of ``DEPTH_NETWORKS`` of weights from a folder; None if it is unknown.
    """

    def __init__(
        self,
        model: nn.Layer,
        size: tuple[int, int],
        *,
        min_depth: float = DEFAULT_DEPTH_RANGE[0],
        max_depth: float = DEFAULT_DEPTH_RANGE[1],
        scale: float | None = None,
        engine: str = "paddle",
    ) -> None:
        self.model = model
        self.size = size
        self.depth_range = (min_depth, max_depth)
        self.scale = scale
        self.info: WeightsInfo | None = None
        self.left_out: tuple[str, ...] = ()
        self.depth_network: str | None = None
        self.scale_source = "" if scale is None else GIVEN_SCALE
        if engine not in LAYER_ENGINES:
            raise ValueError(f"engine: got {engine!r}, allowed: {', '.join(LAYER_ENGINES)}")
        self._engine = engine
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
        engine: str = "auto",
    ) -> "DepthPredictor":
        """Build the depth networks of a weights folder and load their weights.

        Args:
            folder: Folder with the networks in a format of ``serialization.weights_folder``, or the name of published
                weights, which are downloaded once (``serialization.published_weights``).
            depth_network: Key of ``DEPTH_NETWORKS``; None uses the one in ``weights.json``, else resnet18.
            height, width: Input size of the network; None uses that of the weights, else 192 and 640.
            min_depth, max_depth: Scene units; None uses those of the weights, else 0.1 and 100.
            scale: Metres per scene unit; None uses ``metres_per_unit`` of ``weights.json``, else the dataset's stereo
                factor if the weights were trained on stereo pairs (``use_stereo``), else the scale is unknown.
            dataset: Dataset that the weights were trained on, a key of ``DATASETS``.
            engine: As in the constructor.

        Raises:
            WeightsError: A file is missing or damaged, or does not fit the networks.
        """
        folder = resolve_weights(folder)
        info = read_weights_info(folder)
        model_class, settings = model_of(folder, info, depth_network=depth_network)
        model = model_class.for_depth(**settings)
        reports = load_networks(folder, model.networks())
        nearest, farthest = depth_range(info, min_depth, max_depth)
        source = GIVEN_SCALE
        if scale is None:
            scale, source = _stored_scale(info, dataset)
        size = input_size(info, height, width)
        predictor = cls(model, size, min_depth=nearest, max_depth=farthest, scale=scale, engine=engine)
        predictor.info, predictor.scale_source = info, source
        predictor.depth_network = settings.get("depth_network", DEFAULT_NETWORK)
        predictor.left_out = tuple(
            f"{role}: {name}"
            for role, report in reports.items()
            for name in report.unexpected
            if not name.startswith(getattr(model.networks()[role], "unused_prefixes", ()))
        )
        return predictor

    def __call__(
        self,
        images: np.ndarray | Sequence[np.ndarray],
        *,
        post_process: bool = False,
        uncertainty: bool = False,
    ) -> Prediction | list[Prediction]:
        """Predict disparity and depth of images, each at its own size.

        Args:
            images: uint8 (H, W, 3), RGB, any size; or a list of such images, which is one batch.
            post_process: As in ``predict``.
            uncertainty: Whether to predict ``Prediction.uncertainty``; with ``post_process`` at no further cost.

        Returns:
            One prediction; for a list, a list of them.

        Raises:
            DataError: An image has another shape or type.
        """
        if isinstance(images, np.ndarray):
            return self([images], post_process=post_process, uncertainty=uncertainty)[0]
        if not len(images):
            return []
        colours = np.stack([self._network_input(image) for image in images])  # (B, 3, height, width)
        batch = {"color/0/0": colours}
        if uncertainty:
            scaled_disps, disagreement = combine_mirrored(*self._pair(batch), post_process)
        else:
            scaled_disps, disagreement = self.predict_loaded(batch, post_process), [None] * len(images)
        return [
            self._at_size(disp, doubt, image.shape[:2])
            for disp, doubt, image in zip(scaled_disps, disagreement, images, strict=True)
        ]

    def predict_loaded(self, batch: Mapping[str, np.ndarray], post_process: bool = False) -> np.ndarray:
        """Predict the scaled disparity of a loader's batch, with ``fast_network`` if there is one.

        Args:
            batch: "color/F/0" uint8 (B, 3, H, W) of the model's ``depth_frames``, at the input size.
            post_process: As in ``predict``.

        Returns:
            float32 (B, H, W), in inverse scene units.
        """
        if post_process:
            return combine_mirrored(*self._pair(batch), post_process)[0]
        if self.fast_network is None:
            return self.predict(self._prepared(batch))
        return self.fast_network(batch["color/0/0"].astype(np.float32) / 255)

    def _pair(self, batch: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Predict as ``predict_loaded``, without and with mirroring, as ``predict_pair``."""
        if self.fast_network is None:
            return self.predict_pair(self._prepared(batch))
        images = batch["color/0/0"].astype(np.float32) / 255
        return _split_pair(self.fast_network(np.concatenate([images, images[:, :, :, ::-1]])))

    def _prepared(self, batch: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Convert a loader's batch to the input of ``predict``; a photo has frame 0 alone."""
        images = {f"color/{f}/0": batch[f"color/{f}/0"] for f in self.model.depth_frames if f"color/{f}/0" in batch}
        prepared = prepare_batch(images, (0,))
        return {key.replace("color/", "color_aug/"): prepared[key] for key in images}

    @cached_property
    def fast_network(self) -> "Run | None":
        """The networks in a faster engine; None if there is none for the device, or the layers shall run."""
        if self._engine == "paddle":
            return None
        from inference.fast_network import open_fast_network

        return open_fast_network(self)

    def _network_input(self, image: np.ndarray) -> np.ndarray:
        """Resize an image to the input size: uint8 (3, height, width)."""
        shape, kind = np.shape(image), getattr(image, "dtype", type(image).__name__)
        if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise DataError(f"Got an image of type {kind} and shape {shape}; expected uint8 (height, width, 3), RGB.")
        return resize_lanczos(Image.fromarray(image), *self.size)

    def _at_size(self, scaled_disp: np.ndarray, disagreement: np.ndarray | None, size: tuple[int, int]) -> Prediction:
        # Resize disparity, not depth, as for published scores; this preserves the edges of near objects.
        resized = cv2.resize(scaled_disp, size[::-1], interpolation=cv2.INTER_LINEAR)
        doubt = None if disagreement is None else cv2.resize(disagreement, size[::-1], interpolation=cv2.INTER_LINEAR)
        scale = 1.0 if self.scale is None else self.scale
        return Prediction(resized, np.float32(scale) / resized, self.scale is not None, doubt)

    def checksum(self) -> str:
        """Compute a CRC-32 of all weights, as eight hexadecimal digits."""
        value = 0
        for network in self.model.networks().values():
            for tensor in network.state_dict().values():
                value = zlib.crc32(np.ascontiguousarray(tensor.numpy()), value)
        return f"{value:08x}"

    @paddle.no_grad()
    def predict(self, batch: Mapping[str, Tensor], post_process: bool = False) -> np.ndarray:
        """Predict the scaled disparity (1 / depth) of a batch.

        Args:
            batch: Input of the model: "color_aug/F/0" (B, 3, H, W) in [0, 1], at the input size.
            post_process: Average with the prediction for the mirrored image, except at the sides (Godard et al., 2017).

        Returns:
            float32 (B, H, W), in inverse scene units.
        """
        if post_process:
            return combine_mirrored(*self.predict_pair(batch), post_process)[0]
        return to_scaled_disp(self.model(batch)["disp/0"], *self.depth_range)

    @paddle.no_grad()
    def predict_pair(self, batch: Mapping[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """Predict the scaled disparity of a batch and of its mirror images, in one pass.

        Args:
            batch: As in ``predict``.

        Returns:
            Two arrays, float32 (B, H, W), in inverse scene units; the second is flipped back.
        """
        both = {key: paddle.concat([images, images.flip(3)], axis=0) for key, images in batch.items()}
        return _split_pair(to_scaled_disp(self.model(both)["disp/0"], *self.depth_range))

    def predict_all(self, batches: Iterable[Mapping], post_process: bool = False) -> np.ndarray:
        """Predict all frames of a loader in its order: float32 (N, H, W).

        Its batches must contain the model's ``depth_frames``.
        """
        predictions = [self.predict(self._prepared(batch), post_process) for batch in batches]
        return np.concatenate(predictions)

    def predict_all_pairs(self, batches: Iterable[Mapping]) -> tuple[np.ndarray, np.ndarray]:
        """Predict as ``predict_all``, without and with mirroring, as ``predict_pair``: float32 (N, H, W) each."""
        plain, mirrored = zip(*(self.predict_pair(self._prepared(batch)) for batch in batches), strict=True)
        return np.concatenate(plain), np.concatenate(mirrored)


def _stored_scale(info: WeightsInfo | None, dataset: str) -> tuple[float | None, str]:
    """Return metres per scene unit of weights, and its origin; (None, "") if it is unknown."""
    if info and info.metres_per_unit:
        return info.metres_per_unit, "scale of the weights"
    factor = dataset_class(dataset).STEREO_SCALE_FACTOR if info and info.use_stereo else None
    return (factor, "stereo scale") if factor else (None, "")


def to_scaled_disp(disp: Tensor, min_depth: float, max_depth: float) -> np.ndarray:
    """Convert the network output (B, 1, H, W) in [0, 1] to scaled disparity, float32 (B, H, W)."""
    scaled_disp, _ = disp_to_depth(disp, min_depth, max_depth)
    return scaled_disp.squeeze(1).numpy()


def _split_pair(scaled_disps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split the disparities (2 B, H, W) of images and their mirror images, and flip the latter back."""
    plain, mirrored = np.split(scaled_disps, 2)
    return plain, mirrored[:, :, ::-1]


def combine_mirrored(
    scaled_disps: np.ndarray, mirrored: np.ndarray, post_process: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Combine both predictions of ``predict_pair``, (N, H, W) each.

    Returns:
        The disparity, blended if ``post_process``, and the uncertainty, float32 (N, H, W) each.
    """
    blended = post_process_disparity(scaled_disps, mirrored).astype(np.float32) if post_process else scaled_disps
    return blended, mirror_disagreement(scaled_disps, mirrored)


def mirror_disagreement(disp: np.ndarray, mirrored_disp: np.ndarray) -> np.ndarray:
    """Compute the uncertainty |disp - mirrored_disp| of disparity, in its unit and shape.

    Source: Poggi et al., "On the Uncertainty of Self-Supervised Monocular Depth Estimation" (CVPR 2020), section 3.2,
    image flipping: the disagreement with the prediction for the mirror image, flipped back.
    """
    return np.abs(disp - mirrored_disp)


def post_process_disparity(disp: np.ndarray, mirrored_disp: np.ndarray) -> np.ndarray:
    """Blend the disparity of an image with that of its mirror image, flipped back (Godard et al., 2017).

    The result is the average of both, with ramps at the sides. The left side of an image shows pixels that only one
    camera of a stereo pair sees, so the leftmost 5 % come from the mirrored prediction, and the rightmost 5 % from the
    plain one.

    Args:
        disp, mirrored_disp: (N, H, W).

    Returns:
        (N, H, W), float64.
    """
    across = np.linspace(0, 1, disp.shape[2])
    left = 1.0 - np.clip(20 * (across - 0.05), 0, 1)  # 1 up to 5 % of the width, 0 from 10 %
    right = left[::-1]
    return right * disp + left * mirrored_disp + (1.0 - left - right) * 0.5 * (disp + mirrored_disp)
