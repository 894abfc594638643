"""Text files of any system, YAML within limits, and values in messages."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import DataError, printable, shell_quoted
from common.text_files import abbreviate, fault_of, read_data_text, read_text
from common.yaml_files import parse_yaml

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20.0
TEXT = "fx 1\nnäher 2\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_text_of_any_system(tmp_path, encoding, newline):
    bom = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "a.txt").write_bytes((bom + TEXT.replace("\n", newline)).encode(encoding))
    assert read_text(tmp_path / "a.txt") == TEXT


def test_invalid_bytes_and_sizes(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a\xffb")
    assert read_text(tmp_path / "a.txt") == "a\ufffdb"
    with pytest.raises(OSError, match="more than 2 bytes"):
        read_text(tmp_path / "a.txt", max_bytes=2)
    with pytest.raises(OSError, match="more than"):
        read_text("/dev/zero", max_bytes=1000)


@pytest.mark.parametrize(
    ("path", "words"), [("none.txt", "not found"), (".", "cannot be read"), ("a\0b", r"a\\x00b cannot be read")]
)
def test_unreadable_files_are_reported(tmp_path, path, words):
    with pytest.raises(DataError, match=f"^Split list .*{words}.*Copy it again.$"):
        read_data_text(f"{tmp_path}/{path}", "Split list", "Copy it again.")


def test_fault_names_the_reason():
    assert fault_of(FileNotFoundError(2, "No such file")) == "not found"
    assert fault_of(PermissionError(13, "Permission denied")) == "cannot be read (Permission denied)"
    assert fault_of(ValueError("embedded null byte")) == "cannot be read (embedded null byte)"


def _nested(levels: int, width: int) -> list:
    value: list = ["lol"]
    for _ in range(levels):
        value = [value] * width
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, "5"),
        ("a", "'a'"),
        ([1, 2, 3], "[1, 2, 3]"),
        (None, "None"),
        ("...", "'...'"),
        ("a\x1b[31m\0", r"'a\x1b[31m\x00'"),
        (10**6000, "int of about 6001 digits"),
        (-(10**6000), "int of about 6001 digits"),
        ("x" * 5000, "str of length 5000: 'xxx"),
        (list(range(100)), "list of length 100: [0, 1, 2"),
        (_nested(40, 40), "list of length 40: [["),
        ({"k" * 1000: "v" * 1000}, "dict of length 1: {"),
        (b"\0" * 1000, "bytes of length 1000: b'"),
    ],
    ids=range(13),
)
def test_values_are_abbreviated(value, expected):
    text = abbreviate(value)
    assert text.startswith(expected) and len(text) < 120 and text.isprintable()
    assert len(text) > len(expected) or text == expected


def test_printable_escapes_control_characters():
    assert printable("a\x1b\n\0é") == r"a\x1b\n\x00é"


def test_messages_have_no_control_characters_but_line_ends():
    assert str(DataError("Image a\x1b[31m\udcff\r.png\nnot found: é")) == "Image a\\x1b[31m\\udcff\\r.png\nnot found: é"


@pytest.mark.parametrize(
    "name",
    ["plain.png", "a b.png", "it's.png", "$(id);&.png", "new\nline'\\.png", "esc\x1b[31m.png", "\udcff é.png", ""],
)
def test_a_shell_reads_quoted_paths_as_they_are(name):
    quoted = shell_quoted(name)
    assert quoted.isprintable()
    read = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True).stdout
    assert read == os.fsencode(name)


def _laughs(levels: int) -> str:
    lines = [f"- &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, levels)]
    return "height:\n- &a0 [lol]\n" + "".join(lines)


def _merged_laughs(levels: int) -> str:
    merged = (f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, levels))
    return "a0: &a0 {x: 1}\n" + "".join(merged)


HOSTILE = {
    "date": ("when: 2024-13-45", "month must be in 1..12"),
    "long integer": (f"height: {'9' * 5000}", "5000 digits"),
    "base 60": (f"height: {':'.join(['1'] * 5000)}", "9999 digits"),
    "deep list": ("height: " + "[" * 5000, "nested too deeply"),
    "deep mapping": ("{a: " * 5000, "nested too deeply"),
    "NUL": ("height: \0", "special characters are not allowed"),
    "billion laughs": (_laughs(12), "stand for more than"),
    "merged laughs": (_merged_laughs(12), "stand for more than"),
    "own part": ("a: &a [*a]", "stand for more than"),
    "size": ("- 1\n" * 200_000, "characters, expected at most"),
    "unclosed": ("height: [", "line 1, column 10: "),
    "tag": ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "unhashable": ("? [a]\n: 1", "unhashable"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_fails_in_one_sentence(name):
    text, words = HOSTILE[name]
    started = time.monotonic()
    with pytest.raises(ValueError, match=words) as error:
        parse_yaml(text)
    assert time.monotonic() - started < SECONDS
    assert len(str(error.value)) < 200 and str(error.value).isprintable()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["config", "camera"])
def test_hostile_yaml_of_a_user_within_time_and_memory(tmp_path, name, kind):
    text = HOSTILE[name][0]
    (tmp_path / "a.yml").write_text(text if kind == "config" else text.replace("height", "camera_matrix"))
    read = {
        "config": "from options import parse_options as f; f(['--config', sys.argv[1]])",
        "camera": "from datasets.camera_files import read_camera_file as f; from pathlib import Path; "
        "f(Path(sys.argv[1]), (48, 64))",
    }[kind]
    code = f"import sys; from common.environment import run_script\ndef main():\n    {read}\nrun_script(main)"
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.yml")],
        **{"cwd": ROOT, "capture_output": True, "text": True, "timeout": 60},
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000)),
    )
    message = result.stderr.strip()
    assert result.returncode == 2 and message.startswith("error: ") and "\n" not in message
    assert "a.yml" in message and len(message) < 700


def test_yaml_with_few_aliases_is_unchanged():
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 1e-4}\nc: [*a, *a]\n") == {
        **{"a": {"x": 1}, "b": {"x": 1, "y": "1e-4"}, "c": [{"x": 1}, {"x": 1}]}
    }
    assert parse_yaml("") is None
