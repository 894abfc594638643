"""Writers for a run's scalars and images: VisualDL, and JSON lines of the scalars for all other tools."""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_files import atomic_file
from common.errors import write_error

# VisualDL writes in a thread. On a full disk the thread dies, and waiting for it would block forever.
_VISUALDL_SECONDS = 10
os.environ.setdefault("VDL_QUEUE_TIMEOUT", str(_VISUALDL_SECONDS))

from visualdl import LogWriter  # noqa: E402  (reads the variable on import)

SCALARS_FILE = "scalars.jsonl"


class MetricsWriter:
    """Write to ``run_dir/visualdl/{train,val}`` and ``run_dir/scalars.jsonl``.

    Args:
        run_dir: folder of the run.

    Raises:
        UserError: a file cannot be written, here or in a method.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path, self._folder = run_dir / SCALARS_FILE, run_dir / "visualdl"
        with _named_faults(self._folder):
            self._writers = {part: LogWriter(logdir=str(self._folder / part)) for part in ("train", "val")}
        with _named_faults(self._path):
            self._lines = self._path.open("a", encoding="utf-8")

    def scalars(self, part: str, step: int, values: Mapping[str, float]) -> None:
        """Log scalars of a step.

        Args:
            part: "train" or "val".
            step: step of the run.
            values: name -> value; one JSON line contains all of them, with "part" and "step".
        """
        self._write({"part": part, "step": step, **values})
        with _named_faults(self._folder):
            for name, value in values.items():
                self._writers[part].add_scalar(tag=name, value=value, step=step)

    def findings(self, step: int, texts: Mapping[str, str]) -> None:
        """Log the watchdog's findings at a step, name -> text; the part of their JSON line is "watchdog"."""
        self._write({"part": "watchdog", "step": step, **texts})
        with _named_faults(self._folder):
            for name, text in texts.items():
                self._writers["train"].add_text(tag=f"watchdog/{name}", text_string=text, step=step)

    def pictures(self, part: str, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Log images, uint8 (H, W, 3), to VisualDL."""
        with _named_faults(self._folder):
            for name, picture in pictures.items():
                self._writers[part].add_image(tag=name, img=picture, step=step)

    def _write(self, line: Mapping[str, Any]) -> None:
        with _named_faults(self._path):
            self._lines.write(json.dumps(line) + "\n")
            self._lines.flush()

    def close(self) -> None:
        """Flush and close all files; ignore errors and time out on a full disk."""
        for writer in self._writers.values():
            closing = threading.Thread(target=_quietly, args=(writer.close,), daemon=True)
            closing.start()
            closing.join(_VISUALDL_SECONDS)
        _quietly(self._lines.close)


@contextlib.contextmanager
def _named_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise write_error(path, fault) from fault


def _quietly(close: Callable[[], None]) -> None:
    """Close a log; its write errors have been reported, and must not hide the reason why the run ended."""
    with contextlib.suppress(OSError):
        close()


def drop_scalars_from(run_dir: Path, step: int, *, keep_validation: bool) -> None:
    """Remove the lines of ``scalars.jsonl`` that a resumed run will log again.

    Args:
        run_dir: folder of the run.
        step: first step to run again.
        keep_validation: keep the validation that took place before that step.

    Raises:
        UserError: the file cannot be written.
    """
    path = run_dir / SCALARS_FILE
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            scalars = json.loads(line)
        except ValueError:  # truncated when the process was killed
            continue
        done_before = step + (keep_validation and scalars["part"] == "val")
        if scalars["step"] < done_before:
            kept.append(line + "\n")
    with atomic_file(path) as stream:
        stream.write("".join(kept).encode())
