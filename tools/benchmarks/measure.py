"""What the benchmarks share: how they are timed, and the line that comes of it."""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

WARM_UP = 2
UNITS = {"s": 1.0, "ms": 1e3}  # of a second


def use_one_core() -> None:
    """Keeps this process, and those that it starts, on the last of the cores that it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def time_in_turn(runs: Mapping[str, Callable[[], Any]], repeat: int) -> dict[str, list[float]]:
    """Seconds that each run took, ``repeat`` times, after as many rounds as warm things up."""
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
    """The line of one benchmark.

    Args:
        name: of the benchmark.
        unit: "ms" or "s", a slash, and what an item is.
        seconds: of each time that ours ran.
        items: in a run.
        baseline: what ours is compared with; None without.
        baseline_seconds: of each time that the baseline ran, in turn with ours.
        about: what was timed.

    Returns:
        Among others ``ratio``, how many times as fast as the baseline, by the medians.
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
    """Of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))  # bytes there, KiB elsewhere
