"""What an agent costs while 200 containers rest under it."""

from __future__ import annotations

import asyncio
import time
from urllib.request import urlopen

import numpy as np
import psutil

from benchmarks.live_agent import LiveAgent, live_agent, target
from benchmarks.rows import Row, quantile_with_interval
from tonnage.v1 import agent_pb2
from tonnage.wire import to_message

_CONTAINERS, _IN_FLIGHT = 200, 4
_WINDOWS, _WINDOW_SECONDS = 30, 1.0
_SCRAPE_EVERY_WINDOWS = 15  # Prometheus's usual interval, in windows
_SCRAPES = 300


async def measure() -> list[Row]:
    """Rows for CPU, memory, and the metrics endpoint."""
    async with live_agent("docker") as agent:
        await _fill(agent)
        cpu, rss = await _rest(agent)
        scrapes = [await _scrape(agent) for _ in range(_SCRAPES)]
    mean = float(np.mean(cpu))
    picks = np.random.default_rng(1).integers(0, len(cpu), (5000, len(cpu)))
    low, high = np.quantile(np.mean(np.asarray(cpu)[picks], axis=1), [0.025, 0.975])
    p99, p99_ci = quantile_with_interval(scrapes, 0.99)
    under = f"{_CONTAINERS} containers"
    return [
        Row("idle agent, CPU", mean, (float(low), float(high)), "% of a core", 1.0, "max", _WINDOWS,
            f"{under}; a scrape every {_SCRAPE_EVERY_WINDOWS} s"),
        Row("idle agent, RSS", max(rss), (min(rss), max(rss)), "MB", 90.0, "max", len(rss), under),
        Row("agent /metrics, p99", p99, p99_ci, "s", 0.05, "max", _SCRAPES, under),
    ]  # fmt: skip


async def _fill(agent: LiveAgent) -> None:
    request = agent_pb2.LaunchRequest(
        target=to_message(target("docker")), ready_timeout_seconds=60.0
    )
    gate = asyncio.Semaphore(_IN_FLIGHT)

    async def launch() -> None:
        async with gate:
            await agent.stub.Launch(request)

    await asyncio.gather(*(launch() for _ in range(_CONTAINERS)))


async def _rest(agent: LiveAgent) -> tuple[list[float], list[float]]:
    """CPU share of each window in percent, and RSS in MB."""
    process = psutil.Process(agent.pid)
    await asyncio.sleep(2 * _WINDOW_SECONDS)
    cpu, rss = [], []
    for window in range(_WINDOWS):
        before, began = process.cpu_times(), time.monotonic()
        if window % _SCRAPE_EVERY_WINDOWS == 0:
            await _scrape(agent)
        await asyncio.sleep(_WINDOW_SECONDS)
        after, elapsed = process.cpu_times(), time.monotonic() - began
        used = after.user + after.system - before.user - before.system
        cpu.append(round(100 * used / elapsed, 6))  # a difference of clocks may be -1e-14
        rss.append(process.memory_info().rss / 1e6)
    return cpu, rss


async def _scrape(agent: LiveAgent) -> float:
    def get() -> float:
        began = time.perf_counter()
        with urlopen(f"http://{agent.metrics}/metrics", timeout=10) as answer:
            answer.read()
        return time.perf_counter() - began

    return await asyncio.to_thread(get)
