"""The HTTP pages to strangers who hold connections."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry

from collector.server.http import HttpServer, application
from tonnage.address import Address


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    monkeypatch.setattr("collector.server.http._CONNECTION_SECONDS", 0.5)
    monkeypatch.setattr("collector.server.http._FROM_ONE_MOST", 3)
    app = application(CollectorRegistry(), lambda: True)
    with HttpServer(app, Address("127.0.0.1", 0)) as server:
        yield server.address


def healthy(at: Address) -> bool:
    connection = http.client.HTTPConnection(at.host, at.port, timeout=10)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read() == b"ok\n"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-"])
def test_a_connection_that_asks_for_nothing_is_ended(at: Address, said: bytes) -> None:
    with socket.create_connection((at.host, at.port), timeout=10) as idle:
        idle.sendall(said)
        assert idle.recv(1) == b""


def test_one_address_holds_so_many_and_no_more_and_not_for_long(at: Address) -> None:
    with ExitStack() as stack:
        held = [
            stack.enter_context(socket.create_connection((at.host, at.port), timeout=10))
            for _ in range(3)
        ]
        assert not healthy(at)
        assert all(each.recv(1) == b"" for each in held)
        assert healthy(at)
