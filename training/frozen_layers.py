"""Freeze the first stages of an encoder: their weights and statistics stay as they were loaded."""

import paddle
from paddle import nn

from common.errors import OptionsError

_INPUT = 64  # pixels per side of the image that finds a stage's weights


def freeze_stages(encoder: nn.Layer, count: int) -> None:
    """Freeze what the first ``count`` features of an encoder, finest first, are computed from.

    The weights are found by the gradient of a feature, so that encoders need not list their stages.

    Raises:
        OptionsError: the encoder has fewer features.
    """
    if count > len(encoder.num_ch_enc):
        raise OptionsError(
            f"--freeze_encoder: got {count}, allowed: 0 to {len(encoder.num_ch_enc)}, the encoder's number of stages"
        )
    if not count:
        return
    encoder.eval()
    encoder(paddle.zeros([1, 3, _INPUT, _INPUT]))[count - 1].sum().backward()
    frozen = [parameter for parameter in encoder.parameters() if parameter.grad is not None]
    for parameter in encoder.parameters():
        parameter.clear_gradient(set_to_zero=False)
    for parameter in frozen:
        parameter.stop_gradient = True
    encoder.train()


def freeze_statistics(model: nn.Layer, everywhere: bool) -> None:
    """Have batch norms use their running statistics without updating them: all, or only those with frozen weights."""
    for layer in model.sublayers():
        if isinstance(layer, nn.BatchNorm2D) and (everywhere or layer.weight.stop_gradient):
            layer.eval()
