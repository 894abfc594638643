"""Weights and images in, disparity out: what training, evaluation and prediction share."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor, nn

from datasets.batch import prepare_batch
from errors import WeightsError
from layers.geometry import disp_to_depth
from networks.build import build_depth_networks
from serialization.weights_folder import WeightsInfo, load_weights, read_weights_info

DEFAULT_SIZE = (192, 640)
# The depth decoder's output convolutions, after its ten blocks and the finest scale's.
COARSER_OUTPUTS = tuple(f"depth: decoder.{i}." for i in (11, 12, 13))


class DepthPredictor:
    """Encoder and depth decoder in evaluation mode, with the size and depth range that they were trained for.

    Args:
        encoder, depth: the networks.
        size: (height, width) of the images to be given.
        min_depth, max_depth: what disparity 1 and 0 stand for, scene units.

    Attributes:
        info: what the weights were trained for; None where they do not say, or come from no folder.
        left_out: names in the weights' files that are none of the networks'.
    """

    def __init__(
        self,
        encoder: nn.Layer,
        depth: nn.Layer,
        size: tuple[int, int],
        *,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
    ) -> None:
        self.encoder = encoder
        self.depth = depth
        self.size = size
        self.depth_range = (min_depth, max_depth)
        self.info: WeightsInfo | None = None
        self.left_out: tuple[str, ...] = ()
        encoder.eval()
        depth.eval()

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        num_layers: int = 18,
        height: int | None = None,
        width: int | None = None,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
    ) -> "DepthPredictor":
        """Loads ``encoder`` and ``depth`` from a weights folder.

        Args:
            folder: holds encoder.pdparams and depth.pdparams, perhaps weights.json.
            num_layers: depth of the encoder's ResNet.
            height, width: of the images; None takes the weights' own, and 192 and 640 where they do not say.
            min_depth, max_depth: as in training.

        Raises:
            WeightsError: something is missing, damaged, or does not fit.
        """
        # Only the finest scale is predicted: the output convolutions of the others are left out.
        networks = build_depth_networks(num_layers, scales=(0,))
        reports = load_weights(folder, networks, tuple(networks))
        for role, report in reports.items():
            if report.missing:
                raise WeightsError(
                    f"{report.source} lacks {len(report.missing)} of the parameters of {role}, for example "
                    f"{report.missing[0]}; weights of a whole network were expected (--num_layers {num_layers})"
                )
        info = read_weights_info(folder)
        own_height, own_width = (info.height, info.width) if info else DEFAULT_SIZE
        size = (height or own_height, width or own_width)
        predictor = cls(**networks, size=size, min_depth=min_depth, max_depth=max_depth)
        predictor.info = info
        left_out = (f"{role}: {name}" for role, report in reports.items() for name in report.unexpected)
        predictor.left_out = tuple(name for name in left_out if not name.startswith(COARSER_OUTPUTS))
        return predictor

    @paddle.no_grad()
    def predict(self, images: Tensor, post_process: bool = False) -> np.ndarray:
        """Scaled disparity (1 / depth) of a batch.

        Args:
            images: (B, 3, H, W) in [0, 1], of the predictor's size.
            post_process: average with the mirrored image's prediction, except at the sides (Godard et al., 2017).

        Returns:
            float32 (B, H, W), in inverse scene units.
        """
        if post_process:
            images = paddle.concat([images, images.flip(3)], axis=0)
        disp = self.depth(self.encoder(images))[0]
        scaled_disps = to_scaled_disp(disp, *self.depth_range)
        if post_process:
            plain, mirrored = np.split(scaled_disps, 2)
            scaled_disps = post_process_disparity(plain, mirrored[:, :, ::-1]).astype(np.float32)
        return scaled_disps

    def predict_all(self, batches: Iterable[Mapping], post_process: bool = False) -> np.ndarray:
        """Scaled disparities of all frames of a loader, in its order: float32 (N, H, W)."""
        predictions = [self.predict(prepare_batch(b, (0,))["color", 0, 0], post_process) for b in batches]
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
