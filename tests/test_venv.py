"""Test which Python tools/venv.sh chooses, and its message if none is supported. Fake interpreters record the calls."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Imitates a Python of a given version: the version check, ``--version`` and ``-m venv``.
FAKE_PYTHON = """#!/bin/sh
case "$1" in
    --version) echo "Python {version}" ;;
    -c) exit {unsupported} ;;
    -m)
        mkdir -p .venv/bin
        printf '#!/bin/sh\\necho Collecting paddle\\necho "Downloading paddle.whl (9 MB)"\\n' > .venv/bin/python
        chmod +x .venv/bin/python
        echo {name} > made_by ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """Create a folder with the files that the script reads."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "venv.sh", tmp_path / "tools")
    for path in ROOT.glob("requirements*.txt"):
        shutil.copy(path, tmp_path)
    return tmp_path


def run(clone: Path, pythons: dict[str, str], **environment: str) -> subprocess.CompletedProcess:
    """Run the script with only these Pythons on the PATH.

    Args:
        clone: folder that contains the script.
        pythons: version of each interpreter, by name.
        environment: further environment variables.
    """
    folder = clone / "bin"
    folder.mkdir()
    for name, version in pythons.items():
        is_supported = (3, 10) <= tuple(map(int, version.split(".")[:2])) <= (3, 13)
        path = folder / name
        path.write_text(FAKE_PYTHON.format(name=name, version=version, unsupported=int(not is_supported)))
        path.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "BOOTSTRAP_PYTHON")}
    for tool in ("bash", "sh", "cat", "dirname", "mkdir", "chmod", "sed", "env"):
        (folder / tool).symlink_to(shutil.which(tool))
    command = ["bash", "tools/venv.sh"]
    return subprocess.run(
        command, cwd=clone, env={**clean, "PATH": str(folder), **environment}, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": "3.13.2", "python3.12": "3.12.1"}, "python3"),
        ({"python3": "3.14.0", "python3.13": "3.13.0", "python3.10": "3.10.3"}, "python3.13"),
        ({"python3": "3.9.2", "python3.10": "3.10.13"}, "python3.10"),
        ({"python3.11": "3.11.7"}, "python3.11"),
    ],
)
def test_first_supported_python_is_used(clone, pythons, chosen):
    done = run(clone, pythons)
    assert done.returncode == 0, done.stderr
    assert (clone / "made_by").read_text().strip() == chosen
    assert done.stdout.strip() == str(clone / ".venv/bin/python")
    assert "  Downloading paddle.whl (9 MB)" in done.stderr and "Collecting" not in done.stderr


def test_error_lists_the_unsupported_pythons(clone):
    done = run(clone, {"python3": "3.14.1", "python3.10": "3.9.9"})
    assert done.returncode == 1 and done.stdout == ""
    for words in ("3.10 to 3.13", "python3: Python 3.14.1", "python3.13: not found", "BOOTSTRAP_PYTHON"):
        assert words in done.stderr


def test_only_bootstrap_python_is_tried_if_set(clone):
    done = run(clone, {"python3": "3.12.0", "old": "3.8.1"}, BOOTSTRAP_PYTHON="old")
    assert done.returncode == 1 and "old: Python 3.8.1" in done.stderr
    assert "python3:" not in done.stderr and "Python 3.12" not in done.stderr
