"""The red button: nothing is launched any more, and what runs is killed within seconds.

Killing goes to the kernel, not through engines and monitors, which may be what
is in trouble. Removing, which needs them, comes after.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from agent.runner.equipment import Equipment
from agent.runner.holdings import Holding
from agent.runner.killing import kill
from agent.runner.manual import Manual
from agent.runner.runs import Runs
from agent.runtimes.base import Instance

# The promise; the last moments of it are for the answer.
KILL_SECONDS = 5.0
_ANSWER_SECONDS = 0.5
# From then on supervisors are killed too, and engines asked for what nobody else knows.
_PATIENCE_SECONDS = 1.5
_LOOK_AGAIN_SECONDS = 0.02

_log = structlog.get_logger("agent.runner.red_button")


@dataclass(frozen=True, slots=True)
class Killed:
    """Instances of which no process is alive, and those of which one is or may be."""

    killed: tuple[str, ...]
    alive: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Removed:
    """Instances of which nothing is left, and those that survived."""

    removed: tuple[str, ...]
    leaked: tuple[str, ...]
    seconds: float


class RedButton:
    """Stops everything on this host."""

    def __init__(self, equipment: Equipment, runs: Runs, manual: Manual) -> None:
        self._equipment = equipment
        self._runs = runs
        self._manual = manual

    async def press(self) -> AsyncIterator[Killed | Removed]:
        """Kill, then remove: an answer each. Until both are done nothing is launched; a
        caller that goes away changes nothing."""
        answers: asyncio.Queue[Killed | Removed | None] = asyncio.Queue()
        self._manual.keep(self._work(asyncio.get_running_loop().time(), answers))
        while (answer := await answers.get()) is not None:
            yield answer

    async def _work(self, began: float, answers: asyncio.Queue[Killed | Removed | None]) -> None:
        try:
            with self._runs.halt(), self._equipment.trials.halt():
                held = list(self._equipment.holdings)
                hunt = _Hunt(self._equipment, held, began + KILL_SECONDS - _ANSWER_SECONDS)
                alive = await hunt.kill()
                answers.put_nowait(_killed(held, alive, _since(began)))
                await self._runs.idle()
                answers.put_nowait(await self._remove(held, began))
        finally:
            answers.put_nowait(None)

    async def _remove(self, held: Sequence[Holding], began: float) -> Removed:
        cleaning = await self._manual.clean("")
        there = (holding.id for holding in self._equipment.holdings)
        leaked = tuple(dict.fromkeys((*cleaning.leaked, *there)))
        gone = dict.fromkeys((*(holding.id for holding in held), *cleaning.removed))
        removed = tuple(name for name in gone if name not in leaked)
        return Removed(removed, leaked, _since(began))


class _Hunt:
    """Kills holdings until none is alive, or the deadline has come."""

    def __init__(self, equipment: Equipment, held: Sequence[Holding], deadline: float) -> None:
        self._equipment = equipment
        self._left = {holding.id: holding for holding in held}
        self._deadline = deadline
        self._bodies: set[str] = set()  # of which a process was seen
        self._found: dict[str, Instance] = {}

    async def kill(self) -> set[str]:
        """Return those that are or may be alive at the end."""
        loop = asyncio.get_running_loop()
        patience = loop.time() + _PATIENCE_SECONDS
        while self._left and loop.time() < self._deadline:
            late = loop.time() >= patience
            if late:
                await self._all(self._find)
            quiet = await asyncio.to_thread(self._wave, list(self._left), late)
            for gone in quiet & self._bodies:
                del self._left[gone]
            await self._all(self._without_a_body)
            if self._left:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return set(self._left)

    def _instance(self, name: str) -> Instance | None:
        return self._left[name].instance or self._found.get(name)

    def _wave(self, names: Sequence[str], late: bool) -> set[str]:
        """Kill what is found of each; those of which nothing is."""
        quiet = set()
        for name in names:
            instance = self._instance(name)
            if instance is None:
                continue  # its start is being ended; who cannot be seen may live
            if kill(instance, supervisors=late):
                self._bodies.add(name)
            else:
                quiet.add(name)
        return quiet

    async def _all(self, act: Callable[[str], Awaitable[None]]) -> None:
        await asyncio.gather(*(act(name) for name in list(self._left)))

    async def _without_a_body(self, name: str) -> None:
        """One that has ended meanwhile, or has no process that anybody saw: its runtime is
        asked, and made to stop it."""
        instance = self._instance(name)
        if self._equipment.holdings.get(name) is None:
            del self._left[name]  # removed by its run, or by the start it was part of
        elif instance is not None and name not in self._bodies:
            try:
                async with asyncio.timeout_at(self._deadline):
                    if await instance.alive() and not instance.processes().pids:
                        await instance.stop(0)
                    if not await instance.alive():
                        del self._left[name]
            except Exception as error:  # noqa: BLE001 (who cannot be asked may live)
                _log.error("cannot stop", instance=name, reason=str(error))

    async def _find(self, name: str) -> None:
        """Take hold of a start of which nobody knows a process yet."""
        runtime = self._equipment.runtimes.get(self._left[name].entry.runtime)
        if runtime is None or self._instance(name) is not None:
            return
        try:
            async with asyncio.timeout_at(self._deadline):
                instance = await runtime.recover(name)
        except Exception as error:  # noqa: BLE001 (as above)
            _log.error("cannot look for", instance=name, reason=str(error))
            return
        if instance is not None:
            self._found[name] = instance


def _killed(held: Sequence[Holding], alive: set[str], seconds: float) -> Killed:
    killed = tuple(holding.id for holding in held if holding.id not in alive)
    _log.warning("killed", instances=len(killed), alive=sorted(alive), seconds=seconds)
    return Killed(killed, tuple(sorted(alive)), seconds)


def _since(began: float) -> float:
    return asyncio.get_running_loop().time() - began
