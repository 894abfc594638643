"""What the tests of readers share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from torch_bytes import write_stream, write_zip


@pytest.fixture(params=["zip", "stream"])
def write(request, tmp_path):
    """Writes a state dict over the storage "0" of 0 to 5 in either format."""
    writer = write_zip if request.param == "zip" else write_stream
    return lambda content: writer(tmp_path / "w.pth", content)


@pytest.fixture
def reference_file(reference_dir):
    """Name -> a file that a real library wrote; skips where it is absent."""

    def find(name: str) -> Path:
        path = reference_dir / "files" / name
        if not path.is_file():
            pytest.skip(f"{path} is absent")
        return path

    return find
