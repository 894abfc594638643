"""Check quickly whether a server can be reached, before a download that retries for long."""

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

TIMEOUT = 5.0  # seconds
PORTS = {"http": 80, "https": 443}


def check_connection(url: str) -> None:
    """Check that the server of ``url`` accepts connections; skip the check behind a proxy.

    Raises:
        OSError: The server cannot be reached.
    """
    parts = urlsplit(url)
    if parts.scheme not in getproxies():
        socket.create_connection((parts.hostname, parts.port or PORTS[parts.scheme]), timeout=TIMEOUT).close()
