"""Values and gradients of the C++ operators against the Paddle implementations."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

from common.errors import UserError
from layers.blocks import Conv2D, Conv3x3, ConvBlock, use_operators
from layers.geometry import transformation_from_parameters
from layers.kernels import compilation, ops
from layers.kernels.compilation import BuildError
from layers.kernels.ops import use_kernels
from layers.photometric import TargetStatistics, photometric_error
from layers.view_synthesis import ViewSynthesis

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", autouse=True)
def operators():
    try:
        ops.enable()
    except BuildError as error:
        pytest.skip(f"no operators: {error}")
    yield
    ops.disable()


@pytest.fixture
def onednn():
    try:
        compilation.onednn_headers()
    except BuildError as error:
        pytest.skip(f"no convolutions: {error}")


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def both_ways(compute, *inputs, monkeypatch, parameters=()):
    """Return pairs of value and gradients (of all inputs and parameters), with the operators and without."""
    results = []
    for enabled in (True, False):
        with monkeypatch.context() as patch:
            used = []
            operator = ops.operator

            def chosen(name, *tensors, enabled=enabled, used=used, operator=operator):
                used.append(name)
                return operator(name, *tensors) if enabled else None

            for module in ("blocks", "photometric", "view_synthesis"):
                patch.setattr(f"layers.{module}.operator", chosen)
            tensors = [paddle.to_tensor(x, stop_gradient=False) for x in inputs]
            output = compute(*tensors)
            output.backward(paddle.to_tensor(random(*output.shape, seed=1)))
            assert used
            results.append([output.numpy(), *(t.grad.numpy() for t in (*tensors, *parameters))])
            for parameter in parameters:
                parameter.clear_grad()
    return zip(*results, strict=True)


def assert_alike(pairs, relative=1e-5):
    for ours, plain in pairs:
        np.testing.assert_allclose(ours, plain, rtol=0, atol=relative * np.abs(plain).max())


@pytest.mark.parametrize("size", [(3, 4), (17, 33), (40, 64)])
def test_photometric_error(size, monkeypatch):
    rng = np.random.default_rng(0)
    target = rng.random((2, 3, *size), dtype=np.float32)
    prediction = np.clip(target + 0.2 * random(2, 3, *size), 0, 1)
    prediction[0, :, 0, :3] = target[0, :, 0, :3]  # includes pixels with zero error
    compute = lambda x: photometric_error(x, TargetStatistics(paddle.to_tensor(target)))  # noqa: E731
    assert_alike(both_ways(compute, prediction, monkeypatch=monkeypatch), 2e-5)


@pytest.mark.parametrize("size", [(2, 3), (24, 32)])
def test_warp(size, monkeypatch):
    height, width = size
    rows, columns = np.mgrid[:height, :width] / 7
    # Smooth, because the gradient of a sample jumps between pixels, and rounding decides which pixels are used.
    image = np.stack([np.sin(rows + columns), np.cos(rows), columns * rows / 50] * 2).reshape(2, 3, height, width)
    depth = 2 + np.sin(rows * 2 + columns)[None, None].repeat(2, 0)
    K = np.eye(4, dtype="float32")
    K[0, [0, 2]], K[1, [1, 2]] = (0.6 * width, 0.5 * width), (0.9 * height, 0.4 * height)
    K = paddle.to_tensor(np.stack([K, K]))

    def compute(depth, axis_angle, translation):
        transform = transformation_from_parameters(axis_angle, translation)
        synthesis = ViewSynthesis({1: paddle.to_tensor(image.astype("float32"))}, K, K.inverse(), {1: transform})
        return synthesis.warp(1, depth)

    pairs = both_ways(
        compute, depth.astype("float32"), 0.05 * random(2, 3), 0.2 * random(2, 3, seed=3), monkeypatch=monkeypatch
    )
    assert_alike(pairs, 1e-3)


def test_warp_clamps_infinite_positions_and_propagates_nan():
    """Samples outside the image take the border's value, even at infinity; NaN stays NaN."""
    image = paddle.arange(12, dtype="float32").reshape([1, 1, 3, 4])
    depth = paddle.ones([1, 1, 3, 4])
    depth[0, 0, 1, 1] = float("nan")
    homography = paddle.to_tensor([[[1e30, 0, 1e30], [0, 1, 0], [0, 0, 1e-30]]])
    warped = ops.operator("warp", image)(image, depth, homography, paddle.zeros([1, 3, 1])).numpy()[0, 0]
    assert np.isnan(warped[1, 1])
    assert (warped[0] == 3).all() and (warped[2] == 11).all()  # far to the right, and below but for row 0


@pytest.mark.parametrize(
    ("channels", "skip_channels", "outputs"), [(3, 0, 1), (5, 3, 6), (8, 8, 4), (16, 32, 16), (32, 0, 16)]
)
@pytest.mark.parametrize("size", [(10, 11), (15, 24)])
def test_upsampled_block(channels, skip_channels, outputs, size, onednn, monkeypatch):
    block = ConvBlock(channels + skip_channels, outputs)
    skip = [random(2, skip_channels, 2 * size[0], 2 * size[1], seed=2)] if skip_channels else []
    pairs = both_ways(
        lambda x, skip=None: block.upsampled(x, skip),
        *(random(2, channels, *size), *skip),
        monkeypatch=monkeypatch,
        parameters=block.parameters(),
    )
    assert_alike(pairs, 2e-5)


@pytest.mark.parametrize("layer", [Conv3x3(6, 5), Conv3x3(16, 1), Conv3x3(5, 3), ConvBlock(6, 5), ConvBlock(32, 16)])
@pytest.mark.parametrize("size", [(20, 21), (2, 300)])
def test_reflection_padding(layer, size, onednn, monkeypatch):
    x = random(3, layer.parameters()[0].shape[1], *size)
    assert_alike(both_ways(layer, x, monkeypatch=monkeypatch, parameters=layer.parameters()), 2e-5)


@pytest.mark.parametrize(
    ("channels", "outputs", "window", "stride", "padding", "dilation", "groups"),
    [
        (3, 64, 7, 2, 3, 1, 1),
        (6, 5, 3, 1, 1, 1, 1),
        (16, 32, 3, 2, 1, 1, 1),
        (16, 32, 1, 2, 0, 1, 1),
        (24, 6, 1, 1, 0, 1, 1),
        (24, 24, 3, 1, 1, 1, 24),
        (24, 24, 3, 1, 3, 3, 24),
        (24, 24, 7, 2, 3, 1, 24),
        (8, 12, (3, 5), (1, 2), (0, 2), (2, 1), 4),
        (3, 8, 3, 2, [0, 1, 2, 3], 1, 1),
        (24, 24, 5, 2, [1, 2, 1, 2], 1, 24),
    ],
)
@pytest.mark.parametrize("bias", [None, False])
def test_convolution(channels, outputs, window, stride, padding, dilation, groups, bias, onednn, monkeypatch):
    layer = Conv2D(channels, outputs, window, stride, padding, dilation, groups, bias_attr=bias)
    x = random(2, channels, 21, 34)
    assert_alike(both_ways(layer, x, monkeypatch=monkeypatch, parameters=layer.parameters()), 2e-5)


def test_large_input_is_convolved_image_by_image(onednn, monkeypatch):
    """Gradients of the weight are summed over the images."""
    layer = ConvBlock(64, 5)
    pairs = both_ways(layer, random(3, 64, 150, 320), monkeypatch=monkeypatch, parameters=layer.parameters())
    assert_alike(pairs, 2e-5)


def test_convolution_is_reproducible(onednn):
    results = []
    for _ in range(2):
        layer = Conv2D(16, 32, 3, weight_attr=paddle.nn.initializer.Constant(0.1))
        x = paddle.to_tensor(random(4, 16, 60, 50), stop_gradient=False)
        layer(x).square().sum().backward()
        results.append([layer(x).numpy(), x.grad.numpy(), layer.weight.grad.numpy(), layer.bias.grad.numpy()])
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "arguments",
    [{"padding": "SAME"}, {"padding": 1, "padding_mode": "reflect"}],
    ids=["named", "mode"],
)
def test_unsupported_arguments_use_paddle(arguments, onednn):
    paddles = paddle.nn.Conv2D(4, 5, 3, **arguments)
    x = paddle.to_tensor(random(2, 4, 9, 8))
    expected = paddles(x).numpy()
    np.testing.assert_array_equal(use_operators(paddles)(x).numpy(), expected)


def test_use_operators_keeps_names_and_parameters():
    network = paddle.nn.Sequential(paddle.nn.Conv2D(2, 3, 1), paddle.nn.BatchNorm2D(3))
    before = dict(network.named_parameters())
    assert use_operators(network) is network and isinstance(network[0], Conv2D)
    after = dict(network.named_parameters())
    assert before.keys() == after.keys() and all(before[name] is after[name] for name in before)


def test_static_graph(onednn):
    """In a static graph, values and gradients equal those of eager mode, with an unknown batch size too."""
    network = use_operators(paddle.nn.Sequential(paddle.nn.Conv2D(3, 8, 3, 2, 1), ConvBlock(8, 6), Conv3x3(6, 1)))
    spec = [paddle.static.InputSpec([None, 3, 20, 24], "float32")]
    results = []
    for run in (network, paddle.jit.to_static(network, input_spec=spec, full_graph=True)):
        y = run(paddle.to_tensor(random(2, 3, 20, 24)))
        y.square().sum().backward()
        results.append([y.numpy(), *(p.grad.numpy() for p in network.parameters())])
        network.clear_gradients()
    assert_alike(zip(*results, strict=True), 1e-6)


def test_elu_is_exact_on_its_whole_range(onednn):
    """From large negative to large positive values, including infinity and NaN."""
    values = np.concatenate([-np.logspace(-8, 3, 500), np.logspace(-8, 3, 98), [-np.inf, np.nan]]).astype("float32")
    layer = ConvBlock(1, 1)
    weight = np.zeros((1, 1, 3, 3), "float32")
    weight[0, 0, 1, 1] = 1
    layer.conv.conv.weight.set_value(weight)
    layer.conv.conv.bias.set_value(np.zeros(1, "float32"))
    finite = np.where(np.isfinite(values), values, 0)
    x = paddle.to_tensor(np.tile(finite, (1, 1, 2, 1)))
    expected = np.where(finite > 0, finite, np.expm1(np.minimum(finite, 0).astype("float64")))
    np.testing.assert_allclose(layer(x).numpy()[0, 0, 0], expected, rtol=2e-7, atol=1.2e-7)
    x[0, 0, 0, 300] = float("nan")
    assert np.isnan(layer(x).numpy()[0, 0, 0, 300])


def test_inputs_of_another_type_use_paddle():
    assert ops.operator("warp", paddle.zeros([1], dtype="float64")) is None
    assert ops.operator("warp", paddle.zeros([1])) is not None


def test_mismatched_shapes_are_rejected():
    with pytest.raises(OSError, match="differ in size"):
        ops.operator("photometric", paddle.zeros([1]))(paddle.zeros([1, 3, 8, 8]), paddle.zeros([1, 3, 8, 9]))


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [
        ("ONEDNN", "libmissing.so", "no libmissing.so"),
        ("ONEDNN_VERSION", (99, 1), "99"),
        ("ONEDNN_HEADERS", "no-such-package", "requirements-operators.txt"),
    ],
)
def test_onednn_that_does_not_fit_is_named(attribute, value, reason, monkeypatch):
    monkeypatch.setattr(compilation, attribute, value)
    with pytest.raises(BuildError, match=reason):
        compilation.onednn_headers()


WITHOUT_ONEDNN = """
import paddle
from layers.blocks import Conv2D
from layers.kernels import compilation, ops

compilation.ONEDNN_HEADERS = "no-such-package"
assert ops.use_kernels("on") is True
assert ops.operator("warp") is not None and ops.operator("convolution") is None
assert Conv2D(2, 3, 3)(paddle.ones([1, 2, 5, 5])).shape == [1, 3, 3, 3]
"""


@pytest.mark.slow
def test_without_onednn_convolutions_use_paddle(tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", WITHOUT_ONEDNN]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Convolutions fall back to Paddle's kernels") == 1 and "no-such-package" in done.stdout


def test_without_a_compiler(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(ops, "_enabled", [])
    assert use_kernels("auto") is False
    assert "no-such-compiler" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"--kernels on: .*not found: no-such-compiler"):
        use_kernels("on")
    assert use_kernels("off") is False


def test_operators_need_the_cpu(monkeypatch):
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")
    assert use_kernels("auto") is False
    with pytest.raises(UserError, match=r"--kernels on: .*--device cpu"):
        use_kernels("on")


@pytest.mark.slow
def test_compiler_failure(monkeypatch, tmp_path, capsys):
    compiler = tmp_path / "broken"
    compiler.write_text("#!/bin/sh\necho 'fatal error: out of order' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ops, "_enabled", [])
    assert use_kernels("auto") is False
    printed = capsys.readouterr().out
    assert "Falling back" in printed and "fatal error: out of order" in printed and len(printed.splitlines()) == 2
