"""Fixtures: a fake Ghostscript that records its use, and a confidential video."""

import stat
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hostile import VICTIM_GREY, write_video


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """Put a program ``gs`` on the PATH, and return a file that exists once the program was started."""
    folder, trace = tmp_path / "bin", tmp_path / "trace"
    folder.mkdir()
    program = folder / "gs"
    program.write_text(f'#!/bin/sh\ntouch {trace}\ntest "$1" = --version && echo 10.0\nexit 1\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # Pillow searches once and caches the result
    return trace


@pytest.fixture
def victim(tmp_path):
    """Another visitor's video; all its frames have grey level ``VICTIM_GREY``."""
    return write_video(tmp_path / "victim.mp4", [VICTIM_GREY] * 5)
