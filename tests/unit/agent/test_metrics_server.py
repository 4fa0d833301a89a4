"""The metrics endpoint: plain on loopback, with TLS and a token elsewhere."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge

from agent.errors import ConfigError
from agent.identity.remembered import Remembered
from agent.metrics_server import MetricsServer
from tests.pki import Authority, serial
from tonnage.address import Address
from tonnage.identity import Identity, Role

ANY = Address("127.0.0.1", 0)
TOKEN = "s3cret-Token"  # noqa: S105 (a test's)
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()


@contextmanager
def serving(at: Address = ANY, *args: Any) -> Iterator[Address]:
    registry = CollectorRegistry()
    Gauge("tonnage_test", "A gauge.", registry=registry).set(7)
    server = MetricsServer(registry, at, *args)
    try:
        yield server.address
    finally:
        server.close()


class Scraper(http.client.HTTPSConnection):
    """A scraper that trusts the authority and expects host h1."""

    def __init__(self, authority: Authority, at: Address) -> None:
        self.tls = ssl.create_default_context(cadata=authority.pem.decode())
        super().__init__(at.host, at.port, timeout=10, context=self.tls)

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        name = Identity(Role.AGENT, "h1").dns_name
        self.sock: ssl.SSLSocket = self.tls.wrap_socket(plain, server_hostname=name)


def scrape(
    connection: http.client.HTTPConnection, authorization: str | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request on a connection of its own."""
    headers = {} if authorization is None else {"Authorization": authorization}
    try:
        connection.request("GET", "/metrics", headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_on_loopback_without_tls_it_asks_for_nothing(host: str) -> None:
    with serving(Address(host, 0)) as at:
        answer, body = scrape(http.client.HTTPConnection(at.host, at.port))
    assert answer.status == 200
    assert b"tonnage_test 7.0" in body


def test_a_port_in_use_is_told() -> None:
    with serving() as at, pytest.raises(ConfigError, match=f"127.0.0.1:{at.port}"):
        MetricsServer(CollectorRegistry(), at)


def test_a_token_that_the_collector_told_of_opens_it(authority: Authority) -> None:
    tokens = Remembered(None)
    with serving(ANY, authority.issue(Role.AGENT, "h1"), tokens) as at:
        refused, body = scrape(Scraper(authority, at), f"Bearer {TOKEN}")
        assert refused.status == 401, "none is known yet"
        assert b"tonnage_test" not in body
        tokens.replace([hashlib.sha256(b"another").hexdigest(), DIGEST])
        answer, body = scrape(Scraper(authority, at), f"Bearer {TOKEN}")
        assert answer.status == 200
        assert b"tonnage_test 7.0" in body
        tokens.replace([])
        refused, _ = scrape(Scraper(authority, at), f"Bearer {TOKEN}")
        assert refused.status == 401, "it was taken back"


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", DIGEST, "Bearer \xff"]
)
def test_without_the_token_it_tells_what_is_needed(
    authority: Authority, authorization: str | None
) -> None:
    with serving(ANY, authority.issue(Role.AGENT, "h1"), [DIGEST]) as at:
        answer, body = scrape(Scraper(authority, at), authorization)
    assert answer.status == 401
    assert str(answer.getheader("WWW-Authenticate")).startswith("Bearer ")
    assert b"Authorization: Bearer" in body
    assert b"tonnage_test" not in body


def test_with_tls_nothing_is_told_in_plain(authority: Authority) -> None:
    with serving(ANY, authority.issue(Role.AGENT, "h1"), [DIGEST]) as at:
        with pytest.raises((http.client.HTTPException, OSError)):
            scrape(http.client.HTTPConnection(at.host, at.port, timeout=10), f"Bearer {TOKEN}")
        assert scrape(Scraper(authority, at), f"Bearer {TOKEN}")[0].status == 200


def test_a_client_that_says_nothing_holds_nobody_up(authority: Authority) -> None:
    with (
        serving(ANY, authority.issue(Role.AGENT, "h1"), [DIGEST]) as at,
        socket.create_connection((at.host, at.port)),
    ):
        assert scrape(Scraper(authority, at), f"Bearer {TOKEN}")[0].status == 200


@pytest.mark.parametrize("words", [[b""], [b"GET", b" /metrics", b" HTTP/1.1\r\nA: b", b"c"]])
def test_a_client_that_never_ends_its_request_is_let_go(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, words: list[bytes]
) -> None:
    monkeypatch.setattr("agent.metrics_server._REQUEST_SECONDS", 0.2)
    with serving(ANY, authority.issue(Role.AGENT, "h1"), [DIGEST]) as at:
        slow = Scraper(authority, at)
        slow.connect()
        for word in words:
            slow.sock.sendall(word)
        assert slow.sock.recv(1) == b"", "it was ended, and no word of an answer came"
        slow.close()
        silent = socket.create_connection((at.host, at.port), timeout=10)
        assert silent.recv(1) == b"", "nor has it to shake hands"
        silent.close()


def test_a_renewed_certificate_is_shown_without_a_restart(authority: Authority) -> None:
    files = authority.issue(Role.AGENT, "h1")
    with serving(ANY, files, [DIGEST]) as at:
        before = _shown(authority, at)
        assert before == serial(files)
        authority.issue(Role.AGENT, "h1")
        assert _shown(authority, at) == serial(files) != before


def _shown(authority: Authority, at: Address) -> str:
    scraper = Scraper(authority, at)
    scraper.connect()
    try:
        return f"{int(str((scraper.sock.getpeercert() or {})['serialNumber']), 16):x}"
    finally:
        scraper.close()
