"""A progress line: updated in place on a terminal, printed at intervals elsewhere."""

import math
import os
import sys
import threading
import time

from tqdm import tqdm

_FORMAT = "{desc}{percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt}{unit}, {rate_noinv_fmt}, {remaining} left{postfix}"


class Progress:
    """Samples done, samples per second and remaining time, with the latest loss and the share of time spent on data.

    Args:
        total: Samples in the whole run; None if unknown.
        unit: Name of the counted items.
        seconds: Without a terminal, interval in seconds after which a line is printed even if no loss was reported.
        done: Samples of ``total`` that earlier processes completed.
    """

    def __init__(self, total: int | None, unit: str = "samples", seconds: float = math.inf, done: int = 0) -> None:
        self._on_terminal = sys.stdout.isatty()
        # Without a terminal, tqdm only counts; ``update`` prints its line. From the encoding, tqdm chooses the bar's
        # characters.
        encoding = getattr(sys.stdout, "encoding", None)
        self._sink = None if self._on_terminal else open(os.devnull, "w", encoding=encoding)  # noqa: SIM115
        stream = self._sink or sys.stdout
        self._bar = tqdm(
            total=total, initial=done, unit=f" {unit}", bar_format=_FORMAT, file=stream, dynamic_ncols=True
        )
        self._seconds = seconds
        self._last_print = time.monotonic()

    def start_epoch(self, epoch: int, num_epochs: int) -> None:
        """Show the epoch, counted from 0, in the line, unless the run has only one."""
        text = "" if num_epochs == 1 else f"epoch {epoch}/{num_epochs - 1} "
        self._bar.set_description_str(text, refresh=False)

    def update(self, samples: int, loss: float | None = None, waiting_share: float = 0.0) -> None:
        """Count samples, and show a new loss if there is one.

        Args:
            samples: Samples completed since the last call.
            loss: The loss to show. Without a terminal, a loss prints a line.
            waiting_share: Share of the time spent waiting for data, in [0, 1].
        """
        if loss is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, data {waiting_share:.0%}", refresh=False)
        self._bar.update(samples)
        due = time.monotonic() - self._last_print >= self._seconds
        if (loss is not None or due) and not self._on_terminal:
            print(str(self._bar), flush=True)
            self._last_print = time.monotonic()

    def note(self, message: str) -> None:
        """Print a message above the progress line."""
        self._bar.clear()
        print(message, flush=True)
        if self._on_terminal:
            self._bar.refresh()

    def close(self) -> None:
        """Stop updating; the last line stays on the terminal."""
        self._bar.close()
        if self._sink:
            self._sink.close()


class ThreadedProgress:
    """A progress line that counts fractions, from any thread; without a terminal, it prints a line every 30 s.

    Args:
        total: Units in the whole.
        unit: Name of the unit.
    """

    def __init__(self, total: int, unit: str) -> None:
        self._progress = Progress(total, unit, seconds=30)
        self._lock = threading.Lock()
        self._exact = self._shown = 0

    def __enter__(self) -> "ThreadedProgress":
        return self

    def __exit__(self, *fault: object) -> None:
        self._progress.close()

    def add(self, count: float) -> None:
        """Add a fractional count; update the display by whole units."""
        with self._lock:
            self._exact += count
            if int(self._exact) != self._shown:
                self._progress.update(int(self._exact) - self._shown)
                self._shown = int(self._exact)

    def note(self, message: str) -> None:
        """Print a separate line."""
        with self._lock:
            self._progress.note(message)
