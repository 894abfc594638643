"""Test the content of manifests, and every way in which a folder can differ from its manifest."""

import json

import pytest

from common.errors import UserError, WeightsError
from serialization.manifest import check_manifest, update_manifest, write_manifest

# Digests of "abc" and of the empty string, from FIPS 180-2.
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
    write_manifest(folder)  # again: the manifest does not list itself
    assert json.loads((folder / "manifest.json").read_text()) == expected
    assert check_manifest(folder) and check_manifest(folder, ["empty.json"])


def test_large_file_is_hashed_completely(tmp_path):
    (tmp_path / "million_a").write_bytes(b"a" * 1_000_000)  # from FIPS 180-2
    write_manifest(tmp_path)
    digest = json.loads((tmp_path / "manifest.json").read_text())["million_a"]["sha256"]
    assert digest == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_missing_manifest_and_unlisted_files_are_accepted(folder):
    (folder / "metrics.json").write_text("{}")
    assert check_manifest(folder) and check_manifest(folder, ["metrics.json", "abc.pdparams"])
    (folder / "manifest.json").unlink()
    (folder / "abc.pdparams").unlink()
    assert not check_manifest(folder) and not check_manifest(folder, ["abc.pdparams"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab", "has 2 bytes, manifest.json expects 3"),
        (b"abcd", "has 4 bytes, manifest.json expects 3"),
        (b"abd", "has changed"),
        (None, r"is listed in manifest.json but cannot be read \(No such file"),
    ],
)
def test_error_names_a_changed_file(folder, content, message):
    path = folder / "abc.pdparams"
    path.unlink() if content is None else path.write_bytes(content)
    for names in (None, ["abc.pdparams"]):
        with pytest.raises(WeightsError, match=rf"abc\.pdparams' {message}") as caught:
            check_manifest(folder, names)
        assert "Copy the folder again" in str(caught.value)
        assert f"remove '{folder / 'manifest.json'}'" in str(caught.value)
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
def test_damaged_manifest_is_reported(folder, content):
    (folder / "manifest.json").write_text(content)
    with pytest.raises(WeightsError, match=r"manifest\.json' (is damaged|cannot be read)"):
        check_manifest(folder)


def test_read_only_folder_is_reported(folder):
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()
    with pytest.raises(UserError, match=r"manifest\.json cannot be written"):
        write_manifest(folder)


def test_folder_is_valid_during_an_update(folder):
    with update_manifest(folder, "empty.json"):
        assert check_manifest(folder)
        (folder / "empty.json").write_bytes(b"abc")
        assert check_manifest(folder)
    entry = {"size": 3, "sha256": ABC}
    assert json.loads((folder / "manifest.json").read_text()) == {"abc.pdparams": entry, "empty.json": entry}


def test_file_stays_unlisted_after_a_failed_update(folder):
    with pytest.raises(OSError), update_manifest(folder, "empty.json"):
        raise OSError
    assert check_manifest(folder)


def test_update_creates_no_manifest(folder):
    (folder / "manifest.json").unlink()
    with update_manifest(folder, "empty.json"):
        pass
    assert not (folder / "manifest.json").exists()
