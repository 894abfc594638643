"""Translated operators in ONNX Runtime against Paddle's."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

from inference.export.engines import onnx_session
from inference.export.onnx_file import tensor
from inference.export.onnx_graph import to_onnx
from inference.export.onnx_operators import UnsupportedOperatorError

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed: it comes with Paddle2ONNX")
SIZE = (6, 8)


class Layer(nn.Layer):
    """A function of images as a layer; its output (B, ...) counts as the result."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function = function
        self.layers = nn.LayerList(layers)

    def forward(self, images):
        return self.function(images, *self.layers)


def trained_batch_norm():
    norm = nn.BatchNorm2D(3)
    for value, parameter in enumerate((norm.weight, norm.bias, norm._mean, norm._variance)):
        parameter.set_value(np.array([1, 2, 3], np.float32) / (value + 1))
    return norm


def constant():
    return paddle.to_tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0]])


OPERATORS = {
    "convolution": (lambda x, conv: conv(x), nn.Conv2D(3, 5, (3, 5), stride=(1, 2), padding=(2, 1))),
    "dilated convolution": (lambda x, conv: conv(x), nn.Conv2D(3, 2, 3, dilation=2, padding=[0, 1, 2, 3])),
    "depthwise convolution": (lambda x, conv: conv(x), nn.Conv2D(3, 3, 3, groups=3)),
    "batch norm": (lambda x, norm: norm(x), trained_batch_norm()),
    "max pooling": (lambda x: F.max_pool2d(x - 2, 3, stride=2, padding=1),),
    "average pooling": (lambda x: F.avg_pool2d(x, 3, stride=2, padding=1, exclusive=False),),
    "average pooling without padding": (lambda x: F.avg_pool2d(x, 3, stride=2, padding=1),),
    "global average": (lambda x: x * F.adaptive_avg_pool2d(x, 1),),
    "ReLU": (lambda x: F.relu(x - 0.5),),
    "ELU": (lambda x: F.elu(x - 0.5, alpha=0.5),),
    "sigmoid": (lambda x: F.sigmoid(x),),
    "ReLU6": (lambda x: F.relu6(9 * x - 1),),
    "GELU": (lambda x: F.gelu(4 * x - 2),),
    "hard sigmoid": (lambda x: F.hardsigmoid(9 * x - 4),),
    "hard swish": (lambda x: F.hardswish(9 * x - 4),),
    "layer norm": (lambda x, norm: norm(x.transpose([0, 2, 3, 1])), nn.LayerNorm(3, epsilon=1e-6)),
    "mean": (lambda x: x.mean(axis=[2, 3], keepdim=True) + x.mean(axis=1).unsqueeze(1),),
    "norm": (lambda x: F.normalize(x, axis=-1),),
    "softmax": (lambda x: F.softmax(9 * x, axis=2),),
    "expansion": (lambda x: x[:, :2, :4] + constant().unsqueeze(-1).expand([2, 4, 8]),),
    "parts": (lambda x: sum((i + 1) * part for i, part in enumerate(x.unbind(1))),),
    "scale": (lambda x: 3 * x + 2,),
    "arithmetic": (lambda x: (x - x[:, :1]) * x / (x + 1),),
    "matrix product": (lambda x: paddle.matmul(constant(), x[:, :, :, :4], transpose_y=True),),
    "transposed first factor": (lambda x: paddle.matmul(x[:, :, :4], constant(), transpose_x=True, transpose_y=True),),
    "slice": (lambda x: x[:, 1:, 2, -3:],),
    "concatenation": (lambda x: paddle.concat([x, x[:, :1] + 1], axis=1),),
    "stack": (lambda x: paddle.stack([x, 2 * x], axis=3).flatten(2, 3),),
    "reflecting padding": (lambda x: F.pad(x, [1, 2, 3, 4], mode="reflect"),),
    "replicating padding": (lambda x: F.pad(x, [1, 0, 0, 2], mode="replicate"),),
    "constant padding": (lambda x: F.pad(x, [1, 0, 0, 2], value=0.25),),
    "nearest neighbour": (lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),),
    "shapes": (lambda x: x.unsqueeze(2).reshape([-1, 3, 48]).squeeze(-1),),
}


def translate(function, *layers):
    layer = Layer(function, *layers)
    layer.eval()
    return layer, to_onnx(layer, SIZE)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.filterwarnings("ignore")
def test_operator(name):
    layer, content = translate(*OPERATORS[name])
    graph = onnx.load_model_from_string(content)
    graph.graph.output[0].type.tensor_type.ClearField("shape")  # that of depth networks, see below
    run = onnx_session(graph.SerializeToString(), "cpu")
    images = np.random.default_rng(0).random((2, 3, *SIZE), dtype=np.float32)
    expected = layer(paddle.to_tensor(images)).numpy()
    found = run(images)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_model_is_valid_and_describes_itself():
    _, content = translate(lambda x: x[:, 0] + x[:, 1])
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    (images,), (scaled_disp,) = model.graph.input, model.graph.output
    sizes = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in (images, scaled_disp)
    ]
    assert (images.name, scaled_disp.name, sizes) == ("images", "scaled_disp", [["batch", 3, 6, 8], ["batch", 6, 8]])


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: paddle.cumsum(x, axis=1), r"pd_op\.cumsum, which has no translation"),
        (lambda x: F.avg_pool2d(x, 2, ceil_mode=True), "ceil_mode True, translated is only False"),
        (lambda x: F.adaptive_avg_pool2d(x, 2), r"pools adaptively to \[2, 2\]"),
        (lambda x: F.pad(x, [1, 1, 1, 1], mode="circular"), "mode circular"),
        (lambda x: F.interpolate(x, size=(9, 9), mode="nearest"), "enlarges by"),
        (lambda x: x.reshape([-1, x.shape[0], 3, 48]), "the networks cannot be traced: "),
        (
            lambda x: x.reshape([1, -1, 48]).unsqueeze(0)[:, : paddle.shape(x)[0]],
            r"pd_op\.shape64, which has no translation",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_other_operators_and_settings_are_refused(function, reason):
    with pytest.raises(UnsupportedOperatorError, match=reason):
        translate(function)


@pytest.mark.parametrize("array", [np.float32([[-1.5, 2], [0, 1e-30]]), np.int64([-1, 2**40]), np.float32(3)])
def test_encoded_arrays_are_read_by_onnx(array):
    found = onnx.TensorProto()
    found.ParseFromString(tensor("name", array))
    assert found.name == "name"
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(found), array, strict=True)
