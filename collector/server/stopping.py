"""The red button: every host at once, none waits for another, nor for a store or a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import structlog

from collector.conductor.conductor import Conductor
from collector.errors import TonnageError
from collector.fleet import Fleet
from collector.views import HostInfo, Stopped
from tonnage.model import Problem, ProblemKind

_log = structlog.get_logger(__name__)


class RedButton:
    """May be pressed any number of times, at once too."""

    def __init__(self, fleet: Fleet, conductor: Conductor) -> None:
        self._fleet = fleet
        self._conductor = conductor
        self._under_way: set[asyncio.Task[None]] = set()

    async def press(self, name: str) -> AsyncIterator[Stopped]:
        """Stop one host, or all, and yield their answers as they come.

        Each takes no new run and has its runs cancelled, whether it can be reached or
        not; then it kills and removes. Once begun it goes on though nobody listens.
        Raises ``NoSuchHost``.
        """
        hosts = (self._fleet.get(name),) if name else self._fleet.hosts()
        stop = _Stop(self._fleet, self._conductor)
        task = asyncio.create_task(stop.run(hosts), name="stop all")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        while (answer := await stop.answers.get()) is not None:
            yield answer
        await task


class _Stop:
    def __init__(self, fleet: Fleet, conductor: Conductor) -> None:
        self._fleet = fleet
        self._conductor = conductor
        # Ends with ``None``.
        self.answers: asyncio.Queue[Stopped | None] = asyncio.Queue()

    async def run(self, hosts: Sequence[HostInfo]) -> None:
        names = [host.facts.host for host in hosts]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._cancel(names))
                for host in hosts:
                    group.create_task(self._drain(host))
                    group.create_task(self._kill(host))
        finally:
            self.answers.put_nowait(None)

    async def _cancel(self, hosts: Sequence[str]) -> None:
        try:
            await self._conductor.cancel_on(hosts)
        except Exception:  # noqa: BLE001 - whatever it is, it must spare no host
            _log.exception("a defect kept runs from being cancelled")

    async def _drain(self, host: HostInfo) -> None:
        name = host.facts.host
        try:
            await self._fleet.drain(name, True)
        except TonnageError as error:
            why = error.problem.message
            message = f"host {name} takes new runs once the collector is started anew: {why}"
            remedy = f"Take it out for good with tonnage drain {name}."
            self._answer(name, Problem(ProblemKind.INTERNAL, message, remedy=remedy))
        except Exception as error:  # noqa: BLE001 - see _kill
            self._defect(name, error)

    async def _kill(self, host: HostInfo) -> None:
        name = host.facts.host
        agent = self._fleet.agent(name, host.address)
        try:
            async with aclosing(agent.stop_all()) as answers:
                async for answer in answers:
                    self.answers.put_nowait(Stopped(name, answer))
        except TonnageError as error:
            self._answer(name, error.problem)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must spare no other host
            self._defect(name, error)

    def _defect(self, host: str, error: Exception) -> None:
        _log.error("a defect kept a host from being stopped", host=host, exc_info=error)
        self._answer(host, Problem(ProblemKind.INTERNAL, f"a defect of Tonnage: {error!r}"))

    def _answer(self, host: str, problem: Problem) -> None:
        self.answers.put_nowait(Stopped(host, problem))
