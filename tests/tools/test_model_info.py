"""tools/model_info.py: one row per network, and errors that name what is allowed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def model_info(*words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "tools/model_info.py", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_one_row_per_network():
    done = model_info(
        "resnet18", "lite_mono_tiny", "--height", "64", "--width", "96", "--repeat", "1", "--train_steps", "1"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "96x64" and lines[1].split() == [
        *("network", "params", "GMACs", "weights", "predict", "train", "ms/image", "s/step")
    ]
    # 8.0 and 2.8 GMACs at 640x192, which has 20 times the pixels.
    for line, expected in zip(
        lines[2:4], (["resnet18", 14.3, 0.4, 57.3], ["lite_mono_tiny", 2.1, 0.1, 8.6]), strict=True
    ):
        name, *numbers = line.split()
        numbers = list(map(float, numbers))
        assert [name, *numbers[:3]] == expected
        predict, train, milliseconds, seconds = numbers[3:]
        # 0.4 MB: at least the first convolution's output, 64 channels (Lite-Mono-tiny: 3 of 32) of 48x32 pixels.
        assert train >= 0.4 and predict >= 0.4 and milliseconds > 0 and seconds > 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["resnet19"], "got resnet19, allowed: resnet18, "),
        (["--train_steps", "-1"], "--train_steps: got -1, allowed: an integer of at least 0"),
        (["--height", "100"], "got 100 and 640, allowed: multiples of 32"),
    ],
)
def test_errors(words, expected):
    done = model_info(*words)
    assert done.returncode != 0 and expected in done.stderr and "Traceback" not in done.stderr
