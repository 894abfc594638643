"""Progress line, with and without a terminal."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
from common.progress import Progress
progress = Progress(8)
progress.start_epoch(0, 2)
progress.update(4, 0.25, 0.034)
progress.update(2)
progress.note("validated")
progress.update(2, 0.125)
progress.close()
print("after")
"""


def run_without_a_terminal() -> str:
    return subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def run_on_a_terminal() -> str:
    pty, fcntl, termios, struct = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios", "struct"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 140, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    try:
        while chunk := os.read(ours, 4096):
            output += chunk
    except OSError:  # on Linux, the other end was closed
        pass
    os.close(ours)
    assert process.wait() == 0, output.decode()
    return output.decode()


def test_without_a_terminal_only_losses_print_lines():
    lines = run_without_a_terminal().splitlines()
    assert len(lines) == 4
    assert re.search(r"epoch 0/1 +50% .* 4/8 samples, .* samples/s, .* left, loss 0.2500, data 3%", lines[0])
    assert lines[1] == "validated"
    assert "8/8 samples" in lines[2] and "loss 0.1250, data 0%" in lines[2]
    assert lines[3] == "after"


def test_the_only_epoch_of_a_run_is_not_named(capsys):
    progress = Progress(8)
    progress.start_epoch(0, 1)
    progress.update(4, 0.5)
    progress.close()
    printed = capsys.readouterr().out
    assert "epoch" not in printed and "4/8 samples" in printed


def test_on_a_terminal_one_line_is_updated():
    output = run_on_a_terminal()
    last = output.replace("\r\n", "\n").split("\n")
    assert [line.split("\r")[-1] for line in last if "validated" in line] == ["validated"]
    assert last[-2] == "after"
    final = last[-3].split("\r")[-1]
    assert "8/8 samples" in final and "loss 0.1250" in final and " left" in final
    assert len(last) == 4  # the note, the progress line, the next output, and the end


def test_custom_unit_and_lines_without_loss(capsys):
    progress = Progress(2, unit="images", seconds=0)
    progress.update(1)
    progress.close()
    assert re.search(r"50% .* 1/2 images, .* images/s", capsys.readouterr().out)
