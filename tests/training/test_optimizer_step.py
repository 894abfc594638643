"""Gradients of a step: accumulation, clipping, loss scaling, recomputation."""

import numpy as np
import paddle
import pytest

from common.errors import UserError
from datasets.batch import prepare_batch, split_batch
from options import Options
from tools.benchmarks.plain_port import PlainLoss
from tools.benchmarks.step_benchmark import random_batch
from training.forward_pass import ForwardPass
from training.optimizer_step import OptimizerStep, check_amp
from training.setup import build_loss, build_model, build_optimizer

TINY = Options(height=64, width=64, batch_size=4, frame_ids=(0, 1))


def gradients(opt, parts=1):
    """Return gradients by name after one step on a fixed batch, with batch norm frozen and no tie-breaking noise."""
    paddle.seed(0)
    model, compute_loss = build_model(opt), build_loss(opt)
    model.eval()
    compute_loss.eval()
    update = OptimizerStep(build_optimizer(opt, model)[0])
    raw = {**random_batch(opt), "name": list("abcd")}
    for part in split_batch(raw, parts):
        update.backward(ForwardPass(model, compute_loss)(prepare_batch(part, opt.scales)).losses["loss"], 1 / parts)
    return {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}


def test_accumulated_gradients_equal_those_of_one_large_batch():
    whole, accumulated = gradients(TINY), gradients(TINY, parts=4)
    assert whole.keys() == accumulated.keys() and len(whole) > 50
    for name, gradient in whole.items():
        np.testing.assert_allclose(accumulated[name], gradient, rtol=0, atol=1e-3 * np.abs(gradient).max() + 1e-12)


def test_recomputing_the_decoder_changes_no_gradient():
    opt = TINY
    models = []
    for recompute in (False, True):
        paddle.seed(0)
        model = build_model(opt.replace(recompute=recompute))
        model.train()
        batch = prepare_batch(random_batch(opt), opt.scales)
        outputs = model(batch)
        sum(outputs[f"disp/{s}"].mean() for s in opt.scales).backward()
        models.append(model)
    for plain, recomputed in zip(*(model.parameters() for model in models), strict=True):
        assert (plain.grad is None) == (recomputed.grad is None)
        if plain.grad is not None:
            largest = np.abs(plain.grad.numpy()).max()
            np.testing.assert_allclose(recomputed.grad.numpy(), plain.grad.numpy(), rtol=0, atol=1e-4 * largest + 1e-9)


def test_clipping_shrinks_only_long_gradients():
    for norm, expected in ((2.5, [1.5, 2.0]), (6.0, [3.0, 4.0])):
        weights = [paddle.create_parameter([1], "float32") for _ in range(2)]
        model = paddle.nn.ParameterList(weights)
        optimizer, _ = build_optimizer(TINY.replace(clip_grad_norm=norm), model)
        update = OptimizerStep(optimizer)
        update.backward(3 * weights[0] + 4 * weights[1])
        update.apply()
        first_moments = [v.item() for k, v in sorted(optimizer.state_dict().items()) if "moment1" in k]
        np.testing.assert_allclose(first_moments, 0.1 * np.array(expected), rtol=1e-5)  # (1 - beta1) g
        assert all(weight.grad is None for weight in weights)


class Scaler:
    """Scale the loss as ``paddle.amp.GradScaler`` does on a GPU; on the CPU Paddle's does nothing."""

    def __init__(self, init_loss_scaling, decr_every_n_nan_or_inf):
        assert decr_every_n_nan_or_inf == 1
        self.value = init_loss_scaling

    def scale(self, loss):
        return loss * self.value

    def step(self, optimizer):
        parameters = optimizer._parameter_list
        self.bad = not all(bool(p.grad.isfinite().all()) for p in parameters)
        for p in parameters:
            p.grad.set_value(p.grad / self.value)
        if not self.bad:
            optimizer.step()

    def update(self):
        self.value /= 2 if self.bad else 1

    def state_dict(self):
        return {"scale": np.array([self.value], "float32")}

    def set_init_loss_scaling(self, value):
        self.value = value


def test_updates_that_overflow_are_skipped_and_counted(monkeypatch):
    monkeypatch.setattr(paddle.amp, "GradScaler", Scaler)
    weight = paddle.create_parameter([1], "float32", default_initializer=paddle.nn.initializer.Constant(1.0))
    optimizer = paddle.optimizer.SGD(0.5, parameters=[weight])
    update = OptimizerStep(optimizer, "fp16")
    scale = update.loss_scale
    update.backward(weight * 3e38)
    update.apply()
    assert (weight.item(), update.skipped, update.loss_scale) == (1.0, 1, scale / 2)
    update.backward(weight * 0.5)
    update.apply()
    assert (weight.item(), update.skipped, update.loss_scale) == (0.75, 1, scale / 2)
    update.loss_scale = 8.0  # set by a resumed run
    assert update.loss_scale == 8.0


def test_mixed_precision_needs_a_gpu():
    check_amp("off")
    with pytest.raises(UserError, match=r"--amp bf16: .* GPU"):
        check_amp("bf16")


@pytest.mark.parametrize("use_stereo", [False, True])
def test_the_plain_port_computes_the_same_loss(use_stereo):
    """The benchmark's baseline must do the same work."""
    opt = TINY.replace(use_stereo=use_stereo, batch_size=2)
    paddle.seed(0)
    model, compute_loss = build_model(opt), build_loss(opt)
    model.eval()
    compute_loss.eval()
    batch = prepare_batch(random_batch(opt), opt.scales)
    outputs = model(batch)
    plain = PlainLoss(opt.source_frames, opt.scales, tie_breaking_noise=0.0)(batch, outputs)
    assert plain.item() == pytest.approx(compute_loss(batch, outputs)[0]["loss"].item(), rel=1e-5)
