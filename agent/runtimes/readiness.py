"""Readiness and health: signals that the workload itself gives.

On the console there is no polling at all: ``Console.watch`` resolves with the
instant at which the chunk that completed the text was read.

A listening socket in another network namespace announces itself to nobody, so
``tcp`` and ``http`` must try. An attempt that is refused is answered by the
kernel at once, and the next begins after the larger of 1 ms and 0.5 % of the
time already waited, at most 10 ms: the instant found is late by no more than
that plus one connection set-up, and the trying takes no CPU worth naming from
what it waits for. ``Attempts`` tells how late a result may be.

Addresses are the instance's own. A forwarded port answers for its forwarder,
never for the workload, and is not accepted here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from agent.errors import NoAnswer
from agent.runtimes.console import Console, ConsoleEnded, ConsoleFlood
from tonnage.model import ConsoleHealth, Health, HttpHealth, HttpReadiness, TcpReadiness

FIRST_RETRY_SECONDS = 0.001
LAST_RETRY_SECONDS = 0.010
RETRY_SHARE = 0.005
CONNECT_SECONDS = 0.25
EXCHANGE_SECONDS = 5.0
HEALTH_SECONDS = 3.0
_STATUS_LINE_BYTES = 4096
_ASKED_WITH = "tonnage/idle:1 answers; another workload must answer this line on its console."

Send = Callable[[bytes], Awaitable[None]]
Judge = Callable[[bytes], bool | None]


class _Exchange(asyncio.Protocol):
    """Sends one request and judges the answer as it arrives.

    ``done`` gives the instant of the chunk that decided for it, and ``None``
    if the answer was a refusal or the peer closed without one.
    """

    def __init__(self, request: bytes, judge: Judge) -> None:
        self._request = request
        self._judge = judge
        self._received = b""
        self.done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._request and isinstance(transport, asyncio.WriteTransport):
            transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        at_monotonic_ns = time.monotonic_ns()
        self._received += data
        verdict = self._judge(self._received)
        if verdict is not None:
            self._settle(at_monotonic_ns if verdict else None)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._settle(None)

    def _settle(self, result: int | None) -> None:
        if not self.done.done():
            self.done.set_result(result)


def _any_bytes(received: bytes) -> bool | None:
    return True if received else None


def _status_2xx(received: bytes) -> bool | None:
    """Whether an HTTP status line says 2xx; ``None`` while it is incomplete."""
    line, newline, _ = received.partition(b"\r\n")
    if not newline:
        return None if len(received) < _STATUS_LINE_BYTES else False
    parts = line.split(b" ", 2)
    return len(parts) >= 2 and parts[0].startswith(b"HTTP/1.") and parts[1][:1] == b"2"


def _http_get(address: str, port: int, path: str) -> bytes:
    host = f"[{address}]" if ":" in address else address
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "User-Agent: tonnage\r\nConnection: close\r\n\r\n"
    ).encode()


async def _attempt(address: str, port: int, request: bytes, judge: Judge) -> int | None:
    """One connection, one exchange; ``None`` if it was refused, reset or not answered in time."""
    loop = asyncio.get_running_loop()
    exchange = _Exchange(request, judge)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            transport, _ = await loop.create_connection(lambda: exchange, address, port)
    except OSError:  # TimeoutError is one
        return None
    try:
        async with asyncio.timeout(EXCHANGE_SECONDS):
            return await exchange.done
    except TimeoutError:
        return None
    finally:
        transport.abort()


def retry_after_seconds(waited_seconds: float) -> float:
    """Rest before the next attempt, and so the resolution of the instant found."""
    return min(max(FIRST_RETRY_SECONDS, RETRY_SHARE * waited_seconds), LAST_RETRY_SECONDS)


async def network_ready(condition: TcpReadiness | HttpReadiness, address: str) -> int:
    """Wait until the workload at ``address`` answers.

    Returns the ``CLOCK_MONOTONIC`` nanoseconds at which its first bytes (tcp)
    or its 2xx status line (http) were read. Has no deadline: the caller bounds
    and cancels it, and watches for the instance's end meanwhile.
    """
    if isinstance(condition, TcpReadiness):
        request, judge = condition.send.encode(), _any_bytes
    else:
        request, judge = _http_get(address, condition.port, condition.path), _status_2xx
    began = time.monotonic()
    while True:
        at_monotonic_ns = await _attempt(address, condition.port, request, judge)
        if at_monotonic_ns is not None:
            return at_monotonic_ns
        await asyncio.sleep(retry_after_seconds(time.monotonic() - began))


async def console_answers(health: ConsoleHealth, console: Console, send: Send) -> bool:
    """Whether the console answers ``ask`` within ``HEALTH_SECONDS``."""
    answer = console.watch(health.answer)
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            await send(health.ask.encode() + b"\n")
            await answer
    except (ConsoleEnded, OSError):  # TimeoutError is an OSError
        return False
    finally:
        answer.cancel()
    return True


async def conversation(
    line: str, until: str, timeout_seconds: float, *, console: Console, send: Send
) -> str:
    """``Conversing.ask`` for an instance with this console, written to by ``send``."""
    answer = console.record(until)
    try:
        async with asyncio.timeout(timeout_seconds):
            await send(line.encode() + b"\n")
            return await answer
    except TimeoutError as error:
        why = f"the workload did not answer {line!r} within {timeout_seconds:g} s"
        raise NoAnswer(why, remedy=_ASKED_WITH) from error
    except (ConsoleEnded, OSError) as error:
        raise NoAnswer(f"{line!r} cannot be asked: the console is closed") from error
    except ConsoleFlood as error:
        raise NoAnswer(f"{line!r} was answered without an end") from error
    finally:
        answer.cancel()


async def http_answers(health: HttpHealth, address: str) -> bool:
    """Whether one HTTP GET is answered with a 2xx status within ``HEALTH_SECONDS``."""
    request = _http_get(address, health.port, health.path)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HEALTH_SECONDS):
            return await _attempt(address, health.port, request, _status_2xx) is not None
    return False


async def healthy(
    health: Health | None, *, console: Console, send: Send, address: str | None
) -> bool:
    """Whether a live instance answers its health check; true where it declares none.

    ``address`` is its own address, ``None`` where it has none (then http fails).
    """
    match health:
        case None:
            return True
        case ConsoleHealth():
            return await console_answers(health, console, send)
        case HttpHealth():
            return address is not None and await http_answers(health, address)
