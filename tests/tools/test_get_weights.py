"""get_weights.py: what it downloads, how to use it, and mistakes. The download is tested in tests/serialization."""

import sys

import pytest

from common.errors import OptionsError
from tools import get_weights


@pytest.fixture
def run(monkeypatch):
    """A function that runs the command and returns the names that it gets."""

    def call(line: str) -> list[str]:
        got: list[str] = []
        monkeypatch.setattr(get_weights, "get_published", lambda name: got.append(name) or f"weights/{name}")
        monkeypatch.setattr(sys, "argv", ["get_weights.py", *line.split()])
        get_weights.main()
        return got

    return call


def test_it_says_how_to_use_the_weights(run, capsys):
    assert run("mono_640x192 lite-mono_imagenet") == ["mono_640x192", "lite-mono_imagenet"]
    folder, file = capsys.readouterr().out.splitlines()
    assert folder.endswith("Use it with --load_weights_folder mono_640x192")
    assert file.endswith("Use it with --weights_init weights/lite-mono_imagenet")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mono_640x192 mono_640x129", "unknown weights 'mono_640x129'; the nearest are mono_640x192"),
        ("", "pass the names of weights to download, or --list"),
        ("--list mono_640x192", "or --list"),
    ],
)
def test_mistakes_are_reported_before_anything_is_downloaded(run, line, words):
    with pytest.raises(OptionsError, match=words):
        run(line)
