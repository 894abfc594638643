"""One line of progress: rewritten in place on a terminal, printed now and then into a file."""

import math
import os
import sys
import time

from tqdm import tqdm

_FORMAT = "{desc} {percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt}{unit}, {rate_noinv_fmt}, {remaining} left{postfix}"


class Progress:
    """Samples done, samples a second, time left, and of the last news the loss and how much time the data took.

    Args:
        total: samples in the whole run; None where that is not known.
        unit: what is counted.
        seconds: away from a terminal, a line is printed when so many have passed since the last, without news too.
        done: of the total, before this process.
    """

    def __init__(self, total: int | None, unit: str = "samples", seconds: float = math.inf, done: int = 0) -> None:
        self._on_terminal = sys.stdout.isatty()
        # Away from a terminal tqdm only keeps the figures, and their line is printed when there is news.
        self._sink = None if self._on_terminal else open(os.devnull, "w")  # noqa: SIM115
        stream = self._sink or sys.stdout
        self._bar = tqdm(
            total=total, initial=done, unit=f" {unit}", bar_format=_FORMAT, file=stream, dynamic_ncols=True
        )
        self._seconds = seconds
        self._last_print = time.monotonic()

    def start_epoch(self, epoch: int, num_epochs: int) -> None:
        """Names the epoch, counted from 0, in the line."""
        self._bar.set_description_str(f"epoch {epoch}/{num_epochs - 1}", refresh=False)

    def update(self, samples: int, loss: float | None = None, waiting_share: float = 0.0) -> None:
        """Counts samples; a loss is news, and shown with the share of time that was spent waiting for data."""
        if loss is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, data {waiting_share:.0%}", refresh=False)
        self._bar.update(samples)
        due = time.monotonic() - self._last_print >= self._seconds
        if (loss is not None or due) and not self._on_terminal:
            print(str(self._bar), flush=True)
            self._last_print = time.monotonic()

    def note(self, message: str) -> None:
        """Prints a line of its own above the progress."""
        self._bar.clear()
        print(message, flush=True)
        if self._on_terminal:
            self._bar.refresh()

    def close(self) -> None:
        """Leaves the last line standing."""
        self._bar.close()
        if self._sink:
            self._sink.close()
