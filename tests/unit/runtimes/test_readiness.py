"""Readiness over the network and health checks, against small servers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from agent.runtimes import readiness
from agent.runtimes.console import Console
from agent.runtimes.readiness import healthy, network_ready, retry_after_seconds
from tonnage.model import ConsoleHealth, HttpHealth, HttpReadiness, TcpReadiness

HOST = "127.0.0.1"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, port: int = 0) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, HOST, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answer(*chunks: bytes, requests: list[bytes] | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if requests is not None:
            requests.append(request)
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0.005)

    return handler


async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Accept, and say nothing for as long as the other side stays."""
    await reader.read()


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


async def test_tcp_is_ready_at_the_first_bytes() -> None:
    async with serving(answer(b"", b"hi")) as port:
        before = time.monotonic_ns()
        at = await network_ready(TcpReadiness(port, send="x\r\n\r\n"), HOST)
        assert before < at <= time.monotonic_ns()


async def test_tcp_that_only_accepts_is_never_ready() -> None:
    async with serving(hold) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await network_ready(TcpReadiness(port), HOST)


async def test_a_port_that_opens_late_is_found() -> None:
    port = unused_port()
    waiting = asyncio.ensure_future(network_ready(HttpReadiness(port), HOST))
    await asyncio.wait([waiting], timeout=0.05)
    assert not waiting.done()
    async with serving(answer(b"HTTP/1.0 204 No Content\r\n\r\n"), port):
        opened = time.monotonic_ns()
        assert await asyncio.wait_for(waiting, 5) >= opened - 1_000_000


async def test_http_asks_for_its_path_and_reads_a_status_in_pieces() -> None:
    requests: list[bytes] = []
    async with serving(answer(b"HTTP/1.1 2", b"00 OK\r", b"\n\r\n", requests=requests)) as port:
        await asyncio.wait_for(network_ready(HttpReadiness(port, "/up?x=1"), HOST), 5)
    assert requests[0].startswith(b"GET /up?x=1 HTTP/1.1\r\n")
    assert f"Host: {HOST}:{port}\r\n".encode() in requests[0]


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 503 Wait\r\n\r\n",
        b"HTTP/1.1 302 Found\r\n\r\n",
        b"SSH-2.0-nothing\r\n",
        b"\r\n",
        b"x" * 10_000,
    ],
)
async def test_what_is_no_2xx_is_asked_again_until_it_is(reply: bytes) -> None:
    asked = 0

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await answer(reply if asked < 4 else b"HTTP/1.1 200 OK\r\n\r\n")(reader, writer)

    async with serving(later) as port:
        await asyncio.wait_for(network_ready(HttpReadiness(port), HOST), 5)
    assert asked == 4


def test_the_rest_between_attempts_is_small_against_the_wait() -> None:
    assert retry_after_seconds(0.0) == 0.001
    assert retry_after_seconds(1.0) == 0.005
    assert retry_after_seconds(60.0) == 0.010


class Talk:
    """An instance's side of a console."""

    def __init__(self, reply: bytes | None) -> None:
        self.console = Console()
        self.asked: list[bytes] = []
        self._reply = reply

    async def send(self, data: bytes) -> None:
        self.asked.append(data)
        if self._reply is None:
            raise BrokenPipeError
        self.console.feed(self._reply, 1)


ASK = ConsoleHealth("ping", "pong")


async def test_a_console_that_answers_is_healthy() -> None:
    talk = Talk(b"pong\n")
    assert await healthy(ASK, console=talk.console, send=talk.send, address=None)
    assert talk.asked == [b"ping\n"]


async def test_an_answer_of_before_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "HEALTH_SECONDS", 0.02)
    talk = Talk(b"what?\n")
    talk.console.feed(b"pong", 1)
    assert not await healthy(ASK, console=talk.console, send=talk.send, address=None)


@pytest.mark.parametrize("ended", [True, False])
async def test_a_closed_console_is_not_healthy(ended: bool) -> None:
    talk = Talk(b"" if ended else None)
    if ended:
        talk.console.end()
    assert not await healthy(ASK, console=talk.console, send=talk.send, address=None)


async def test_without_a_check_being_alive_is_enough() -> None:
    talk = Talk(b"")
    assert await healthy(None, console=talk.console, send=talk.send, address=None)
    assert talk.asked == []


@pytest.mark.parametrize(("reply", "expected"), [(b"200 OK", True), (b"500 No", False)])
async def test_http_health_is_one_question(reply: bytes, expected: bool) -> None:
    talk = Talk(b"")
    async with serving(answer(b"HTTP/1.1 " + reply + b"\r\n\r\n")) as port:
        check = HttpHealth(port)
        got = await healthy(check, console=talk.console, send=talk.send, address=HOST)
    assert got is expected


async def test_http_health_without_an_address_or_a_listener_fails() -> None:
    talk = Talk(b"")
    for address in (None, HOST):
        check = HttpHealth(unused_port())
        assert not await healthy(check, console=talk.console, send=talk.send, address=address)
