import pytest

from common.download import LocalSource
from common.errors import DataError
from datasets.splits import PUBLISHED_SPLITS
from tools.kitti.published_splits import SHA256, altered_lists, fetch_lists


def test_hashes_of_all_published_lists(shared_splits):
    """Compare with the published lists, without additional ones."""
    assert tuple(SHA256) == PUBLISHED_SPLITS
    for name in PUBLISHED_SPLITS:
        assert set(SHA256[name]) == {path.name for path in (shared_splits / name).iterdir()}


def test_lists_are_copied_exactly_and_missing_ones_are_added(shared_splits, tmp_path):
    folder = tmp_path / "odom"
    assert len(fetch_lists("odom", folder, LocalSource(shared_splits))) == 4
    (folder / "val_files.txt").unlink()
    (folder / "test_files_09.txt").write_text("mine\n")
    assert fetch_lists("odom", folder, LocalSource(shared_splits)) == [folder / "val_files.txt"]
    assert altered_lists("odom", folder) == [folder / "test_files_09.txt"]
    assert (folder / "val_files.txt").read_bytes() == (shared_splits / "odom/val_files.txt").read_bytes()


def test_altered_list_is_not_written(tmp_path):
    (tmp_path / "source/eigen").mkdir(parents=True)
    (tmp_path / "source/eigen/test_files.txt").write_text("2011_09_26/2011_09_26_drive_0002_sync 69 l\n")
    with pytest.raises(DataError, match=r"eigen/test_files\.txt' differs .* SHA-256 .*, expected e226d4ca"):
        fetch_lists("eigen", tmp_path / "eigen", LocalSource(tmp_path / "source"))
    assert not (tmp_path / "eigen").exists()
