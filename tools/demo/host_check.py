"""Refusal of requests under a foreign host name, which a web page can point at this server (DNS rebinding)."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection
from typing import Any

LOCAL = ("localhost", "127.0.0.1", "::1")
WILDCARDS = ("0.0.0.0", "::")  # listen on every address of the machine


def known_hosts(address: str, allowed: Collection[str]) -> frozenset[str]:
    """Return the host names of a server: its address, localhost, the ``allowed`` ones, in lower case."""
    names = {address, *LOCAL, *allowed}
    if address in WILDCARDS:
        names.add(socket.gethostname())
    return frozenset(name.lower() for name in names)


def host_name(header: str) -> str:
    """Return the name in a ``Host`` header, without port, brackets and case."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


class HostCheck:
    """ASGI middleware that answers 403 to requests whose ``Host`` is not known.

    Args:
        app: The application.
        address: Address that the server listens on. If that is every address, any numeric address is accepted:
            only names can be pointed at a foreign server.
        allowed: Further names.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], address: str, allowed: Collection[str] = ()) -> None:
        self._app = app
        self._names = known_hosts(address, allowed)
        self._numeric = address in WILDCARDS

    async def __call__(self, scope: dict[str, Any], receive: Callable, send: Callable) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = [value for name, value in scope["headers"] if name == b"host"]
        if len(headers) == 1 and self._is_known(host_name(headers[0].decode("latin-1"))):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            text = b"Unknown host name. The operator can accept it: --allowed_hosts NAME\n"
            fields = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": fields})
            await send({"type": "http.response.body", "body": text})

    def _is_known(self, name: str) -> bool:
        if name in self._names:
            return True
        try:
            return self._numeric and bool(ipaddress.ip_address(name))
        except ValueError:
            return False
