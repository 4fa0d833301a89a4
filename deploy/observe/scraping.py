"""How long a scrape takes of an agent that holds a thousand instances."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.rows import Row, quantile_with_interval
from collector.client import Client
from collector.endpoint import Endpoint
from deploy.observe.filling import ODD_HOST
from deploy.observe.stack import Stack
from deploy.programs import ProgramFailed
from tonnage.identity import METRICS_NAME
from tonnage.model import LogReadiness, Mode, Network, Target, Workload

_INSTANCES, _IN_FLIGHT = 1000, 32
_SCRAPES, _MOST_SECONDS = 100, 0.1
_READY_SECONDS, _DESTROY_SECONDS, _SCRAPE_SECONDS = 60.0, 60.0, 10.0
_AT_ONCE = {"FAKE_CREATE_MS": "0", "FAKE_READY_MS": "0", "FAKE_JITTER_MS": "0"}
_IDLE = Workload("idle", "fake:ok", LogReadiness("TONNAGE READY"), environment=_AT_ONCE)
_TARGET = Target("fake", "fake", "default", Mode.WARM, Network.NONE, _IDLE, 64 << 20)


async def scrapes(made: Stack) -> Row:
    """A row for it, p95, asked as Prometheus asks: by TLS, with a token, a new connection each.

    Raises ``ProgramFailed`` when the agent does not show so many.
    """
    at = made.agents[ODD_HOST].where["metrics"]
    async with _crowd(made):
        shown = await asyncio.to_thread(page, at, made.pki)
        if (held := _held(shown)) < _INSTANCES:
            raise ProgramFailed(f"{ODD_HOST} shows {held:.0f} instances, and not {_INSTANCES}")
        taken = [await asyncio.to_thread(_seconds, at, made.pki) for _ in range(_SCRAPES)]
    value, interval = quantile_with_interval(taken, 0.95)
    note = f"{held:.0f} instances, a page of {len(shown) // 1000} kB"
    return Row("agent /metrics, p95", value, interval, "s", _MOST_SECONDS, "max", _SCRAPES, note)


def _held(shown: str) -> float:
    lines = [line for line in shown.splitlines() if line.startswith("tonnage_instances{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@asynccontextmanager
async def _crowd(made: Stack) -> AsyncIterator[None]:
    """So many instances that start nothing, within the block."""
    gate = asyncio.Semaphore(_IN_FLIGHT)
    launched: list[str] = []
    async with Client(Endpoint(made.address, made.pki)) as client:

        async def launch() -> None:
            async with gate:
                found = await client.launch(ODD_HOST, _TARGET, _READY_SECONDS)
                launched.append(found.instance.instance_id)

        async def destroy(instance: str) -> None:
            async with gate:
                await client.destroy(instance, ODD_HOST)

        try:
            await asyncio.gather(*(launch() for _ in range(_INSTANCES)))
            yield
        finally:
            async with asyncio.timeout(_DESTROY_SECONDS):
                await asyncio.gather(*(destroy(each) for each in launched))


def _seconds(at: str, pki: Path) -> float:
    began = time.perf_counter()
    page(at, pki)
    return time.perf_counter() - began


def page(at: str, pki: Path) -> str:
    """A page of metrics as Prometheus gets it, of a server whose name is verified.

    Raises ``OSError`` where it gets none.
    """
    host, _, port = at.rpartition(":")
    context = ssl.create_default_context(cadata=(pki / "ca.pem").read_text())
    token = (pki / "scrape.token").read_text().split()[0]
    connection = http.client.HTTPSConnection(host, int(port), timeout=_SCRAPE_SECONDS)
    connection.sock = context.wrap_socket(
        socket.create_connection((host, int(port)), _SCRAPE_SECONDS), server_hostname=METRICS_NAME
    )
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"{at} answered {answer.status} {answer.reason}")
        return answer.read().decode()
    finally:
        connection.close()
