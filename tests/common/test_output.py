"""Standard output of scripts: encodings that lack characters, and closed, full or ended outputs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from common.environment import run_script
from common.progress import Progress
def main():
    progress = Progress(2)
    for _ in range(2):
        progress.update(1, 0.5)
    progress.close()
    print("wide \\u2192, surrogate \\udcff", flush=True)
    print("done", file=sys.stderr)
run_script(main)
"""


def run_shell(redirection: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "SCRIPT": SCRIPT, "PYTHON": sys.executable, **variables}
    command = f'"$PYTHON" -c "$SCRIPT" {redirection}'
    return subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("variables", "bar", "text"),
    [
        ({"PYTHONIOENCODING": "latin-1"}, b"|####################|", rb"wide \u2192, surrogate \udcff"),
        ({"PYTHONIOENCODING": "utf-8"}, "|████████████████████|".encode(), "wide →, surrogate \\udcff".encode()),
        ({"PYTHONIOENCODING": "ascii:replace"}, b"|####################|", b"wide ?, surrogate ?"),
        (
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            b"|####################|",
            rb"wide \u2192, surrogate \udcff",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_characters_that_the_encoding_lacks_are_replaced(variables, bar, text):
    done = run_shell("", **variables)
    assert done.returncode == 0, done.stderr
    assert bar in done.stdout and text in done.stdout


@pytest.mark.parametrize(
    ("redirection", "status", "message"),
    [
        ("| true; exit ${PIPESTATUS[0]}", 2, "error: the program that read the output has ended."),
        ("> /dev/full", 2, "error: the output cannot be written: No space left on device. Redirect it"),
        (">&-", 0, "done"),
        (">&- 2>&-", 0, ""),
    ],
)
def test_closed_and_full_outputs_end_without_a_traceback(redirection, status, message):
    if "/dev/full" in redirection and not Path("/dev/full").exists():
        pytest.skip("requires /dev/full")
    done = run_shell(redirection)
    errors = done.stderr.decode()
    assert done.returncode == status and "Traceback" not in errors and "Exception ignored" not in errors, errors
    assert message in errors


def test_output_lost_at_the_last_flush_is_an_error():
    """The output is shorter than the buffer, so that nothing is written before the end."""
    script = "from common.environment import run_script; run_script(lambda: print('result'))"
    done = run_shell("| true; exit ${PIPESTATUS[0]}", SCRIPT="import time; time.sleep(1);" + script)
    assert done.returncode == 2 and done.stderr.decode().count("\n") == 1
