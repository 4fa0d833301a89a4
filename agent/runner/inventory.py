"""The runtimes' fingerprints, kept so that asking is cheap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping

import structlog

from agent.runtimes.base import Runtime
from tonnage.model import Fingerprint, RuntimeState

FINGERPRINT_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 3.0
# Of what is healthy a look is cheap: Docker is asked for its version, QEMU for nothing.
LONGEST_PAUSE_SECONDS = 30.0

_log = structlog.get_logger("agent.runner.inventory")


class Inventory:
    """What each runtime was found to be, at the last look."""

    def __init__(self, runtimes: Mapping[str, Runtime]) -> None:
        self._runtimes = runtimes
        self._found: dict[str, Fingerprint] = {}
        self._looking = asyncio.Lock()

    @property
    def found(self) -> Mapping[str, Fingerprint]:
        """The last look, by runtime; empty before the first."""
        return self._found

    async def current(self) -> Mapping[str, Fingerprint]:
        """The last look, at once; looks if there was none."""
        if not self._found:
            async with self._looking:
                if not self._found:
                    await self._look(self._runtimes)
        return self._found

    async def refresh(self) -> Mapping[str, Fingerprint]:
        """Look at every runtime anew."""
        async with self._looking:
            await self._look(self._runtimes)
            return self._found

    async def recheck(self, names: Container[str]) -> Mapping[str, Fingerprint]:
        """Look anew at those of ``names`` that were not healthy: an engine may have come
        back. Looks at all if there was no look yet."""
        async with self._looking:
            sick = {
                name: runtime
                for name, runtime in self._runtimes.items()
                if not self._found or (name in names and not self._healthy(name))
            }
            await self._look(sick)
            return self._found

    async def answers(self, name: str) -> bool:
        """Whether a runtime is healthy at this moment. What was found of it stays as it is:
        the rows of a run in progress go by that."""
        async with self._looking:
            return (await _fingerprint(self._runtimes[name])).state is RuntimeState.HEALTHY

    async def keep_current(
        self, busy: Callable[[], bool], first_pause_seconds: float = FIRST_PAUSE_SECONDS
    ) -> None:
        """Look at all, for ever, and less and less often while nothing changes: an engine may
        come up after the agent, and may go. Never while ``busy``: a look at what is not healthy
        may boot a machine."""
        await self.current()
        pause = first_pause_seconds
        while True:
            await asyncio.sleep(pause)
            if busy():
                continue
            before = self._well()
            await self.refresh()
            changed = _tell(before, self._well())
            pause = first_pause_seconds if changed else min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _well(self) -> set[str]:
        return {name for name in self._runtimes if self._healthy(name)}

    def _healthy(self, name: str) -> bool:
        found = self._found.get(name)
        return found is not None and found.state is RuntimeState.HEALTHY

    async def _look(self, runtimes: Mapping[str, Runtime]) -> None:
        found = await asyncio.gather(*(_fingerprint(runtime) for runtime in runtimes.values()))
        fresh = dict(zip(runtimes, found, strict=True))
        self._found = {name: fresh.get(name) or self._found[name] for name in self._runtimes}


def _tell(before: set[str], after: set[str]) -> bool:
    """Log what changed; whether anything did."""
    if healed := sorted(after - before):
        _log.info("healthy now", runtimes=healed)
    if fallen := sorted(before - after):
        _log.warning("no longer healthy", runtimes=fallen)
    return before != after


async def _fingerprint(runtime: Runtime) -> Fingerprint:
    try:
        async with asyncio.timeout(FINGERPRINT_SECONDS):
            return await runtime.fingerprint()
    except TimeoutError:
        return Fingerprint(
            runtime.name,
            RuntimeState.UNHEALTHY,
            f"it did not answer within {FINGERPRINT_SECONDS:g} s",
        )
    except Exception as error:  # noqa: BLE001 (a defect of one runtime must not end the agent)
        _log.exception("a runtime could not be looked at", runtime=runtime.name)
        reason = f"defect of the runtime: {type(error).__name__}: {error}"
        return Fingerprint(runtime.name, RuntimeState.UNHEALTHY, reason)
