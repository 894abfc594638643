"""A local HTTP server with configurable faults."""

import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FaultyServer:
    """HTTP server for the files of a folder, with range requests and configurable faults.

    Attributes:
        faults: path -> list of faults, one per GET request: a status to respond with, or a function that receives the
            handler and the remaining bytes and sends the response.
        requests: received requests, (method, path, Range).
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults = defaultdict(list)
        self.sizes: dict[str, int] = {}  # wrong sizes for HEAD responses
        self.ranges = True
        self.requests: list[tuple[str, str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                outer.answer(self, body=False)

            def do_GET(self):
                outer.answer(self, body=True)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda request, address: None  # do not log interrupted connections
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, body: bool) -> None:
        path = handler.path.lstrip("/")
        self.requests.append((handler.command, path, handler.headers.get("Range")))
        fault = self.faults[path].pop(0) if body and self.faults[path] else None
        file = self.root / path
        if isinstance(fault, int) or not file.is_file():
            handler.send_response(fault or 404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        content, status, start = file.read_bytes(), 200, 0
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
        if asked and self.ranges:
            status, start = 206, int(asked[1])
        if start and start >= len(content):
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        due = content[start:]
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(due) if body else self.sizes.get(path, len(due))))
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        if body:
            (fault or (lambda handler, due: handler.wfile.write(due)))(handler, due)


def cut_after(count: int):
    """Build a fault that closes the connection after a number of body bytes."""

    def send(handler: BaseHTTPRequestHandler, due: bytes) -> None:
        handler.wfile.write(due[:count])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.close()

    return send
