"""Test weights folders: atomic writing, reading by role, released folders."""

import json

import numpy as np
import paddle
import pytest
from paddle import nn
from torch_bytes import number, state_dict, storage, tensor, text, write_stream, write_zip

from common.errors import WeightsError
from serialization.manifest import check_manifest
from serialization.pdparams import write_pdparams
from serialization.safetensors_file import write_safetensors
from serialization.weights_folder import (
    WeightsInfo,
    load_weights,
    read_weights,
    read_weights_info,
    replace_weights_info,
    save_weights,
)

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


@pytest.mark.parametrize("given", ["", "models"])
@pytest.mark.parametrize("best", [True, False])
def test_run_folder_suggests_its_weights(tmp_path, given, best):
    run = tmp_path / "run"
    for name in ("weights_0", "weights_1", *(["weights_best"] if best else [])):
        save_weights(run / "models" / name, small_networks(0), INFO)
    expected = run / "models" / ("weights_best" if best else "weights_1")
    for read in (read_weights_info, lambda folder: read_weights(folder, ["encoder"])):
        with pytest.raises(WeightsError, match=r"folder of a run.*weights folders.*Pass ") as error:
            read(run / given)
        assert str(error.value).endswith(f"'{expected}'.")


def test_paddle_loads_saved_files(tmp_path):
    networks = small_networks(0)
    save_weights(tmp_path / "w", networks, INFO)
    state = paddle.load(str(tmp_path / "w" / "encoder.pdparams"))
    np.testing.assert_array_equal(state["weight"].numpy(), networks["encoder"].weight.numpy())


def test_loads_only_the_requested_roles(tmp_path):
    save_weights(tmp_path, small_networks(0), INFO)
    (tmp_path / "depth.pdparams").write_bytes(b"damaged")
    networks, untouched = small_networks(1), small_networks(1)
    load_weights(tmp_path, networks, ["encoder"])
    assert_same({"depth": untouched["depth"]}, networks)
    with pytest.raises(WeightsError, match=r"depth\.pdparams' has 7 bytes, manifest\.json expects \d+"):
        load_weights(tmp_path, networks, ["depth"])
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(WeightsError, match=r"depth\.pdparams' cannot be read"):
        load_weights(tmp_path, networks, ["depth"])


def test_changed_files_are_rejected(tmp_path):
    save_weights(tmp_path, small_networks(0), INFO)
    path = tmp_path / "encoder.pdparams"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1  # one bit of one weight: the format has no checksum
    path.write_bytes(content)
    networks, before = small_networks(1), small_networks(1)
    with pytest.raises(WeightsError, match=r"encoder\.pdparams' has changed"):
        load_weights(tmp_path, networks, ("depth", "encoder"))
    assert_same(before, networks)
    (tmp_path / "weights.json").unlink()
    with pytest.raises(WeightsError, match=r"weights\.json' is listed in manifest\.json but cannot be read"):
        read_weights_info(tmp_path)


def test_saving_again_replaces_the_folder_even_after_a_killed_save(tmp_path):
    folder, networks = tmp_path / "weights_best", small_networks(1)
    save_weights(folder, small_networks(0), INFO)
    save_weights(folder, {"encoder": networks["encoder"]}, {**INFO, "height": 192})
    assert read_weights_info(folder).height == 192 and not (folder / "depth.pdparams").exists()
    folder.rename(tmp_path / ".weights_best.old")  # state after a kill between the two renames
    others = small_networks(2)
    load_weights(folder, others, ("encoder",))
    assert_same({"encoder": networks["encoder"]}, others)
    assert read_weights_info(folder).height == 192


def test_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(WeightsError, match="is not replaced"):
        save_weights(tmp_path, small_networks(0), INFO)
    assert (tmp_path / "thesis.tex").exists()


def test_error_names_missing_files_and_roles(tmp_path):
    networks = small_networks(0)
    with pytest.raises(WeightsError, match=r"absent' not found"):
        load_weights(tmp_path / "absent", networks, ("encoder",))
    save_weights(tmp_path, networks, INFO)
    with pytest.raises(
        WeightsError,
        match=r"no pose\.pdparams, \.safetensors or \.pth.*depth\.pdparams, encoder\.pdparams, manifest\.json, ",
    ):
        load_weights(tmp_path, {**networks, "pose": nn.Linear(1, 1)}, ("encoder", "pose"))
    with pytest.raises(WeightsError, match=r"'pose'.*: encoder, depth"):
        load_weights(tmp_path, networks, ("pose",))


def test_invalid_info_is_rejected(tmp_path):
    assert read_weights_info(tmp_path) is None
    path = tmp_path / "weights.json"
    for content in ("", "{", "[]", "\x00", '{"height": 192}', json.dumps({**INFO, "width": "640"})):
        path.write_text(content)
        with pytest.raises(WeightsError, match=r"weights\.json"):
            read_weights_info(tmp_path)
    for wrong, key in (
        ({"height": 96}, "height"),
        ({**INFO, "height": 0}, "height"),
        ({**INFO, "use_stereo": 1}, "use_"),
    ):
        with pytest.raises(WeightsError, match=f"got {key}"):
            save_weights(tmp_path / "new", small_networks(0), wrong)
    path.write_text(json.dumps({**INFO, "epoch": 3}))
    assert read_weights_info(tmp_path) == WeightsInfo(**INFO)


def test_reads_every_format_but_not_two_for_one_network(tmp_path):
    networks, others = small_networks(0), small_networks(1)
    arrays = {role: {k: v.numpy() for k, v in network.state_dict().items()} for role, network in networks.items()}
    write_safetensors(tmp_path / "encoder.safetensors", arrays["encoder"])
    write_pdparams(tmp_path / "depth.pdparams", arrays["depth"])
    reports = load_weights(tmp_path, others, ("encoder", "depth"))
    assert_same(networks, others)
    assert reports["encoder"].source == str(tmp_path / "encoder.safetensors")
    write_zip(tmp_path / "encoder.pth", state_dict(weight=tensor(storage())))
    with pytest.raises(WeightsError, match=r"encoder\.safetensors and encoder\.pth"):
        load_weights(tmp_path, others, ("encoder",))
    load_weights(tmp_path, others, ("depth",))


@pytest.mark.parametrize("write", [write_zip, write_stream])
def test_loads_a_folder_of_the_original(tmp_path, write):
    """The weights are ``.pth`` files; the encoder's file contains the size."""
    size = {"height": number(320), "width": number(1024), "use_stereo": b"\x88"}
    write(tmp_path / "encoder.pth", state_dict(weight=tensor(storage(), (1, 6, 1, 1), (6, 1, 1, 1)), **size))
    write(tmp_path / "depth.pth", state_dict(weight=tensor(storage(), (2, 3, 1), (3, 1, 1))))
    networks = {"encoder": nn.Conv2D(6, 1, 1, bias_attr=False), "depth": nn.Conv2D(3, 2, 1)}
    with pytest.raises(WeightsError, match=r"weight: \(2, 3, 1\) in the file, \(2, 3, 1, 1\) in the network"):
        load_weights(tmp_path, networks, ("depth",))
    reports = load_weights(tmp_path, networks, ("encoder",))
    assert networks["encoder"].weight.numpy().ravel().tolist() == [0, 1, 2, 3, 4, 5]
    assert reports["encoder"].unexpected == ()
    assert read_weights_info(tmp_path) == WeightsInfo(height=320, width=1024, use_stereo=True)
    (tmp_path / "weights.json").write_text(json.dumps(INFO))
    assert read_weights_info(tmp_path) == WeightsInfo(**INFO)


def test_invalid_size_in_the_encoder_file_is_rejected(tmp_path):
    path = tmp_path / "encoder.pth"
    write_zip(path, state_dict(weight=tensor(storage())))
    assert read_weights_info(tmp_path) is None
    write_zip(path, state_dict(weight=tensor(storage()), height=number(192), width=number(640)))
    assert read_weights_info(tmp_path) == WeightsInfo(height=192, width=640, use_stereo=False)
    for wrong in (number(0), number(-192), text("192"), b"N", b"]", number(100), number(1 << 40), number(1 << 60)):
        write_zip(path, state_dict(weight=tensor(storage()), height=wrong, width=number(640)))
        with pytest.raises(WeightsError, match=r"encoder\.pth' .*positive height and width, multiples of 32"):
            read_weights_info(tmp_path)


def test_known_scale_and_camera_are_kept(tmp_path):
    known = {**INFO, "metres_per_unit": 2.5, "intrinsics": (60.0, 50.0, -1.5, 30.0)}
    save_weights(tmp_path, small_networks(0), {**INFO, "metres_per_unit": None, "intrinsics": None})
    assert json.loads((tmp_path / "weights.json").read_text()) == INFO
    replace_weights_info(tmp_path, WeightsInfo(**known))
    assert read_weights_info(tmp_path) == WeightsInfo(**known)
    assert check_manifest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("weights")) == ["weights.json"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("metres_per_unit", value) for value in (0, -1.0, "2", True, [2.0], float("nan"))),
        *(
            ("intrinsics", value)
            for value in (1.0, [], [60.0, 50.0, 48.0], [0, 50.0, 48.0, 32.0], [60.0, 50.0, "a", 1])
        ),
    ],
)
def test_invalid_scale_and_camera_are_rejected(tmp_path, name, value):
    (tmp_path / "weights.json").write_text(json.dumps({**INFO, name: value}))
    with pytest.raises(WeightsError, match=f"got {name} "):
        read_weights_info(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_info_with_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "weights.json").write_bytes(json.dumps(INFO).encode(encoding))
    assert read_weights_info(tmp_path).as_dict() == INFO
