"""What a run ran on, and where its time went: ``run.json`` in the run's folder."""

import os
import platform
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import paddle
import PIL

from common.atomic_files import write_json

METADATA_FILE = "run.json"
_Item = TypeVar("_Item")


class RunMetadata:
    """Measures a run and writes ``run_dir/run.json``.

    Its times are seconds: ``training_seconds`` in steps, ``waiting_seconds`` for data, ``validation_seconds``, those
    before a resume counted; and ``median_step_seconds`` of one step of this process, None before the first.

    Args:
        run_dir: the run's folder.
        batch_size: samples of a step.

    Attributes:
        earlier: ``totals`` of the run up to the checkpoint that it is resumed from.
    """

    def __init__(self, run_dir: Path, batch_size: int) -> None:
        self._path = run_dir / METADATA_FILE
        self.batch_size = batch_size
        self.earlier: Mapping[str, float] = {}
        self._facts = {"started": _now(), **describe_machine(), "batch_size": batch_size}
        self._step_seconds: list[float] = []
        self._waiting = 0.0
        self._validation = 0.0
        self._told = (0, 0.0)  # steps, and seconds of waiting, when waiting_share was last asked for

    def totals(self) -> dict[str, float]:
        """Steps and seconds of the run so far."""
        here = {
            "steps": len(self._step_seconds),
            "training_seconds": sum(self._step_seconds),
            "waiting_seconds": self._waiting,
            "validation_seconds": self._validation,
        }
        return {name: round(value + self.earlier.get(name, 0), 3) for name, value in here.items()}

    @contextmanager
    def step(self) -> Iterator[None]:
        """Times a training step; one that fails does not count."""
        started = time.perf_counter()
        yield
        self._step_seconds.append(time.perf_counter() - started)

    @contextmanager
    def validation(self) -> Iterator[None]:
        """Times a validation."""
        started = time.perf_counter()
        yield
        self._validation += time.perf_counter() - started

    def waiting(self, batches: Iterable[_Item]) -> Iterator[_Item]:
        """Hands the batches on, and times how long each kept its taker waiting."""
        iterator = iter(batches)
        while True:
            started = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waiting += time.perf_counter() - started
            yield batch

    def waiting_share(self) -> float:
        """Which share of the time since it was last asked for went into waiting for data, the rest being steps."""
        steps, waiting_before = self._told
        waiting = self._waiting - waiting_before
        total = waiting + sum(self._step_seconds[steps:])
        self._told = (len(self._step_seconds), self._waiting)
        return waiting / total if total else 0.0

    def save(self, *, compiled: bool, kernels: bool) -> None:
        """Writes the record of the run so far.

        Args:
            compiled: whether the steps ran through a static graph.
            kernels: whether they ran through the operators of `kernels`.

        Raises:
            UserError: the file cannot be written.
        """
        content = {
            **self._facts,
            "compiled": compiled,
            "kernels": kernels,
            "updated": _now(),
            **self.totals(),
            "median_step_seconds": round(statistics.median(self._step_seconds), 4) if self._step_seconds else None,
        }
        write_json(self._path, content)


def describe_machine() -> dict[str, Any]:
    """Versions of what computes, the machine, and the device that Paddle is set to."""
    device = paddle.get_device()
    on_gpu = device.startswith("gpu")
    return {
        "python": platform.python_version(),
        "paddle": paddle.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "opencv": cv2.__version__,
        "platform": platform.platform(),
        "processor": _processor_name(),
        "cores": os.cpu_count() or 1,
        "threads": os.environ.get("OMP_NUM_THREADS", "1"),
        "device": f"{device} ({paddle.device.cuda.get_device_name()})" if on_gpu else device,
    }


def _now() -> str:
    """Local time with its offset, to the second: ISO 8601."""
    return datetime.now(timezone.utc).astimezone().isoformat(timespec="seconds")


def _processor_name() -> str:
    """The model that Linux names, else what the platform calls its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="ignore").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
