"""Scalars and pictures of a run: for VisualDL, and the scalars as JSON lines for everything else."""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_files import atomic_file
from common.errors import UserError

# VisualDL hands its records to a thread; where the disk is full that dies, and whoever waits for it waits for ever.
_VISUALDL_SECONDS = 10
os.environ.setdefault("VDL_QUEUE_TIMEOUT", str(_VISUALDL_SECONDS))

from visualdl import LogWriter  # noqa: E402  (reads the variable when it is imported)

SCALARS_FILE = "scalars.jsonl"


class MetricsWriter:
    """Writes to ``run_dir/visualdl/{train,val}`` and ``run_dir/scalars.jsonl``.

    Raises:
        UserError: here and in its methods, where a file cannot be written.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / SCALARS_FILE
        self._writers = {part: LogWriter(logdir=str(run_dir / "visualdl" / part)) for part in ("train", "val")}
        self._lines = self._path.open("a", encoding="utf-8")

    def scalars(self, part: str, step: int, values: Mapping[str, float]) -> None:
        """Logs values of "train" or "val" at a step; the JSON line carries all of them, and both names."""
        self._write({"part": part, "step": step, **values})
        for name, value in values.items():
            self._writers[part].add_scalar(tag=name, value=value, step=step)

    def findings(self, step: int, texts: Mapping[str, str]) -> None:
        """Logs what the watchdog found at a step: name -> text. The JSON line is of a part of its own."""
        self._write({"part": "watchdog", "step": step, **texts})
        for name, text in texts.items():
            self._writers["train"].add_text(tag=f"watchdog/{name}", text_string=text, step=step)

    def pictures(self, part: str, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Logs pictures, uint8 (H, W, 3), for VisualDL."""
        for name, picture in pictures.items():
            self._writers[part].add_image(tag=name, img=picture, step=step)

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._lines.write(json.dumps(line) + "\n")
            self._lines.flush()
        except OSError as fault:
            raise UserError(f"{self._path} cannot be written: {fault.strerror or fault}.") from fault

    def close(self) -> None:
        """Flushes and closes all files, as far as that can be done."""
        for writer in self._writers.values():
            closing = threading.Thread(target=_quietly, args=(writer.close,), daemon=True)
            closing.start()
            closing.join(_VISUALDL_SECONDS)
        _quietly(self._lines.close)


def _quietly(close: Callable[[], None]) -> None:
    """Closes a log; what could not be written has been told, and must not hide why the run ended."""
    with contextlib.suppress(OSError):
        close()


def drop_scalars_from(run_dir: Path, step: int, *, keep_validation: bool) -> None:
    """Cuts ``scalars.jsonl`` back to a checkpoint, whose steps will be logged again.

    Args:
        step: the first step that will be run again.
        keep_validation: whether the validation after the step before it has been done.

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
        except ValueError:  # cut off when the process was killed
            continue
        done_before = step + (keep_validation and scalars["part"] == "val")
        if scalars["step"] < done_before:
            kept.append(line + "\n")
    with atomic_file(path) as stream:
        stream.write("".join(kept).encode())
