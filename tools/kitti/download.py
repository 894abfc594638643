"""Where files come from: a server by HTTP, resumed where the connection was cut, or a local folder.

``urllib3.Retry`` counts attempts and waits between them. The connection and the server's answer are retried by the
adapter that it is mounted with; a body that is cut off is not, so that `HttpSource` resumes it by a range of bytes.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import MaxRetryError

from common.errors import DataError

RETRIES = 5  # after the first attempt
BACKOFF = 1.0  # seconds; pauses are 0, 2, 4, 8 and 16 times as long
LONGEST_PAUSE = 120.0  # seconds, whatever the server asks for by Retry-After
TIMEOUT = 30.0  # seconds without a sign from the server
CHUNK = 1 << 16  # bytes; a cut connection loses so many at most
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})  # statuses that may be others next time

T = TypeVar("T")


class StoppedError(Exception):
    """The run is ending; what was fetched so far is kept."""


class _IncompleteError(Exception):
    """A body that is not what was asked for; another attempt may get it."""


def _stoppable_retry(stop: threading.Event) -> Retry:
    """Build the retries of one request, whose pauses end with `StoppedError` once ``stop`` is set."""

    class StoppableRetry(Retry):
        def sleep(self, response=None) -> None:
            asked = self.get_retry_after(response) if response is not None else None
            if stop.wait(min(asked or self.get_backoff_time(), LONGEST_PAUSE)):
                raise StoppedError

    return StoppableRetry(RETRIES, backoff_factor=BACKOFF, status_forcelist=TRANSIENT)


class HttpSource:
    """Files below an address.

    Args:
        url: the address.
        stop: once set, everything under way ends with `StoppedError`.
    """

    temporary = True  # what `fetch` gives is a copy, which may be deleted

    def __init__(self, url: str, stop: threading.Event) -> None:
        if not url.startswith(("http://", "https://")):
            raise DataError(f"'{url}' is no address of a server: expected http://... or https://...")
        self.url = url.rstrip("/")
        self._stop = stop
        self._retry = _stoppable_retry(stop)
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=self._retry))

    def size(self, path: str) -> int:
        """Bytes of the file. Raises DataError where the server does not have it, does not say, or does not answer."""
        with self._answer("HEAD", path) as answer:
            length = answer.headers.get("Content-Length", "")
        if not length.isdigit():
            raise DataError(f"{self.url}/{path}: the server does not say how large the file is.")
        return int(length)

    def read(self, path: str) -> bytes:
        """The content of a small file. Raises DataError as `size` does."""

        def ask() -> bytes:
            with self._answer("GET", path) as answer:
                return answer.content

        return self._retry_body(path, ask)

    def fetch(self, path: str, folder: Path, size: int, on_bytes: Callable[[int], None]) -> Path:
        """The file as ``folder/NAME``, whole by its size; while on its way it is ``NAME.part``, and resumed if there.

        Args:
            path: below the server's address.
            folder: where the file goes.
            size: its bytes, as `size` gave them.
            on_bytes: told how many bytes came; fewer than none where the server makes it begin anew.

        Raises:
            DataError: the server does not have it, stops answering, or the file is of another size.
        """
        goal = folder / path.rpartition("/")[2]
        if _size(goal) == size:
            on_bytes(size)
            return goal
        folder.mkdir(parents=True, exist_ok=True)
        part = goal.with_name(goal.name + ".part")
        if _size(part) > size:
            part.unlink()
        part.touch()
        furthest = _size(part)
        on_bytes(furthest)

        def resume() -> None:
            """Append what comes; ends well if that is more than ever, so that attempts are counted anew."""
            nonlocal furthest
            try:
                self._append(path, part, size, on_bytes)
            except (_IncompleteError, requests.RequestException):
                if _size(part) <= furthest:
                    raise
            furthest = max(furthest, _size(part))

        while _size(part) < size:
            self._retry_body(path, resume)
        part.replace(goal)
        return goal

    def _append(self, path: str, part: Path, size: int, on_bytes: Callable[[int], None]) -> None:
        """Adds to the part what the server gives in one go."""
        held = _size(part)
        headers = {"Range": f"bytes={held}-"} if held else {}
        with self._answer("GET", path, headers) as answer:
            if answer.status_code == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {held}-"):
                raise _IncompleteError("the server answers with another range than was asked for")
            resumes = answer.status_code == 206
            if not resumes:
                on_bytes(-held)
                held = 0
            with open(part, "ab" if resumes else "wb") as stream:
                for chunk in answer.iter_content(CHUNK):
                    if self._stop.is_set():
                        raise StoppedError
                    stream.write(chunk)
                    on_bytes(len(chunk))
                    held += len(chunk)
                    if held > size:
                        break
        if held > size:
            part.unlink()
            raise DataError(f"{self.url}/{path}: the server sends more than the {size} bytes that it says there are.")
        if held < size:
            raise _IncompleteError(f"the server sent {held} of {size} bytes")

    def _answer(self, method: str, path: str, headers: dict[str, str] | None = None) -> requests.Response:
        """Send a request, with the adapter's retries; the body of the answer is yet to come.

        Raises:
            DataError: no answer came, or the server does not have the file.
            _IncompleteError: the server has less of the file than the range begins with.
        """
        if self._stop.is_set():
            raise StoppedError
        # Compressed on the way, a file would have another size.
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        address = f"{self.url}/{path}"
        try:
            answer = self._session.request(method, address, headers=headers, stream=True, timeout=TIMEOUT)
        except requests.RequestException as fault:
            raise self._unavailable(path, fault) from fault
        status = answer.status_code
        if status in (200, 206):
            return answer
        answer.close()
        if status == 416:
            raise _IncompleteError("the server has less of the file than it said")
        raise DataError(f"{address}: the server answers {status} {answer.reason}. Check the address and the name.")

    def _retry_body(self, path: str, attempt: Callable[[], T]) -> T:
        """Repeat an attempt after a pause where the body did not come, which the adapter does not retry."""
        retries = self._retry
        while True:
            try:
                return attempt()
            except (requests.RequestException, _IncompleteError) as fault:
                try:
                    retries = retries.increment("GET", path, error=fault)
                except MaxRetryError:
                    raise self._unavailable(path, fault) from fault
                retries.sleep()

    def _unavailable(self, path: str, fault: Exception) -> DataError:
        return DataError(
            f"{self.url}/{path} cannot be fetched: {_reason(fault)} ({RETRIES + 1} attempts). Check the connection; "
            "the same command goes on where this one ended."
        )


class LocalSource:
    """Files of a local folder that stands for the server: under the same paths, or archives all in the folder itself.

    Args:
        root: the folder.
    """

    temporary = False

    def __init__(self, root: Path) -> None:
        self.root = root

    def size(self, path: str) -> int:
        """Bytes of the archive. Raises DataError where it is not there."""
        return self._archive(path).stat().st_size

    def fetch(self, path: str, folder: Path, size: int, on_bytes: Callable[[int], None]) -> Path:
        """The archive where it lies: it is not copied, and not to be deleted."""
        found = self._archive(path)
        on_bytes(size)
        return found

    def read(self, path: str) -> bytes:
        """The content of a split list, of ``root`` or ``root/splits``. Raises DataError where it is not there."""
        return self._find(self.root / path, self.root / "splits" / path).read_bytes()

    def _archive(self, path: str) -> Path:
        return self._find(self.root / path, self.root / path.rpartition("/")[2])

    @staticmethod
    def _find(*candidates: Path) -> Path:
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        raise DataError(f"{' and '.join(map(str, candidates))} are not there.")


def _size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _reason(fault: Exception) -> str:
    """What went wrong, without the layers and objects that a connection's error is wrapped in."""
    inner = fault
    while inner.args and isinstance(inner.args[0], Exception):
        inner = inner.args[0]
    inner = getattr(inner, "reason", inner)
    text = inner.args[0] if inner.args and isinstance(inner.args[0], str) else str(inner)
    return text.rpartition(": ")[2]
