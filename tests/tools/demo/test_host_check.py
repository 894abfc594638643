"""Requests under foreign host names are refused."""

import asyncio

import pytest

from tools.demo.host_check import HostCheck


def status_of(check: HostCheck, *hosts: str, kind: str = "http"):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "headers": [(b"host", host.encode()) for host in hosts]}
    asyncio.run(check(scope, None, send))
    return sent[0].get("status", sent[0]["type"])


async def page(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize(
    ("address", "allowed", "host", "status"),
    [
        ("127.0.0.1", (), "127.0.0.1:7860", 200),
        ("127.0.0.1", (), "localhost:7860", 200),
        ("127.0.0.1", (), "LOCALHOST", 200),
        ("127.0.0.1", (), "[::1]:7860", 200),
        ("127.0.0.1", (), "evil.example:7860", 403),
        ("127.0.0.1", (), "localhost.evil.example", 403),
        ("127.0.0.1", (), "10.0.0.5:7860", 403),
        ("127.0.0.1", (), "", 403),
        ("127.0.0.1", (), "[", 403),
        ("127.0.0.1", ("Depth.example",), "depth.example", 200),
        ("10.0.0.5", (), "10.0.0.5:7860", 200),
        ("0.0.0.0", (), "10.0.0.5:7860", 200),
        ("::", (), "[fe80::1]:7860", 200),
        ("0.0.0.0", (), "evil.example", 403),
    ],
)
def test_known_names_only(address, allowed, host, status):
    assert status_of(HostCheck(page, address, allowed), host) == status


def test_missing_and_repeated_headers_are_refused():
    check = HostCheck(page, "127.0.0.1")
    assert status_of(check) == 403 and status_of(check, "localhost", "evil.example") == 403
    assert status_of(check, "evil.example", kind="websocket") == "websocket.close"
    assert status_of(check, kind="lifespan") == 200
