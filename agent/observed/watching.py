"""When the host is looked at: at an interval, in a thread of its own, and never during a
run or while an instance starts. Then the latest figures stand, and the engine's events
are let go of: what is measured is not to be disturbed by looking at the rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from agent.observed import containers, machines
from agent.observed.containers import Containers, StartEvents
from agent.observed.machines import Machines
from agent.observed.picture import Found, Picture, counted
from agent.observed.scales import Scales
from agent.observed.seen import Seen
from agent.probes.base import Roots

DOCKER, QEMU = "docker", "qemu"

# How soon a run's begin is noticed; a round in progress ends at its next instance.
_LOOK_UP_SECONDS = 1.0

_log = structlog.get_logger("agent.observed")

OnProbe = Callable[[str, float, bool], None]
"""Called with a probe's name, its duration in seconds, and whether it gave data."""


class Watch:
    """Looks at Docker's containers and at VMMs, until it is closed."""

    def __init__(
        self,
        engine_url: str,
        agent_id: str,
        registry: CollectorRegistry,
        on_probe: OnProbe,
        roots: Roots | None = None,
    ) -> None:
        roots = roots or Roots()
        self._picture = Picture(registry)
        self._containers = Containers(engine_url, roots, agent_id)
        self._machines = Machines(roots, agent_id)
        self._scales = {DOCKER: Scales(roots), QEMU: Scales(roots, machines=True)}
        self._on_probe = on_probe
        scheme, _, path = engine_url.rpartition("://")
        self._socket = Path(path) if scheme == "unix" else None
        self._troubles: dict[str, str] = {}
        self._answered = self._closed = False
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="observed")
        self.events = StartEvents(
            engine_url, agent_id, lambda seconds: self._picture.started(DOCKER, seconds)
        )

    def close(self) -> None:
        """End the threads; blocking, for a few seconds at most where an engine hangs."""
        self._closed = True
        self.events.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def keep_looking(self, interval_seconds: float, busy: Callable[[], bool]) -> None:
        """Look for ever, but not while ``busy``, which is asked from any thread."""
        loop, due = asyncio.get_running_loop(), 0.0
        while True:
            rest = busy()
            self.events.attend(not rest)
            if not rest and time.monotonic() >= due:
                due = time.monotonic() + interval_seconds
                await loop.run_in_executor(self._threads, self.look, busy)
            await asyncio.sleep(min(_LOOK_UP_SECONDS, interval_seconds))

    def look(self, stop: Callable[[], bool]) -> None:
        """One round; blocking. ``stop`` cuts it short: the memory is then that of before."""

        def ended() -> bool:
            return self._closed or stop()

        if self._has_engine():
            self._round(DOCKER, partial(self._containers.look, ended), containers.STATES, ended)
        self._round(QEMU, self._machines.look, (machines.RUNNING,), ended)

    def _has_engine(self) -> bool:
        """One that answered once, or was never a socket to look for, is missed where it is not."""
        return self._answered or self._socket is None or self._socket.exists()

    def _round(
        self,
        runtime: str,
        look: Callable[[], list[Seen]],
        states: tuple[str, ...],
        stop: Callable[[], bool],
    ) -> None:
        begun, found = time.monotonic(), None
        try:
            seen = look()
            weight = self._scales[runtime].weigh(seen, stop)
            found = Found(counted(seen, states), weight, time.time())
            self._answered |= runtime == DOCKER
            self._tell(runtime, "")
        except Exception as error:  # noqa: BLE001 (what others run must not end the agent)
            self._tell(runtime, f"{type(error).__name__}: {error}")
        self._picture.show(runtime, found)
        self._on_probe(f"observed_{runtime}", time.monotonic() - begun, found is not None)

    def _tell(self, runtime: str, trouble: str) -> None:
        """Say once what keeps from looking, and that it is over."""
        before, self._troubles[runtime] = self._troubles.get(runtime, ""), trouble
        if trouble and trouble != before:
            _log.warning("cannot observe, trying on", runtime=runtime, reason=trouble)
        elif before and not trouble:
            _log.info("observing again", runtime=runtime)
