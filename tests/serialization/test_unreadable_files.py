"""Test files and folders without read permission, and JSON files that are not what they should be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import WeightsError
from inference.export.exported_folder import read_info
from serialization.checkpoint import read_state
from serialization.weights_folder import WeightsInfo, read_weights_info

ROOT = Path(__file__).resolve().parents[2]
INFO = {"height": 96, "width": 320, "use_stereo": True}
EXPORT = {
    **{"formats": ["paddle"], "height": 96, "width": 320, "min_depth": 0.1, "max_depth": 100.0, "scale": None},
    **{"bare": False, "fp16": False, "weights": "12345678", "model": None},
}
STATE = {
    **{"step": 1, "epoch": 0, "samples_done": 4, "samples": 8, "best": None, "schedule": {}, "compiled": False},
    **{"kernels": False, "loss_scale": None, "seconds": {"train": 1.5}},
}
READERS = {
    "weights.json": (read_weights_info, INFO),
    "export.json": (read_info, EXPORT),
    "state.json": (read_state, STATE),
}
# As root, drop the right to read everything: the test's folder then belongs to another user.
DENIED = """
import os, sys
from pathlib import Path
from common.errors import UserError
from inference.export.exported_folder import read_info
from serialization.backbone import find_backbone, read_backbone
from serialization.checkpoint import check_checkpoint, read_state
from serialization.depth_npz import read_gt_depths
from serialization.formats import READERS, read_arrays
from serialization.manifest import check_manifest
from serialization.weights_folder import read_weights, read_weights_info

folder = Path(sys.argv[1])
calls = [
    read_info, check_checkpoint, read_state, check_manifest, read_weights_info,
    lambda path: read_weights(path, ["encoder"]),
    lambda path: find_backbone(str(path / "b"), "resnet18"),
    lambda path: read_gt_depths(path / "gt_depths.npz"),
    *(lambda path, ending=ending: read_arrays(path / f"w{ending}") for ending in READERS),
]
if os.geteuid() == 0:
    os.seteuid(65534)
for call in calls:
    try:
        call(folder)
    except UserError as error:
        assert "cannot be read: Permission denied" in str(error), error
    else:
        raise SystemExit(f"{call} found nothing")
print("Done.")
"""


def test_missing_permission_is_reported(tmp_path):
    folder = tmp_path / "denied"
    folder.mkdir()
    folder.chmod(0)
    try:
        done = subprocess.run([sys.executable, "-c", DENIED, str(folder)], cwd=ROOT, capture_output=True, text=True)
    finally:
        folder.chmod(0o700)
    assert done.stdout == "Done.\n", done.stderr[-2000:]


@pytest.mark.parametrize("name", READERS)
def test_byte_order_mark_is_accepted(tmp_path, name):
    read, content = READERS[name]
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8-sig")
    found = read(tmp_path)
    assert {key: getattr(found, key) for key in INFO if key in content} == {
        k: v for k, v in INFO.items() if k in content
    }


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe{\0}\0",
        b"[" * 100_000,
        b"1" * 5000,
        b'"\x1b[31m"',
        b"null",
        b"[]",
        b"{}",
        b" " * (17 << 20),
    ],
    ids=["empty", "utf-16", "nested", "digits", "control", "null", "list", "object", "long"],
)
def test_other_content_is_rejected_briefly(tmp_path, name, raw):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(WeightsError, match=name) as caught:
        READERS[name][0](tmp_path)
    assert len(str(caught.value)) < 700 and str(caught.value).isprintable()


@pytest.mark.parametrize("name", READERS)
def test_pipe_is_rejected(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(WeightsError, match=rf"{name}' is a pipe or a device"):
        READERS[name][0](tmp_path)


VALUES = [None, True, -1, 10**400, 1e9, float("nan"), float("inf"), "a\x1b" * 10_000, [[]] * 10_000, {"a": 1}]


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, (_, content) in READERS.items() for key in content])
def test_values_of_another_type_are_rejected_briefly_or_kept(tmp_path, name, key):
    """Some values are valid for some keys, for example any text for the checksum of the weights."""
    read, content = READERS[name]
    for value in VALUES:
        (tmp_path / name).write_text(json.dumps({**content, key: value}))
        try:
            found = read(tmp_path)
        except WeightsError as error:
            assert key in str(error) and len(str(error)) < 700 and str(error).isprintable()
        else:
            assert type(value) is type(content[key]) or content[key] is None or isinstance(content[key], float)
            assert getattr(found, key) == value or value != value


@pytest.mark.parametrize("size", [(10**9, 10**9), (100, 320), (96, 8), (96, 32 << 20), (-96, -320), (96.0, 320)])
@pytest.mark.parametrize("name", ["weights.json", "export.json"])
def test_impossible_input_sizes_are_rejected(tmp_path, name, size):
    read, content = READERS[name]
    (tmp_path / name).write_text(json.dumps({**content, "height": size[0], "width": size[1]}))
    with pytest.raises(WeightsError, match=rf"{name}.* height"):
        read(tmp_path)


def test_large_and_valid_sizes_are_accepted(tmp_path):
    (tmp_path / "weights.json").write_text(json.dumps({**INFO, "height": 4096, "width": 4096}))
    assert read_weights_info(tmp_path) == WeightsInfo(4096, 4096, use_stereo=True)
