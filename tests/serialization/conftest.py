"""Fixtures shared by the tests of the readers."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from torch_bytes import write_stream, write_zip


@pytest.fixture(params=["zip", "stream"])
def write(request, tmp_path):
    """Write a state dict whose storage "0" contains 0 to 5, in either format."""
    writer = write_zip if request.param == "zip" else write_stream
    return lambda content: writer(tmp_path / "w.pth", content)


@pytest.fixture
def reference_file(reference_dir):
    """Name -> a file written by the real library; skip if it is absent."""

    def find(name: str) -> Path:
        path = reference_dir / "files" / name
        if not path.is_file():
            pytest.skip(f"{path} is absent")
        return path

    return find
