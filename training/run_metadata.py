"""Machine, versions and timing of a run: ``run.json`` in the run's folder."""

import json
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
    """Measure a run and write ``run_dir/run.json``.

    The file contains ``started``, the time of the first start, and for a resumed run ``resumed``, the times of later
    starts. It contains, in seconds and including the time before a resume, ``training_seconds`` (in steps),
    ``waiting_seconds`` (for data) and ``validation_seconds``. ``median_step_seconds`` is the median over the steps of
    this process, None before the first.

    Args:
        run_dir: folder of the run.
        batch_size: samples per step.

    Attributes:
        earlier: ``totals`` of the run up to the checkpoint from which it was resumed.
    """

    def __init__(self, run_dir: Path, batch_size: int) -> None:
        self._path = run_dir / METADATA_FILE
        self.batch_size = batch_size
        self.earlier: Mapping[str, float] = {}
        self._facts = {"started": _now(), **describe_machine(), "batch_size": batch_size}
        self._step_seconds: list[float] = []
        self._waiting = 0.0
        self._validation = 0.0
        self._reported = (0, 0.0)  # steps and seconds of waiting at the last call of waiting_share

    def resume(self, earlier: Mapping[str, float], run_dir: Path) -> None:
        """Continue the record of a resumed run: its times, its first start, and the starts of the processes since.

        Args:
            earlier: ``totals`` of the run up to the checkpoint.
            run_dir: folder of the run that is resumed, perhaps into another one.
        """
        self.earlier = earlier
        now = self._facts["started"]
        self._facts["resumed"] = [now]
        try:
            record = json.loads((run_dir / METADATA_FILE).read_text(encoding="utf-8"))
            before = [time for time in record.get("resumed") or [] if isinstance(time, str)]
            if isinstance(record["started"], str):
                self._facts |= {"started": record["started"], "resumed": [*before, now]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return  # missing or damaged: the time of the resume is all there is

    def totals(self) -> dict[str, float]:
        """Return the number of steps and the seconds of the run so far."""
        here = {
            "steps": len(self._step_seconds),
            "training_seconds": sum(self._step_seconds),
            "waiting_seconds": self._waiting,
            "validation_seconds": self._validation,
        }
        return {name: round(value + self.earlier.get(name, 0), 3) for name, value in here.items()}

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time a training step; a failing step is not counted."""
        started = time.perf_counter()
        yield
        self._step_seconds.append(time.perf_counter() - started)

    @contextmanager
    def validation(self) -> Iterator[None]:
        """Time a validation."""
        started = time.perf_counter()
        yield
        self._validation += time.perf_counter() - started

    def waiting(self, batches: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the batches, and time how long the caller waits for each."""
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
        """Return the fraction of time spent waiting for data since the last call; the rest was spent in steps."""
        steps, waiting_before = self._reported
        waiting = self._waiting - waiting_before
        total = waiting + sum(self._step_seconds[steps:])
        self._reported = (len(self._step_seconds), self._waiting)
        return waiting / total if total else 0.0

    def save(self, *, compiled: bool, kernels: bool) -> None:
        """Write the record of the run so far.

        Args:
            compiled: whether steps run through a static graph.
            kernels: whether steps use the C++ operators of ``layers.kernels``.

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
    """Return versions of the libraries, the machine, and Paddle's current device."""
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
    """Return the local time with its UTC offset, ISO 8601 to the second."""
    return datetime.now(timezone.utc).astimezone().isoformat(timespec="seconds")


def _processor_name() -> str:
    """Return the CPU model from ``/proc/cpuinfo``, else the platform's name for its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="ignore").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
