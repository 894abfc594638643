"""Fetch files from an HTTP server, with resumable downloads, or from a local folder.

``urllib3.Retry`` counts attempts and computes the pauses between them. The session's adapter retries failed connections
and error statuses, but not interrupted bodies: ``HttpSource`` resumes these with a range request.
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
BACKOFF = 1.0  # seconds; pauses are 0, 2, 4, 8 and 16 times this value
LONGEST_PAUSE = 120.0  # seconds; upper bound for Retry-After
TIMEOUT = 30.0  # seconds without a response from the server
CHUNK = 1 << 16  # bytes; at most one chunk is lost when the connection fails
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP statuses worth a retry

T = TypeVar("T")


class StoppedError(Exception):
    """The run is stopping; partial downloads are kept."""


class _IncompleteError(Exception):
    """The response body differs from the request; a retry may succeed."""


def _stoppable_retry(stop: threading.Event) -> Retry:
    """Build the retry policy of one request; its pauses raise ``StoppedError`` when ``stop`` is set."""

    class StoppableRetry(Retry):
        def sleep(self, response=None) -> None:
            asked = self.get_retry_after(response) if response is not None else None
            if stop.wait(min(asked or self.get_backoff_time(), LONGEST_PAUSE)):
                raise StoppedError

    return StoppableRetry(RETRIES, backoff_factor=BACKOFF, status_forcelist=TRANSIENT)


class HttpSource:
    """Source of files on an HTTP server.

    Args:
        url: base address.
        stop: event that makes running requests raise ``StoppedError``.

    Raises:
        DataError: ``url`` is not an HTTP address.
    """

    temporary = True  # fetched files are copies and may be deleted

    def __init__(self, url: str, stop: threading.Event) -> None:
        if not url.startswith(("http://", "https://")):
            raise DataError(f"'{url}' is not a server address. Expected http://... or https://...")
        self.url = url.rstrip("/")
        self._stop = stop
        self._retry = _stoppable_retry(stop)
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=self._retry))

    def size(self, path: str) -> int:
        """Get the size of a file in bytes.

        Raises:
            DataError: the file is unavailable, or the server does not report its size.
        """
        with self._answer("HEAD", path) as answer:
            length = answer.headers.get("Content-Length", "")
        if not length.isdigit():
            raise DataError(f"{self.url}/{path}: the server does not report the file size.")
        return int(length)

    def read(self, path: str) -> bytes:
        """Read a small file.

        Raises:
            DataError: the file is unavailable.
        """

        def ask() -> bytes:
            with self._answer("GET", path) as answer:
                return answer.content

        return self._retry_body(path, ask)

    def fetch(
        self, path: str, folder: Path, size: int, on_bytes: Callable[[int], None], name: str | None = None
    ) -> Path:
        """Download a file to ``folder/NAME``, via ``NAME.part``, from which an interrupted download resumes.

        Args:
            path: path relative to the server's address.
            folder: target folder.
            size: bytes of the file, as returned by ``size``.
            on_bytes: called with the number of received bytes; negative if the server restarts the download.
            name: NAME; None takes the last component of ``path``.

        Returns:
            The complete file.

        Raises:
            DataError: the file is unavailable, or its size differs from ``size``.
        """
        goal = folder / (name or path.rpartition("/")[2])
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
            """Append to the part; return without an error after progress, which resets the attempt counter."""
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
        """Append the body of one response to the part."""
        held = _size(part)
        headers = {"Range": f"bytes={held}-"} if held else {}
        with self._answer("GET", path, headers) as answer:
            if answer.status_code == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {held}-"):
                raise _IncompleteError("the server sent another range than requested")
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
            raise DataError(f"{self.url}/{path}: the server sent more than the reported {size} bytes.")
        if held < size:
            raise _IncompleteError(f"the server sent {held} of {size} bytes")

    def _answer(self, method: str, path: str, headers: dict[str, str] | None = None) -> requests.Response:
        """Send a request with the adapter's retries; the body of the response is not read yet.

        Raises:
            DataError: the server does not respond or does not have the file.
            _IncompleteError: the requested range starts after the end of the file.
        """
        if self._stop.is_set():
            raise StoppedError
        # Disable compression, which would change the size of the body.
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
            raise _IncompleteError("the file on the server is smaller than reported")
        raise DataError(f"{address}: the server responded {status} {answer.reason}. Check the address and the name.")

    def _retry_body(self, path: str, attempt: Callable[[], T]) -> T:
        """Retry an attempt whose body was incomplete, which the adapter does not do."""
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
            f"{self.url}/{path} is unavailable: {_reason(fault)} ({RETRIES + 1} attempts). Check the connection and "
            "run the same command again to resume."
        )


class LocalSource:
    """Source of files in a local folder with the paths of the server, or with all archives directly in the folder.

    Args:
        root: the folder.
    """

    temporary = False

    def __init__(self, root: Path) -> None:
        self.root = root

    def size(self, path: str) -> int:
        """Get the size of an archive in bytes.

        Raises:
            DataError: the archive was not found.
        """
        return self._archive(path).stat().st_size

    def fetch(self, path: str, folder: Path, size: int, on_bytes: Callable[[int], None]) -> Path:
        """Locate an archive; it is not copied and must not be deleted.

        Raises:
            DataError: the archive was not found.
        """
        found = self._archive(path)
        on_bytes(size)
        return found

    def read(self, path: str) -> bytes:
        """Read a split list from ``root`` or ``root/splits``.

        Raises:
            DataError: the list was not found.
        """
        return self._find(self.root / path, self.root / "splits" / path).read_bytes()

    def _archive(self, path: str) -> Path:
        return self._find(self.root / path, self.root / path.rpartition("/")[2])

    @staticmethod
    def _find(*candidates: Path) -> Path:
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        paths = " and ".join(f"'{path}'" for path in dict.fromkeys(candidates))
        raise DataError(f"{paths} not found.")


def _size(path: Path) -> int:
    """Get the size of a file in bytes, 0 if it does not exist."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _reason(fault: Exception) -> str:
    """Extract the innermost reason of a connection error, without its wrapping exceptions and object names."""
    inner = fault
    while inner.args and isinstance(inner.args[0], Exception):
        inner = inner.args[0]
    inner = getattr(inner, "reason", inner)
    text = inner.args[0] if inner.args and isinstance(inner.args[0], str) else str(inner)
    return text.rpartition(": ")[2]
