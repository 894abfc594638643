"""Manifests: what they hold, and every way in which a folder can differ from its own."""

import json

import pytest

from common.errors import UserError, WeightsError
from serialization.manifest import check_manifest, update_manifest, write_manifest

# From FIPS 180-2: the digests of "abc" and of nothing.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "abc.pdparams").write_bytes(b"abc")
    (tmp_path / "empty.json").touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "other").touch()
    write_manifest(tmp_path)
    return tmp_path


def test_sizes_and_hashes_of_all_files(folder):
    expected = {"abc.pdparams": {"size": 3, "sha256": ABC}, "empty.json": {"size": 0, "sha256": NOTHING}}
    assert json.loads((folder / "manifest.json").read_text()) == expected
    write_manifest(folder)  # again: it does not list itself
    assert json.loads((folder / "manifest.json").read_text()) == expected
    assert check_manifest(folder) and check_manifest(folder, ["empty.json"])


def test_a_large_file_is_hashed_as_a_whole(tmp_path):
    (tmp_path / "million_a").write_bytes(b"a" * 1_000_000)  # from FIPS 180-2
    write_manifest(tmp_path)
    digest = json.loads((tmp_path / "manifest.json").read_text())["million_a"]["sha256"]
    assert digest == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_no_manifest_and_unlisted_files_pass(folder):
    (folder / "metrics.json").write_text("{}")
    assert check_manifest(folder) and check_manifest(folder, ["metrics.json", "abc.pdparams"])
    (folder / "manifest.json").unlink()
    (folder / "abc.pdparams").unlink()
    assert not check_manifest(folder) and not check_manifest(folder, ["abc.pdparams"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab", "holds 2 bytes where manifest.json expects 3"),
        (b"abcd", "holds 4 bytes where manifest.json expects 3"),
        (b"abd", "has changed since it was written: its SHA-256"),
        (None, r"is listed in manifest.json and cannot be read \(No such file"),
    ],
)
def test_a_file_that_differs_is_named(folder, content, message):
    path = folder / "abc.pdparams"
    path.unlink() if content is None else path.write_bytes(content)
    for names in (None, ["abc.pdparams"]):
        with pytest.raises(WeightsError, match=rf"abc\.pdparams {message}") as caught:
            check_manifest(folder, names)
        assert "Copy the folder again" in str(caught.value)
        assert f"remove {folder / 'manifest.json'} to load it all the same" in str(caught.value)
    assert check_manifest(folder, ["empty.json"])


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "null", "\x00", "[" * 100_000, '{"abc.pdparams": 3}', '{"abc.pdparams": {"size": 3}}'),
        json.dumps({"../secret": {"size": 3, "sha256": ABC}}),
        json.dumps({"/etc/passwd": {"size": 3, "sha256": ABC}}),
        *(json.dumps({name: {"size": 3, "sha256": ABC}}) for name in ("", ".", "..", "a\x00", "\x1b[31m")),
    ],
)
def test_a_damaged_manifest_is_told(folder, content):
    (folder / "manifest.json").write_text(content)
    with pytest.raises(WeightsError, match=r"manifest\.json (is damaged|cannot be read)"):
        check_manifest(folder)


def test_an_unwritable_folder_is_told(folder):
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()
    with pytest.raises(UserError, match=r"manifest\.json cannot be written"):
        write_manifest(folder)


def test_a_file_that_is_replaced_passes_at_any_moment(folder):
    with update_manifest(folder, "empty.json"):
        assert check_manifest(folder)
        (folder / "empty.json").write_bytes(b"abc")
        assert check_manifest(folder)
    entry = {"size": 3, "sha256": ABC}
    assert json.loads((folder / "manifest.json").read_text()) == {"abc.pdparams": entry, "empty.json": entry}


def test_a_file_that_was_not_replaced_for_an_error_is_no_longer_listed(folder):
    with pytest.raises(OSError), update_manifest(folder, "empty.json"):
        raise OSError
    assert check_manifest(folder)


def test_a_folder_without_a_manifest_stays_without(folder):
    (folder / "manifest.json").unlink()
    with update_manifest(folder, "empty.json"):
        pass
    assert not (folder / "manifest.json").exists()
