"""Test both formats of exported ground truth; no file content is executed."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from common.errors import DataError
from serialization.depth_npz import read_gt_depths, write_gt_depths

DEPTHS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((4, 5), np.float32)]


class RunsACommand:
    def __reduce__(self):
        return os.system, ("echo executed > EXECUTED",)


def save_community(path, depths, **options):
    ragged = np.empty(len(depths), object)
    for i, depth in enumerate(depths):
        ragged[i] = depth
    np.savez_compressed(path, data=ragged, **options)


def assert_depths(file, depths):
    assert len(file.depths) == len(depths)
    for loaded, expected in zip(file.depths, depths, strict=True):
        assert loaded.dtype == np.float32
        np.testing.assert_array_equal(loaded, expected)


def reference_file(reference_dir, name):
    path = reference_dir / "files" / name
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return path


def test_original_format_is_read_exactly(reference_dir, load_reference):
    path = reference_file(reference_dir, "gt_depths_community.npz")
    expected = load_reference("files/gt_depths_expected.npz")
    file = read_gt_depths(path)
    assert_depths(file, [expected[str(i)] for i in range(len(expected))])
    assert (file.kind, file.axis) == (None, None)


def test_malicious_file_executes_nothing(reference_dir, tmp_path, monkeypatch):
    path = reference_file(reference_dir, "gt_depths_hostile.npz")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"gt_depths_hostile\.npz' refers to posix\.system"):
        read_gt_depths(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["data", "0", "kind"])
def test_malicious_entries_execute_nothing(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    hostile = np.empty(2, object)
    hostile[0], hostile[1] = DEPTHS[0], RunsACommand()
    np.savez("gt_depths.npz", **{"0": DEPTHS[0], key: hostile})
    with pytest.raises(DataError, match=r"refers to (posix|nt)\.system"):
        list(read_gt_depths(tmp_path / "gt_depths.npz").depths)
    assert [path.name for path in tmp_path.iterdir()] == ["gt_depths.npz"]


def test_own_format_round_trip(tmp_path):
    path = tmp_path / "gt_depths.npz"
    numbered = {str(i): depth for i, depth in enumerate(DEPTHS * 6)}  # more than ten: numeric order
    np.savez_compressed(path, **numbered, kind="improved", axis="camera")
    file = read_gt_depths(path)
    assert_depths(file, DEPTHS * 6)
    assert (file.kind, file.axis) == ("improved", "camera")


def test_written_file_contains_plain_arrays(tmp_path):
    path = tmp_path / "new" / "gt_depths.npz"
    sparse = np.zeros((400, 500), np.float32)
    sparse[7, 9] = 12.25
    write_gt_depths(path, iter([*DEPTHS * 6, sparse]), "lidar", "legacy")
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays) == {*map(str, range(13)), "kind", "axis"}
        assert (arrays["kind"], arrays["axis"]) == ("lidar", "legacy")
        np.testing.assert_array_equal(arrays["10"], DEPTHS[0])
        np.testing.assert_array_equal(arrays["12"], sparse)
        assert arrays["12"].dtype == np.float32
    assert path.stat().st_size < sparse.nbytes / 50
    file = read_gt_depths(path)
    assert_depths(file, [*DEPTHS * 6, sparse])
    assert (file.kind, file.axis) == ("lidar", "legacy")


def test_failed_write_keeps_the_old_file(tmp_path):
    def fails():
        yield DEPTHS[0]
        raise DataError("a scan is damaged")

    path = tmp_path / "gt_depths.npz"
    path.write_bytes(b"old")
    with pytest.raises(DataError, match="a scan is damaged"):
        write_gt_depths(path, fails(), "lidar", "legacy")
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_variants_of_the_original_format(tmp_path):
    path = tmp_path / "gt_depths.npz"
    save_community(path, [depth.astype(np.float64) for depth in DEPTHS])
    assert_depths(read_gt_depths(path), DEPTHS)
    np.savez(path, data=np.stack([DEPTHS[0]] * 3))  # all of equal size
    assert_depths(read_gt_depths(path), [DEPTHS[0]] * 3)
    np.savez(path, data=np.stack([DEPTHS[0]] * 3).astype(object))
    assert_depths(read_gt_depths(path), [DEPTHS[0]] * 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"0": DEPTHS[0], "2": DEPTHS[0]}, "array '1' not found among '0', '2'"),
        ({"depth": DEPTHS[0]}, "array '0' not found"),
        ({"0": DEPTHS[0][0]}, r"entry 0 of shape \(3,\) is not a depth map"),
        ({"0": DEPTHS[0] * np.nan}, "entry 0 .* is not a depth map"),
        ({"0": DEPTHS[0], "kind": "radar"}, "'radar'.* lidar, improved"),
        ({"0": DEPTHS[0], "axis": "x"}, "'x'.* legacy, camera"),
        ({"data": np.array(["a", None], object)}, "entry 0 of type str is not a depth map"),
        ({"data": np.array(3.0)}, "cannot be read as exported ground truth"),
    ],
)
def test_error_describes_invalid_content(tmp_path, arrays, message):
    path = tmp_path / "gt_depths.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=rf"gt_depths\.npz.*{message}"):
        list(read_gt_depths(path).depths)


def test_error_names_foreign_and_truncated_files(tmp_path):
    whole, plain = io.BytesIO(), io.BytesIO()
    save_community(whole, DEPTHS)
    np.save(plain, DEPTHS[0])
    path = tmp_path / "gt_depths.npz"
    contents = [whole.getvalue()[:size] for size in range(0, len(whole.getvalue()), 7)]
    for content in [*contents, b"junk", plain.getvalue(), pickle.dumps(RunsACommand())]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"gt_depths\.npz"):
            list(read_gt_depths(path).depths)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.npy", b"no array")
    with pytest.raises(DataError, match=r"gt_depths\.npz"):
        list(read_gt_depths(path).depths)
    with pytest.raises(DataError, match=r"absent\.npz' cannot be read.*No such file"):
        read_gt_depths(tmp_path / "absent.npz")
