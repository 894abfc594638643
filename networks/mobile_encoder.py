"""The encoder that MobileNetV3 and EfficientNet-Lite share: a stem and inverted residual blocks."""

from collections.abc import Sequence
from typing import ClassVar

from paddle import Tensor, nn

from layers.blocks import normalise_images
from layers.initialisation import initialise_kaiming
from layers.inverted_residual import Activation, BlockShape, ConvNorm, InvertedResidual


class MobileEncoder(nn.Layer):
    """A strided 3x3 convolution, then blocks; the features are the last ones of every size.

    Subclasses set the class attributes.

    Args:
        num_input_images: images stacked along the channels.
        activations: of the stem, and of each block.

    Attributes:
        image_mean, image_std: normalisation that the pretrained weights expect, for images in [0, 1].
        first_convolution: name of the weight that sees the image.
        stem_width: channels of the stem.
        block_shapes: the blocks.
        pad_after: see ``ConvNorm``.
        head_width: channels of a 1x1 convolution after the blocks, whose output is the last feature; 0 for none.
        num_ch_enc: channels of the features, finest first.
        strides: input size over feature size.
    """

    image_mean: ClassVar[tuple[float, float, float]]
    image_std: ClassVar[tuple[float, float, float]]
    first_convolution: ClassVar[str] = "stem.conv.weight"
    stem_width: ClassVar[int]
    block_shapes: ClassVar[tuple[BlockShape, ...]]
    pad_after: ClassVar[bool] = False
    head_width: ClassVar[int] = 0

    def __init__(self, num_input_images: int, activations: Sequence[Activation]) -> None:
        super().__init__()
        stem_activation, *block_activations = activations
        self.stem = ConvNorm(
            3 * num_input_images, self.stem_width, 3, 2, activation=stem_activation, pad_after=self.pad_after
        )
        widths = [self.stem_width, *(shape.out for shape in self.block_shapes)]
        self.blocks = nn.LayerList(
            InvertedResidual(channels, shape, activation, pad_after=self.pad_after)
            for channels, shape, activation in zip(widths[:-1], self.block_shapes, block_activations, strict=True)
        )
        self.head = ConvNorm(widths[-1], self.head_width, 1, activation=stem_activation) if self.head_width else None
        # Indices of the blocks before each halving of the size, and of the last one.
        later_strides = [shape.stride for shape in self.block_shapes[1:]]
        self._ends = [i for i, stride in enumerate([*later_strides, 2]) if stride == 2]
        channels = [self.block_shapes[i].out for i in self._ends]
        self.num_ch_enc = (*channels[:-1], self.head_width or channels[-1])
        self.strides = tuple(2 << i for i in range(len(channels)))
        initialise_kaiming(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input size.

        Args:
            images: (B, 3 * num_input_images, H, W) in [0, 1]; H and W multiples of 32.

        Returns:
            Five tensors (B, num_ch_enc[i], H / strides[i], W / strides[i]), finest first.
        """
        x = self.stem(normalise_images(images, self.image_mean, self.image_std))
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self._ends:
                features.append(x)
        if self.head is not None:
            features[-1] = self.head(x)
        return features
