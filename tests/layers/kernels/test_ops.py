"""Values and gradients of the C++ operators against the Paddle implementations."""

import numpy as np
import paddle
import pytest

from common.errors import UserError
from layers.blocks import Conv3x3, ConvBlock, ZeroPaddedConv3x3
from layers.geometry import transformation_from_parameters
from layers.kernels import ops
from layers.kernels.compilation import BuildError
from layers.kernels.ops import use_kernels
from layers.photometric import TargetStatistics, photometric_error
from layers.view_synthesis import ViewSynthesis


@pytest.fixture(scope="module", autouse=True)
def operators():
    try:
        ops.enable()
    except BuildError as error:
        pytest.skip(f"no operators: {error}")
    yield
    ops.disable()


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


@pytest.mark.parametrize(("channels", "skip_channels", "outputs"), [(3, 0, 1), (5, 3, 6), (8, 8, 4)])
@pytest.mark.parametrize("size", [(10, 11), (15, 24)])
def test_upsampled_block(channels, skip_channels, outputs, size, monkeypatch):
    block = ConvBlock(channels + skip_channels, outputs)
    skip = [random(2, skip_channels, 2 * size[0], 2 * size[1], seed=2)] if skip_channels else []
    pairs = both_ways(
        lambda x, skip=None: block.upsampled(x, skip),
        *(random(2, channels, *size), *skip),
        monkeypatch=monkeypatch,
        parameters=block.parameters(),
    )
    assert_alike(pairs, 2e-5)


@pytest.mark.parametrize("layer", [Conv3x3(6, 5), ConvBlock(6, 5), ZeroPaddedConv3x3(6, 5)])
@pytest.mark.parametrize("size", [(20, 21), (2, 300)])
def test_convolutions(layer, size, monkeypatch):
    pairs = both_ways(layer, random(3, 6, *size), monkeypatch=monkeypatch, parameters=layer.parameters())
    assert_alike(pairs, 2e-5)


def test_elu_is_exact_on_its_whole_range(monkeypatch):
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


def test_without_a_compiler(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(ops, "_operators", None)
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
    monkeypatch.setattr(ops, "_operators", None)
    assert use_kernels("auto") is False
    printed = capsys.readouterr().out
    assert "Falling back" in printed and "fatal error: out of order" in printed and len(printed.splitlines()) == 2
