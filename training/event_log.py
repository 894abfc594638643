"""Scalars and pictures of a run: for VisualDL, and the scalars as JSON lines for everything else."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from visualdl import LogWriter

SCALARS_FILE = "scalars.jsonl"


class EventLog:
    """Writes to ``run_dir/visualdl/{train,val}`` and ``run_dir/scalars.jsonl``."""

    def __init__(self, run_dir: Path) -> None:
        self._writers = {part: LogWriter(logdir=str(run_dir / "visualdl" / part)) for part in ("train", "val")}
        self._lines = (run_dir / SCALARS_FILE).open("a", encoding="utf-8")

    def scalars(self, part: str, step: int, values: Mapping[str, float]) -> None:
        """Logs values of "train" or "val" at a step; the JSON line carries all of them, and both names."""
        for name, value in values.items():
            self._writers[part].add_scalar(tag=name, value=value, step=step)
        self._lines.write(json.dumps({"part": part, "step": step, **values}) + "\n")
        self._lines.flush()

    def pictures(self, part: str, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Logs pictures, uint8 (H, W, 3), for VisualDL."""
        for name, picture in pictures.items():
            self._writers[part].add_image(tag=name, img=picture, step=step)

    def close(self) -> None:
        """Flushes and closes all files."""
        for writer in self._writers.values():
            writer.close()
        self._lines.close()
