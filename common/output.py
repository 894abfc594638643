"""Standard output and error of the scripts: no character and no closed output ends a script with a traceback."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from common.errors import OutputError


@contextlib.contextmanager
def safe_output() -> Iterator[None]:
    """Make ``sys.stdout`` and ``sys.stderr`` safe to print to during the block.

    Characters that the encoding lacks are printed as escapes, unless ``PYTHONIOENCODING`` says how to replace them.
    Streams that were closed before the start lead nowhere. Errors in writing to stdout become ``OutputError``.

    Raises:
        OutputError: Output was lost when it was flushed at the end of a block that raised nothing else.
    """
    with contextlib.ExitStack() as stack:
        if sys.stderr is None:
            stack.enter_context(contextlib.redirect_stderr(stack.enter_context(_nowhere())))
        if sys.stdout is None:
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(_nowhere())))
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
                stream.reconfigure(errors="backslashreplace")
        output = _Output(sys.stdout)
        stack.enter_context(contextlib.redirect_stdout(output))
        try:
            yield
            output.flush()
        except SystemExit:
            output.flush()  # --help
            raise


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8", errors="replace")


class _Output:
    """A text stream whose ``OSError`` become ``OutputError``; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._named_faults():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._named_faults():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _named_faults(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as fault:
            self._discard()
            raise OutputError("the program that read the output has ended. Redirect the output to a file.") from fault
        except OSError as fault:
            self._discard()
            raise OutputError(
                f"the output cannot be written: {fault.strerror or fault}. Redirect it to another file or disk."
            ) from fault

    def _discard(self) -> None:
        """Send further output nowhere: the interpreter flushes what is left at exit, and would fail again."""
        with contextlib.suppress(OSError, ValueError):  # no file, as in notebooks
            descriptor = self._stream.fileno()
            with _nowhere() as nowhere:
                os.dup2(nowhere.fileno(), descriptor)
