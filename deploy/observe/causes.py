"""What makes alerts fire, in earnest, and is made good again afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from deploy.observe.filling import (
    IMAGE,
    ODD_HOST,
    REAL_HOSTS,
    Machine,
    ended,
    experiment,
    launch,
)
from deploy.observe.rules import Alert
from deploy.observe.stack import Stack

_SPECS = Path(__file__).parent / "experiments"
_QUIET, _VICTIM = REAL_HOSTS
_AT_ONCE = ("FAKE_CREATE_MS=0", "FAKE_READY_MS=0", "FAKE_JITTER_MS=0")
_SHORT_LIFE_SECONDS = "900"
_LOOK_SECONDS = 0.5
_ROOM = 8

Making = Callable[[Stack, Machine], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Cause:
    """``what`` is done, and the ``alerts`` that must follow while the block of ``making`` lasts."""

    alerts: tuple[str, ...]
    what: str
    making: Making


def _trickle(*settings: str) -> tuple[Path, tuple[str, ...]]:
    return _SPECS / "trickle.yaml", settings


def _environment(*pairs: str) -> tuple[str, ...]:
    return tuple(f"workload.environment.{pair}" for pair in pairs)


@asynccontextmanager
async def _a_run_that_outlives_it(made: Stack, host: str) -> AsyncIterator[None]:
    """A long run on ``host``; cancelled at the end if it is still there."""
    many = ("startup.trials=20000", f"hosts.names=[{host}]")
    run_id = await experiment(made, *_trickle(*many, *_environment(*_AT_ONCE)))
    try:
        await _under_way(made, run_id)
        yield
    finally:
        # It may have ended by what was done to it, and the collector may still be coming back.
        await made.operator.tonnage("cancel", run_id, quiet=True, expect=range(256))
        await ended(made, run_id)


async def _under_way(made: Stack, run_id: str) -> None:
    async with asyncio.timeout(60):
        while True:
            done = await made.operator.tonnage("show", run_id, quiet=True, expect=range(256))
            if done.code == 0 and "running" in done.out:
                return


@asynccontextmanager
async def _agent_killed(made: Stack, _: Machine) -> AsyncIterator[None]:
    async with _a_run_that_outlives_it(made, _VICTIM):
        await made.agents[_VICTIM].kill()
        try:
            yield
        finally:
            await made.agents[_VICTIM].start()


@asynccontextmanager
async def _collector_held(made: Stack, _: Machine) -> AsyncIterator[None]:
    async with _a_run_that_outlives_it(made, ODD_HOST):
        made.collector.pause()
        try:
            yield
        finally:
            made.collector.resume()


@asynccontextmanager
async def _database_shut(made: Stack, _: Machine) -> AsyncIterator[None]:
    async with _a_run_that_outlives_it(made, ODD_HOST):
        name = made.store.rpartition("/")[2]
        await _administer(made, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            gone = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='{name}'"  # noqa: S608 - our own name
            await _administer(made, gone)
            yield
        finally:
            await _administer(made, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


async def _administer(made: Stack, statement: str) -> None:
    connection = await asyncpg.connect(made.administration)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def _engine_gone(made: Stack, _: Machine) -> AsyncIterator[None]:
    """Outside of a run: while one is at work nobody looks whether its engine is well."""
    container = await launch(made, "docker", IMAGE, ODD_HOST)
    await made.gate.shut()
    try:
        await made.operator.tonnage("destroy", container, quiet=True, expect=range(256))
        yield
    finally:
        await made.gate.open()  # then the agent removes what it could not


def _run(settings: Callable[[], tuple[Path, tuple[str, ...]]]) -> Making:
    """A run is the cause: it goes on while one looks, or has just ended."""

    @asynccontextmanager
    async def making(made: Stack, _: Machine) -> AsyncIterator[None]:
        run_id = await experiment(made, *settings())
        try:
            yield
        finally:
            await made.operator.tonnage("cancel", run_id, quiet=True, expect=range(256))
            await ended(made, run_id)

    return making


def _failing_starts() -> tuple[Path, tuple[str, ...]]:
    """On the host that no other cause has: the tens of thousands that are ready at once where
    collector and database are away would hide any failures for an hour. It may have missed a
    lease while the collector was held."""
    failing = _environment("FAKE_FAIL_RATE=0.3", *_AT_ONCE)
    quiet = (f"hosts.names=[{_QUIET}]", "hosts.wait=60s")
    return _trickle("startup.trials=1000", *quiet, *failing)


@asynccontextmanager
async def _full_host(made: Stack, _: Machine) -> AsyncIterator[None]:
    """A ramp first finds out how few there is room for; then people take that room."""
    few = ("startup.trials=3", "footprint.counts=[1,2]", *_environment(f"FAKE_CAPACITY={_ROOM}"))
    run_id = await experiment(made, _SPECS / "fakes.yaml", (*few, f"hosts.names=[{ODD_HOST}]"))
    await ended(made, run_id)
    launched: list[str] = []
    try:
        for _number in range(_ROOM):
            launched.append(await launch(made, "fake", "fake:ok", ODD_HOST))  # noqa: PERF401 - kept should one fail
        yield
    finally:
        for instance in launched:
            await made.operator.tonnage("destroy", instance, quiet=True)


@asynccontextmanager
async def _certificate_short(made: Stack, _: Machine) -> AsyncIterator[None]:
    made.collector_flags = ("--certificate-life", _SHORT_LIFE_SECONDS)
    await _join_again(made)
    try:
        yield
    finally:
        made.collector_flags = ()
        await _join_again(made)


async def _join_again(made: Stack) -> None:
    await made.collector.stop()
    await made.collector.start()
    agent = made.agents[ODD_HOST]
    await agent.stop()
    await made.operator.join(ODD_HOST, made.data_dir(ODD_HOST), (), "--force")
    await agent.start()


CAUSES = (
    Cause(
        ("TonnageDensityHeadroomLow",),
        f"{ODD_HOST} is filled by hand to the limit that a ramp found",
        _full_host,
    ),
    Cause(
        ("TonnageProbeFailing", "TonnageRuntimeUnhealthy", "TonnageInstancesLeaked"),
        f"{ODD_HOST}'s engine goes away, and a container of it is to be removed",
        _engine_gone,
    ),
    Cause(
        ("TonnageStoreFailing",),
        "the database admits nobody in the middle of a run",
        _database_shut,
    ),
    Cause(
        ("TonnageAgentDown", "TonnageHostLost", "TonnageRunsPartial"),
        f"the agent of {_VICTIM} is killed in the middle of a run",
        _agent_killed,
    ),
    Cause(
        ("TonnageCollectorDown", "TonnageSpoolGrowing", "TonnageSpoolFull"),
        f"the collector is held while {ODD_HOST} measures into a small outbox",
        _collector_held,
    ),
    Cause(
        ("TonnageCertificateExpiring",),
        f"{ODD_HOST} joins for a quarter of an hour",
        _certificate_short,
    ),
    Cause(
        ("TonnageStartFailures",),
        f"three in ten starts on {_QUIET} fail",
        _run(_failing_starts),
    ),
)

BY_ALERT: Mapping[str, Cause] = {alert: cause for cause in CAUSES for alert in cause.alerts}
Watch = Callable[[], Awaitable[set[Alert]]]


async def firing_while(
    cause: Cause, made: Stack, machine: Machine, watch: Watch, seconds: float
) -> set[str]:
    """Make the cause; the names of its alerts that fired within so many seconds.

    ``watch`` says what fires at a moment. What fires already, about whatever, is first waited
    for to end; what has not ended by then is none of the cause's.
    """
    await _until(lambda firing: not _named(firing) & {*cause.alerts}, watch, seconds / 2)
    before = await watch()
    seen: set[str] = set()

    def all_seen(firing: set[Alert]) -> bool:
        seen.update(_named(firing - before) & {*cause.alerts})
        return seen == {*cause.alerts}

    async with cause.making(made, machine):
        await _until(all_seen, watch, seconds)
    return seen


def _named(firing: set[Alert]) -> set[str]:
    return {each.name for each in firing}


async def _until(there: Callable[[set[Alert]], bool], watch: Watch, seconds: float) -> None:
    """Look at what fires until it is as wanted, or so many seconds have passed."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not there(await watch()):
        if asyncio.get_running_loop().time() > deadline:
            return
        await asyncio.sleep(_LOOK_SECONDS)
