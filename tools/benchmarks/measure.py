"""Timing and result lines shared by all benchmarks."""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

WARM_UP = 2  # rounds that are not timed
UNITS = {"s": 1.0, "ms": 1e3}  # per second


def use_one_core() -> None:
    """Pin this process and its children to the last core available to it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def time_in_turn(runs: Mapping[str, Callable[[], Any]], repeat: int) -> dict[str, list[float]]:
    """Time several functions in alternation, which exposes all of them to the same load on the machine.

    Args:
        runs: Name -> function to time.
        repeat: Timed rounds, after ``WARM_UP`` rounds that are discarded.

    Returns:
        Name -> seconds of each timed call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(WARM_UP + repeat):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if i >= WARM_UP:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def result_line(
    name: str,
    unit: str,
    seconds: list[float],
    items: int = 1,
    *,
    baseline: str | None = None,
    baseline_seconds: list[float] | None = None,
    **about: Any,
) -> dict[str, Any]:
    """Build the result line of one benchmark.

    Args:
        name: Name of the benchmark.
        unit: "ms" or "s", a slash, and the item, such as "ms/frame".
        seconds: Duration of each run.
        items: Items per run.
        baseline: Description of the baseline; None if there is none.
        baseline_seconds: Duration of each run of the baseline, measured in alternation.
        about: Further fields that describe the measurement.

    Returns:
        Median, minimum and maximum time per item, peak memory, the machine, and ``ratio``: the baseline's median
        divided by ours (above 1 means faster than the baseline).
    """
    from training.run_metadata import describe_machine

    factor = UNITS[unit.split("/")[0]] / items
    median = statistics.median(seconds)
    baseline_median = statistics.median(baseline_seconds) if baseline_seconds else None
    return {
        "name": name,
        "unit": unit,
        "median": round(factor * median, 3),
        "min": round(factor * min(seconds), 3),
        "max": round(factor * max(seconds), 3),
        "baseline": baseline,
        "baseline_median": round(factor * baseline_median, 3) if baseline_median else None,
        "ratio": round(baseline_median / median, 2) if baseline_median else None,
        "peak_memory_mb": peak_memory_mb(),
        **about,
        **describe_machine(),
    }


def peak_memory_mb() -> int:
    """Return the peak resident memory of this process in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))  # bytes on macOS, KiB on Linux
