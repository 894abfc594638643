"""A stand-in for Ghostscript that leaves a trace, and a video that nobody else may see."""

import stat
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hostile import VICTIM_GREY, write_film


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """Puts a program ``gs`` on the PATH; the file returned exists once anybody has started it."""
    folder, trace = tmp_path / "bin", tmp_path / "trace"
    folder.mkdir()
    program = folder / "gs"
    program.write_text(f'#!/bin/sh\ntouch {trace}\ntest "$1" = --version && echo 10.0\nexit 1\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # searched for once, and remembered
    return trace


@pytest.fixture
def victim(tmp_path):
    """Another visitor's video: all of its frames have `VICTIM_GREY`."""
    return write_film(tmp_path / "victim.mp4", [VICTIM_GREY] * 5)
