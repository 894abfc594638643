"""Published weights by name, served by a local server: whole, interrupted, damaged, hostile."""

import dataclasses
import hashlib
import io
import json
import multiprocessing
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_bytes
from faulty_server import cut_after

from common.errors import UserError, WeightsError
from serialization import weights_download
from serialization.backbone import find_backbone
from serialization.published_weights import PUBLISHED, SHIPPED_WEIGHTS, PublishedWeights
from serialization.weights_download import default_weights, find_published, get_published, resolve_weights
from serialization.weights_folder import read_weights, read_weights_info

pytestmark = pytest.mark.usefixtures("short_pauses")

NAME = "mono_640x192"
FILE = f"{NAME}.zip"


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def released(**more: bytes) -> dict[str, bytes]:
    """Return the members of an archive in the layout of the released ones, with incompressible content."""
    noise = np.random.default_rng(0).bytes(200_000)
    files = {f"{NAME}/{role}.pth": noise + role.encode() for role in ("encoder", "depth", "pose_encoder", "pose")}
    return {f"{NAME}/": b"", **files, f"{NAME}/poses.npy": b"other", **more}


@pytest.fixture
def publish(server, monkeypatch):
    """A function that serves a file as that of a name, by default with its MD5."""

    def serve(content: bytes, name: str = NAME, **changes) -> None:
        (server.root / FILE).write_bytes(content)
        facts = {"url": f"{server.url}/{FILE}", "licence": "a licence", "md5": hashlib.md5(content).hexdigest()}
        monkeypatch.setitem(PUBLISHED, name, PublishedWeights(**{**facts, **changes}))

    return serve


def test_the_table_contains_the_published_facts():
    """Every name, address, MD5 and licence of the list of facts, if it is there."""
    facts = Path(os.environ.get("SHARED_DIR", Path(__file__).resolve().parents[3] / "shared")) / "released_weights.json"
    if not facts.is_file():
        pytest.skip(f"{facts} not found")
    content = json.loads(facts.read_text())
    expected = {name: (entry["url"], entry["md5"], entry["licence"]) for name, entry in content.items()}
    found = {name: (p.url, p.md5, p.licence) for name, p in PUBLISHED.items() if not p.sha256}  # torchvision's has one
    assert found == expected


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("mono+stereo_640x192", "/research/monodepth2/mono%2Bstereo_640x192.zip"),
        ("lite-mono_640x192", "https://surfdrive.surf.nl/files/index.php/s/CUjiK221EFLyXDY/download"),
        ("resnet18_backbone_paddle", "download?id=1iVnt_6I0u2U4wo1ZeG1Iy2DvZ1Ltn-2l&export=download&confirm=t"),
    ],
)
def test_address_of_the_file(name, address):
    assert "/".join(PUBLISHED[name].download).endswith(address)


def test_an_archive_becomes_a_weights_folder_once(publish, server, tmp_path, capsys):
    members = released()
    publish(zipped(members))
    folder = get_published(NAME, tmp_path)
    assert folder == tmp_path / NAME
    names = {"encoder.pth", "depth.pth", "pose_encoder.pth", "pose.pth"}
    assert {path.name for path in folder.iterdir()} == {*names, "manifest.json"}
    assert all((folder / name).read_bytes() == members[f"{NAME}/{name}"] for name in names)
    printed = capsys.readouterr().out
    assert "Licence of these weights: a licence" in printed and f"{server.url}/{FILE}" in printed
    assert [path.name for path in (tmp_path / ".downloads" / NAME).iterdir()] == ["lock"]
    server.requests.clear()
    assert get_published(NAME, tmp_path) == find_published(NAME, tmp_path) == folder
    assert not server.requests and capsys.readouterr().out == ""


def test_the_files_are_read_by_the_safe_reader(publish, tmp_path):
    arrays = {"weight": np.arange(6, dtype="float32").reshape(2, 3)}
    size = {"height": torch_bytes.number(192), "width": torch_bytes.number(640), "use_stereo": b"\x88"}
    encoder = torch_bytes.write_state_dict(tmp_path / "encoder", arrays, **size).read_bytes()
    depth = torch_bytes.write_state_dict(tmp_path / "depth", arrays).read_bytes()
    publish(zipped({"encoder.pth": encoder, "depth.pth": depth}))
    folder = get_published(NAME, tmp_path)
    info = read_weights_info(folder)
    assert (info.height, info.width, info.use_stereo) == (192, 640, True)
    assert read_weights(folder, ["depth"])["depth"][1]["weight"].shape == (3, 2)


def test_an_interrupted_download_is_resumed(publish, server, tmp_path):
    content = zipped(released())
    publish(content)
    server.faults[FILE] = [cut_after(200_000), 503, 503, 503]
    with pytest.raises(WeightsError, match=r"the download failed: .*run the same command again to resume"):
        get_published(NAME, tmp_path)
    part = tmp_path / ".downloads" / NAME / "file.part"
    held = part.stat().st_size
    assert 0 < held < len(content) and find_published(NAME, tmp_path) is None
    server.requests.clear()
    assert get_published(NAME, tmp_path).is_dir()
    assert [asked for method, _, asked in server.requests if method == "GET"] == [f"bytes={held}-"]


@pytest.mark.parametrize("is_right", [True, False])
def test_an_encoder_is_initialised_from_its_publishers_file(publish, tmp_path, is_right):
    """Its hash is checked; a wrong file is not kept."""
    content = b"\x80\x02weights"
    digest = hashlib.sha256(content if is_right else b"others").hexdigest()[:8]
    publish(content, "convnext_tiny_imagenet", md5=None, sha256=digest, backbone=True)
    if is_right:
        path = find_backbone("pretrained", "convnext_tiny", tmp_path)
        assert path == tmp_path / "convnext_tiny_imagenet.pth" and path.read_bytes() == content
    else:
        with pytest.raises(WeightsError, match=rf"SHA-256 is .*, expected {digest}.*--weights_init scratch"):
            find_backbone("pretrained", "convnext_tiny", tmp_path)
        assert not list(tmp_path.glob("*.*th"))


@pytest.mark.parametrize(
    ("content", "changes", "words"),
    [
        pytest.param(zipped(released()), {"md5": "0" * 32}, r"its MD5 is [0-9a-f]{32}, expected 0{32}", id="md5"),
        pytest.param(zipped(released())[:-300], {}, "is damaged or truncated", id="truncated"),
        pytest.param(zipped(released()).replace(b"\x42", b"\x43"), {}, "'file' is damaged|cannot be read", id="crc"),
        pytest.param(b"\n<!DOCTYPE html><html>", {"md5": None}, "sent a web page instead of a file", id="page"),
        pytest.param(zipped({"a/encoder.pth": b"1"}), {}, r"no depth\.pdparams.*found: a/encoder\.pth", id="missing"),
        pytest.param(zipped({}), {}, "found: nothing", id="empty"),
        pytest.param(
            zipped(released(**{"b/depth.pth": b"1"})), {}, "depth.pth and b/depth.pth, expected one", id="twice"
        ),
        *(
            pytest.param(zipped(released(**{path: b"1"})), {}, "unsafe: its member", id=path)
            for path in ("../encoder.pth", "/tmp/pose.pth", "a/../../pose.pth", "C:\\pose.pth", "..\\pose.pth")
        ),
    ],
)
def test_damaged_archives_are_deleted_and_nothing_is_kept(publish, server, tmp_path, content, changes, words):
    publish(content, **changes)
    with pytest.raises(WeightsError, match=words) as error:
        get_published(NAME, tmp_path)
    assert "The download was deleted. Run the same command again, or open http://" in str(error.value)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and server.root not in path.parents] == ["lock"]
    publish(zipped(released()))  # repaired
    assert get_published(NAME, tmp_path).is_dir()


def test_sizes_are_limited(publish, tmp_path, monkeypatch):
    bomb = zipped({"encoder.pth": b"\0" * 300_000, "depth.pth": b"1"})
    publish(bomb)
    monkeypatch.setattr(weights_download, "LARGEST", 200_000)
    with pytest.raises(WeightsError, match="unpacks to 0 MB, expected at most 0 MB"):
        get_published(NAME, tmp_path)
    monkeypatch.setattr(weights_download, "LARGEST", len(bomb) - 1)
    with pytest.raises(WeightsError, match="has 0 MB, expected at most 0 MB"):
        get_published(NAME, tmp_path)
    assert find_published(NAME, tmp_path) is None


def test_without_a_connection_the_message_says_what_to_fetch_and_where_to_put_it(publish, tmp_path):
    content = zipped(released())
    publish(content, url="http://127.0.0.1:9/x.zip")  # the discard port, where nothing listens
    with pytest.raises(WeightsError) as error:
        get_published(NAME, tmp_path)
    for words in ("refused", "open http://127.0.0.1:9/x.zip in a browser", f"'{tmp_path / NAME}.zip'", "or unpack it"):
        assert words in str(error.value)
    (tmp_path / FILE).write_bytes(content)
    assert get_published(NAME, tmp_path).is_dir() and (tmp_path / FILE).is_file()


def test_without_a_connection_the_shipped_weights_predict(publish, server, tmp_path, capsys):
    publish(b"", url=f"{server.url}/absent.zip")
    with pytest.raises(WeightsError, match="the download failed"):
        default_weights(tmp_path)
    (tmp_path / SHIPPED_WEIGHTS).mkdir()
    assert default_weights(tmp_path) == resolve_weights(SHIPPED_WEIGHTS, tmp_path) == str(tmp_path / SHIPPED_WEIGHTS)
    out = capsys.readouterr().out
    assert "the download failed" in out
    assert f"Predicting with '{tmp_path / SHIPPED_WEIGHTS}' instead: trained on rendered streets" in out


def test_a_damaged_archive_of_the_user_is_kept(publish, tmp_path):
    publish(b"")
    (tmp_path / FILE).write_bytes(b"PK no")
    with pytest.raises(WeightsError, match=re.escape(f"'{tmp_path / FILE}' is damaged")) as error:
        get_published(NAME, tmp_path)
    assert "deleted" not in str(error.value) and (tmp_path / FILE).is_file()


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        (b"\x89HDF\r\n\x1a\n" + b"x" * 20, ".h5"),
        (b"\x80\x02" + b"x" * 20, ".pth"),
        (zipped({"archive/data.pkl": b"x"}), ".pth"),
        (zipped({"some/lite-mono.pth": b"x", "some/readme.txt": b"x"}), ".pth"),
    ],
)
def test_an_encoders_initialisation_is_one_file(publish, tmp_path, content, ending):
    publish(content, backbone=True)
    path = get_published(NAME, tmp_path)
    assert path == tmp_path / f"{NAME}{ending}" == find_published(NAME, tmp_path)
    assert path.read_bytes() in (content, b"x")
    with pytest.raises(WeightsError, match=f"initialisation of an encoder.*get_weights.py {NAME}.*--weights_init"):
        resolve_weights(NAME, tmp_path)


def test_an_archive_of_several_files_is_no_initialisation(publish, tmp_path):
    publish(zipped({"a.pth": b"x", "b.pth": b"x"}), backbone=True)
    with pytest.raises(WeightsError, match=r"should contain one .*\.pth.* file, found: a\.pth, b\.pth"):
        get_published(NAME, tmp_path)


def test_a_local_folder_has_precedence(publish, server, tmp_path, monkeypatch):
    publish(zipped(released()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir()
    assert resolve_weights(NAME, tmp_path / "weights") == NAME
    assert resolve_weights("some/folder", tmp_path / "weights") == "some/folder"
    assert not server.requests
    (tmp_path / NAME).rmdir()
    assert resolve_weights(NAME, tmp_path / "weights") == str(tmp_path / "weights" / NAME)


def test_a_mistyped_name_suggests_the_nearest():
    with pytest.raises(
        WeightsError, match=r"'mono_640x129' not found\. The nearest published weights are mono_640x192"
    ):
        read_weights_info(resolve_weights("mono_640x129"))
    with pytest.raises(
        WeightsError, match=r"'logs/run/models' not found\. Pass a weights folder, .* tools/get_weights\.py --list\."
    ):
        read_weights_info(resolve_weights("logs/run/models"))


def _get(name: str, facts: dict, folder: Path) -> None:
    PUBLISHED[name] = PublishedWeights(**facts)
    get_published(name, folder)


def test_of_two_processes_one_downloads(publish, server, tmp_path, monkeypatch):
    monkeypatch.setattr(weights_download, "_POLL", 0.05)
    publish(zipped(released()))
    facts = dataclasses.asdict(PUBLISHED[NAME])
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_get, args=(NAME, facts, tmp_path)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0, 0]
    assert sum(method == "GET" for method, *_ in server.requests) == 1
    assert find_published(NAME, tmp_path)


def test_a_folder_that_cannot_be_written_is_reported(publish, tmp_path):
    publish(zipped(released()))
    (tmp_path / "weights").write_text("in the way")
    with pytest.raises(UserError, match="weights"):
        get_published(NAME, tmp_path / "weights")


def test_listing_needs_neither_paddle_nor_a_connection():
    code = (
        "import sys, runpy; sys.argv = ['get_weights.py', '--list']\n"
        "runpy.run_path('tools/get_weights.py', run_name='__main__')\n"
        "print('paddle' in sys.modules, 'requests' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "False False"
    assert {line.split()[0] for line in lines[1:-2]} == set(PUBLISHED)
    assert "mono_640x192                 0.115    Monodepth2's own, non-commercial" in lines
