"""Every variant of the loss, and its gradients, against numbers of the original implementation."""

import json

import numpy as np
import paddle
import pytest

from layers.self_supervised_loss import monodepth2_loss
from networks.monodepth import Monodepth

CASES = {
    "mono": {},
    "mono_stereo": {"sources": (-1, 1, "s")},
    "stereo": {"sources": ("s",)},
    "avg_reprojection": {"loss": {"avg_reprojection": True}},
    "v1_multiscale": {"loss": {"v1_multiscale": True}},
    "no_ssim": {"loss": {"use_ssim": False}},
    "no_automask": {"loss": {"automasking": False}},
    "predictive_mask": {
        "loss": {"automasking": False, "predictive_mask": True},
        "model": {"predictive_mask": True},
    },
    "posecnn": {"loss": {"scale_translation": True}, "model": {"pose_model_type": "posecnn"}},
    "shared": {"model": {"pose_model_type": "shared"}},
    "pose_all": {"model": {"pose_model_input": "all"}},
}
FRAMES = {0: "image_0", -1: "image_m1", 1: "image_p1", "s": "image_s"}


def make_batch(arrays) -> dict:
    """Return the reference's batch: four images, a colour pyramid by area averaging, the method's fixed K."""
    batch = {}
    for f, key in FRAMES.items():
        image = paddle.to_tensor(arrays[key].transpose(0, 3, 1, 2).astype("float32") / 255)
        for scale in range(4):
            batch[f"color/{f}/{scale}"] = image
            image = paddle.nn.functional.avg_pool2d(image, 2)
    height, width = batch["color/0/0"].shape[2:]
    for scale in range(4):
        w, h = width // 2**scale, height // 2**scale
        K = np.array([[0.58 * w, 0, 0.5 * w, 0], [0, 1.92 * h, 0.5 * h, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "float32")
        batch[f"K/{scale}"] = paddle.to_tensor(np.stack([K, K]))
        batch[f"inv_K/{scale}"] = paddle.to_tensor(np.stack([np.linalg.inv(K)] * 2))
    stereo_T = np.eye(4, dtype="float32")
    stereo_T[0, 3] = -0.1
    batch["stereo_T"] = paddle.to_tensor(np.stack([stereo_T, stereo_T]))
    return batch


def gradient_norm(network) -> float:
    return float(
        np.sqrt(sum((p.grad.astype("float64") ** 2).sum().item() for p in network.parameters() if p.grad is not None))
    )


@pytest.fixture(scope="module")
def expected(load_reference):
    return load_reference("training_losses.npz")


@pytest.fixture(scope="module")
def batch(load_reference):
    return make_batch(load_reference("networks_geometry.npz"))


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients(case, expected, batch, reference_dir, fill_by_rule):
    modules = json.loads((reference_dir / "loss_cases.json").read_text()).get(case)
    if modules is None:
        pytest.skip(f"this set has no case {case}")
    sources = CASES[case].get("sources", (-1, 1))
    temporal = tuple(f for f in sources if f != "s")
    model = Monodepth(frame_ids=(0, *temporal), use_stereo="s" in sources, **CASES[case].get("model", {}))
    assert set(model.roles) == set(modules)
    for role, module in modules.items():
        fill_by_rule(getattr(model, role), module)
    model.train()
    compute_loss = monodepth2_loss(sources, tie_breaking_noise=0.0, **CASES[case].get("loss", {}))

    outputs = model({f"color_aug/{f}/0": batch[f"color/{f}/0"] for f in model.frame_ids})
    losses, maps = compute_loss(batch, outputs)
    losses["loss"].backward()

    numbers = {key.split(".", 1)[1]: value for key, value in expected.items() if key.startswith(f"{case}.")}
    assert losses["loss"].item() == pytest.approx(numbers["loss"].item(), rel=1e-4)
    for scale in range(4):
        assert losses[f"loss/{scale}"].item() == pytest.approx(numbers[f"loss_{scale}"].item(), rel=1e-4)
    for f in temporal:
        motion = outputs[f"T_target_to_source/{f}"].numpy()
        np.testing.assert_allclose(motion, numbers[f"cam_T_cam_{f}"], rtol=1e-4, atol=1e-6)
    for role in modules:
        norm = gradient_norm(getattr(model, role))
        assert norm == pytest.approx(numbers[f"grad_norm_{role}"].item(), rel=1e-2), role
    if "automask_fraction_0" in numbers:
        fraction = maps["auto_mask"].mean().item()
        assert fraction == pytest.approx(numbers["automask_fraction_0"].item(), abs=2e-3)
        assert losses["auto_mask"].item() == pytest.approx(fraction)
