"""One fake instance."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from agent.clock import Mark, Timeline
from agent.errors import InstanceExited, InstanceLeaked, NoAnswer
from agent.process import ProcessView
from agent.runtimes.base import Scope
from agent.runtimes.fake.behaviour import Behaviour
from agent.runtimes.fake.workloads import Workloads


class FakeInstance:
    """One fake instance: a state in memory and, if durable, a file."""

    def __init__(
        self,
        instance_id: str,
        scope: Scope,
        behaviour: Behaviour,
        timeline: Timeline,
        file: Path,
        forget: Callable[[str], None],
        workloads: Workloads | None = None,
    ) -> None:
        self._id = instance_id
        self.scope = scope
        self._behaviour = behaviour
        self._timeline = timeline
        self._file = file
        self._forget = forget
        self._workloads = workloads or Workloads()
        self._over = asyncio.Event()
        self._filed = file.exists() if behaviour.durable else False
        self._leaks = behaviour.kind in ("leak", "lost")
        draw = random.Random(f"{instance_id}|{behaviour.seed}")  # noqa: S311 (not a secret)
        self._ready_after_seconds = (
            behaviour.ready_seconds + behaviour.jitter_seconds * draw.random()
        )
        self._fails = behaviour.kind == "fail" or draw.random() < behaviour.fail_rate
        self._exit: asyncio.TimerHandle | None = None
        self._began = time.monotonic()

    @property
    def id(self) -> str:
        return self._id

    @property
    def is_alive(self) -> bool:
        """Whether it lives; a durable one lives as long as its file."""
        return not self._over.is_set() and (not self._filed or self._file.exists())

    async def boot(self) -> None:
        """From the request to its existence, with the marks of it."""
        if self._behaviour.accept_seconds:
            await asyncio.sleep(self._behaviour.accept_seconds)
        self._timeline.mark(Mark.ACCEPTED)
        if self._behaviour.kind == "early":
            self._timeline.mark(Mark.READY)
            await asyncio.sleep(0.001)
        if self._behaviour.create_seconds:
            await asyncio.sleep(self._behaviour.create_seconds)
        if self._behaviour.durable:
            self._write_file()
        self._timeline.mark(Mark.CREATED)
        self._began = time.monotonic()

    def _write_file(self) -> None:
        owner = {"agent_id": self.scope.agent_id, "run_id": self.scope.run_id}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        unnamed = self._file.with_suffix(".new")  # a kill may come at any moment: an instance
        unnamed.write_text(json.dumps(owner))  # exists with its owner's name on it, or not at all
        unnamed.replace(self._file)
        self._filed = True

    async def ready(self) -> None:
        if self._behaviour.kind == "hang":
            await self._over.wait()
        elif self._ready_after_seconds:
            await self._wait_over(self._began + self._ready_after_seconds - time.monotonic())
        if self._fails:
            self._over.set()
        if self._over.is_set():
            raise InstanceExited(
                "the fake instance ended before it was ready, with exit code 1",
                evidence=self.evidence(),
            )
        self._timeline.mark(Mark.READY)
        if self._behaviour.kind == "die" and self._exit is None:
            loop = asyncio.get_running_loop()
            self._exit = loop.call_later(self._behaviour.die_seconds, self._end)

    async def _wait_over(self, timeout_seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, timeout_seconds)):
                await self._over.wait()
        except TimeoutError:
            return

    def evidence(self) -> str:
        state = "alive" if self.is_alive else "ended"
        return f"fake instance {self._id} ({self._behaviour.kind}), {state}: it has no console"

    def processes(self) -> ProcessView:
        paths = (self._file,) if self._filed and self.is_alive else ()
        return ProcessView(pids=(), paths=paths)

    def cpu_ns(self) -> int | None:
        return None

    async def alive(self) -> bool:
        return self.is_alive

    async def answers(self) -> bool:
        return self.is_alive and self._behaviour.kind != "mute"

    async def ask(self, line: str, until: str, timeout_seconds: float) -> str:
        if not await self.answers():
            raise NoAnswer(f"the fake did not answer {line!r} within {timeout_seconds:g} s")
        said = self._workloads.said(self._id, line, self._behaviour)
        end = said.find(until)
        if end < 0:
            raise NoAnswer(f"the fake answered {line!r} without {until!r}")
        return said[: end + len(until)]

    async def stop(self, grace_seconds: float) -> None:
        del grace_seconds
        self._end()

    async def destroy(self) -> None:
        if self._leaks:
            self._leaks = False
            if self._behaviour.kind == "lost":
                self._forget(self._id)
            raise InstanceLeaked(
                "the fake instance lives on", value=self._id, remedy="Destroy it again."
            )
        self._end()
        if self._exit is not None:
            self._exit.cancel()
        self._file.unlink(missing_ok=True)
        self._workloads.forget(self._id)
        self._forget(self._id)
        self._timeline.mark(Mark.DESTROYED)

    def _end(self) -> None:
        self._over.set()
        self._timeline.mark(Mark.STOPPED)
