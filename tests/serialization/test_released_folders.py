"""Released folders at their full size, made by the reference's rule: they load, give its numbers, and load fast."""

import json
import time

import numpy as np
import paddle
import pytest
from torch_bytes import number, state_dict, storage, tensor, write_zip

from inference.depth_predictor import DepthPredictor
from networks.monodepth import Monodepth
from serialization.naming import to_paddle, to_pytorch
from serialization.pdparams import write_pdparams
from serialization.safetensors_file import write_safetensors
from serialization.weights_folder import WeightsInfo, load_weights

MODULES = {"encoder": "encoder18", "depth": "depth18", "pose_encoder": "pose_encoder", "pose": "pose"}


@pytest.fixture(scope="module")
def contents(reference_dir, rule_arrays):
    """Role -> what its released file holds, exactly as the layout of released checkpoints has it."""
    layout_file = reference_dir / "released_checkpoint_layout.json"
    if not layout_file.is_file():
        pytest.skip(f"{layout_file} is absent")
    arrays = {role: to_paddle(rule_arrays(module)) for role, module in MODULES.items()}
    shapes = {role: {name: list(array.shape) for name, array in held.items()} for role, held in arrays.items()}
    assert shapes == json.loads(layout_file.read_text())
    return arrays


def write_pth(path, arrays):
    """The form of the original's files: PyTorch's names, a storage for each tensor, the size beside the encoder's."""
    entries, storages = {}, {}
    for name, array in to_pytorch(arrays).items():
        array = np.ascontiguousarray(array).reshape(array.shape)
        kind = {"f": "torch\nFloatStorage", "i": "torch\nLongStorage"}[array.dtype.kind]
        strides = [stride // array.itemsize for stride in array.strides]
        entries[name] = tensor(storage(name, array.size, kind), array.shape, strides)
        storages[name] = array.tobytes()
    if path.stem == "encoder":
        entries |= {"height": number(96), "width": number(320), "use_stereo": b"\x88"}
    write_zip(path, state_dict(**entries), storages)


WRITERS = {".pdparams": write_pdparams, ".safetensors": write_safetensors, ".pth": write_pth}


@pytest.fixture(scope="module", params=WRITERS)
def released(request, contents, tmp_path_factory):
    """The folder, in the format of either project and in the neutral one."""
    folder = tmp_path_factory.mktemp("released")
    for role, arrays in contents.items():
        WRITERS[request.param](folder / f"{role}{request.param}", arrays)
    return folder


def build():
    return Monodepth().networks()


def as_tensor(images):
    return paddle.to_tensor(images.transpose(0, 3, 1, 2).astype("float32") / 255)


def test_it_loads_fully_and_in_time(released, contents):
    networks, seconds = build(), []
    for _ in range(3):
        started = time.perf_counter()
        reports = load_weights(released, networks, tuple(MODULES))
        seconds.append(time.perf_counter() - started)
    for role, report in reports.items():
        assert report.missing == report.unexpected == ()
        assert set(report.matched) == {name for name in contents[role] if ".fc." not in name}
        for name, value in networks[role].state_dict().items():
            np.testing.assert_array_equal(value.numpy(), contents[role][name])
    assert sum(path.stat().st_size for path in released.iterdir()) > 110e6
    assert min(seconds) < 1.5


def test_it_gives_the_disparities_and_motions_of_the_reference(released, load_reference):
    arrays = load_reference("networks_geometry.npz")
    predictor = DepthPredictor.from_folder(released)
    is_original = (released / "encoder.pth").exists()
    assert predictor.info == (WeightsInfo(height=96, width=320, use_stereo=True) if is_original else None)
    assert predictor.size == ((96, 320) if is_original else (192, 640)) and predictor.left_out == ()
    images = as_tensor(arrays["image_0"])
    with paddle.no_grad():
        disp = predictor.model({"color_aug/0/0": images})["disp/0"].numpy()
        expected = arrays["r18_disp0"]
        assert np.linalg.norm(disp - expected) <= 1e-4 * np.linalg.norm(expected)
        networks = build()
        load_weights(released, networks, ("pose_encoder", "pose"))
        for role in ("pose_encoder", "pose"):
            networks[role].eval()
        pair = paddle.concat([as_tensor(arrays["image_m1"]), images], axis=1)
        motion = networks["pose"]([networks["pose_encoder"](pair)[-1]])
    for value, name in zip(motion, ("pose_axisangle", "pose_translation"), strict=True):
        np.testing.assert_allclose(value.numpy(), arrays[name].squeeze(2), rtol=1e-4, atol=1e-7)
