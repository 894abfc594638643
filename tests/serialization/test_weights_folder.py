"""Folders of weights: written as a whole, read by role, in released form too."""

import json

import numpy as np
import paddle
import pytest
from paddle import nn

from errors import WeightsError
from networks.build import build_networks
from serialization.pdparams import write_pdparams
from serialization.weights_folder import WeightsInfo, load_weights, read_weights_info, save_weights

INFO = {"height": 96, "width": 320, "use_stereo": True}


def small_networks(seed):
    paddle.seed(seed)
    return {"encoder": nn.Conv2D(3, 4, 3), "depth": nn.Linear(4, 1)}


def assert_same(networks, others):
    for role, network in networks.items():
        for name, value in network.state_dict().items():
            np.testing.assert_array_equal(value.numpy(), others[role].state_dict()[name].numpy())


def test_round_trip(tmp_path):
    folder, networks, others = tmp_path / "models" / "weights_0", small_networks(0), small_networks(1)
    save_weights(folder, networks, INFO)
    assert sorted(path.name for path in folder.iterdir()) == [
        "depth.pdparams",
        "encoder.pdparams",
        "manifest.json",
        "weights.json",
    ]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["weights_0"]
    assert json.loads((folder / "weights.json").read_text()) == INFO
    assert read_weights_info(folder) == WeightsInfo(height=96, width=320, use_stereo=True)
    reports = load_weights(folder, others, ("encoder", "depth"))
    assert_same(networks, others)
    assert reports["depth"].matched == ("weight", "bias")


def test_paddle_loads_what_was_saved(tmp_path):
    networks = small_networks(0)
    save_weights(tmp_path / "w", networks, INFO)
    state = paddle.load(str(tmp_path / "w" / "encoder.pdparams"))
    np.testing.assert_array_equal(state["weight"].numpy(), networks["encoder"].weight.numpy())


def test_only_the_roles_asked_for(tmp_path):
    save_weights(tmp_path, small_networks(0), INFO)
    (tmp_path / "depth.pdparams").write_bytes(b"damaged")
    networks, untouched = small_networks(1), small_networks(1)
    load_weights(tmp_path, networks, ["encoder"])
    assert_same({"depth": untouched["depth"]}, networks)
    with pytest.raises(WeightsError, match=r"depth\.pdparams holds 7 bytes where manifest\.json expects \d+"):
        load_weights(tmp_path, networks, ["depth"])
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(WeightsError, match=r"depth\.pdparams cannot be read"):
        load_weights(tmp_path, networks, ["depth"])


def test_what_has_changed_since_it_was_saved_is_refused(tmp_path):
    save_weights(tmp_path, small_networks(0), INFO)
    path = tmp_path / "encoder.pdparams"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1  # one bit of one weight: the format itself would not notice
    path.write_bytes(content)
    networks, before = small_networks(1), small_networks(1)
    with pytest.raises(WeightsError, match=r"encoder\.pdparams has changed since it was written"):
        load_weights(tmp_path, networks, ("depth", "encoder"))
    assert_same(before, networks)
    (tmp_path / "weights.json").unlink()
    with pytest.raises(WeightsError, match=r"weights\.json is listed in manifest\.json and cannot be read"):
        read_weights_info(tmp_path)


def test_saving_again_replaces_and_a_killed_save_is_overcome(tmp_path):
    folder, networks = tmp_path / "weights_best", small_networks(1)
    save_weights(folder, small_networks(0), INFO)
    save_weights(folder, {"encoder": networks["encoder"]}, {**INFO, "height": 192})
    assert read_weights_info(folder).height == 192 and not (folder / "depth.pdparams").exists()
    folder.rename(tmp_path / ".weights_best.old")  # as a kill between the two renames leaves it
    others = small_networks(2)
    load_weights(folder, others, ("encoder",))
    assert_same({"encoder": networks["encoder"]}, others)
    assert read_weights_info(folder).height == 192


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(WeightsError, match="something else than weights"):
        save_weights(tmp_path, small_networks(0), INFO)
    assert (tmp_path / "thesis.tex").exists()


def test_missing_files_and_roles_are_named(tmp_path):
    networks = small_networks(0)
    with pytest.raises(WeightsError, match=r"no folder of weights at .*absent"):
        load_weights(tmp_path / "absent", networks, ("encoder",))
    save_weights(tmp_path, networks, INFO)
    with pytest.raises(
        WeightsError,
        match=r"no pose\.pdparams, \.safetensors or \.pth; it holds: depth.pdparams, encoder.pdparams, manifest.json, ",
    ):
        load_weights(tmp_path, {**networks, "pose": nn.Linear(1, 1)}, ("encoder", "pose"))
    with pytest.raises(WeightsError, match="no network 'pose' to load into; there are: encoder, depth"):
        load_weights(tmp_path, networks, ("pose",))


def test_information_is_checked(tmp_path):
    assert read_weights_info(tmp_path) is None
    path = tmp_path / "weights.json"
    for text in ("", "{", "[]", "\x00", '{"height": 192}', json.dumps({**INFO, "width": "640"})):
        path.write_text(text)
        with pytest.raises(WeightsError, match=r"weights\.json"):
            read_weights_info(tmp_path)
    for wrong in ({"height": 96}, {**INFO, "height": 0}, {**INFO, "use_stereo": 1}):
        with pytest.raises(WeightsError, match="height and width"):
            save_weights(tmp_path / "new", small_networks(0), wrong)
    path.write_text(json.dumps({**INFO, "epoch": 3}))
    assert read_weights_info(tmp_path) == WeightsInfo(**INFO)


def test_released_checkpoints_load_as_they_are(reference_dir, tmp_path):
    layout_file = reference_dir / "released_checkpoint_layout.json"
    if not layout_file.is_file():
        pytest.skip(f"{layout_file} is absent")
    layout = json.loads(layout_file.read_text())
    random = np.random.default_rng(0)
    for role, shapes in layout.items():
        arrays = {name: random.random(shape, dtype=np.float32) for name, shape in shapes.items()}
        write_pdparams(tmp_path / f"{role}.pdparams", arrays)
    networks = build_networks(
        num_layers=18,
        num_frames=3,
        scales=(0, 1, 2, 3),
        pose_model_type="separate_resnet",
        pose_model_input="pairs",
        num_masks=0,
    )
    for role, report in load_weights(tmp_path, networks, tuple(layout)).items():
        assert report.missing == report.unexpected == ()
        assert set(report.matched) == {name for name in layout[role] if ".fc." not in name}
    assert read_weights_info(tmp_path) is None
