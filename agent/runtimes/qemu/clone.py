"""One VM that began as the copy of another."""

from __future__ import annotations

from agent.clock import Mark, Timeline
from agent.runtimes.console import ConsoleEnded
from agent.runtimes.qemu import migration, monitor
from agent.runtimes.qemu.instance import Launched, QemuInstance
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.snapshot import Saved
from agent.runtimes.qemu.starting import Started
from tonnage.model import ConsoleHealth


class Clone(QemuInstance):
    """A VM that is restored instead of booted. It is ready once it has answered."""

    def __init__(
        self, launched: Launched, started: Started, places: Places, timeline: Timeline, state: int
    ) -> None:
        """``state``: the descriptor under which QEMU inherited the state file."""
        super().__init__(launched, started, places, timeline)
        self._state_descriptor = state

    async def restored(self, saved: Saved) -> None:
        """Wait for the VMM, load the state, let the VM run; mark ``created`` and
        ``restored``. Raises ``InstanceExited``."""
        await self.created()
        try:
            await migration.load(
                self._plug.monitor, self._state_descriptor, ignore_shared=saved.ram is not None
            )
        except migration.MigrationFailed as error:
            raise await self._exited(f"the saved state was not restored ({error})") from error
        self._timeline.mark(Mark.RESTORED)

    async def ready(self) -> None:
        health = self._launched.health
        if not isinstance(health, ConsoleHealth):
            raise TypeError("a clone without a question: see snapshot.check_restorable")
        answer = self._console.watch(health.answer)
        try:
            await self._send(health.ask.encode() + b"\n")
            at_monotonic_ns = await answer
        except (ConsoleEnded, OSError):
            raise await self._exited("the VM ended before it answered") from None
        finally:
            answer.cancel()
        self._timeline.mark(Mark.READY, at_monotonic_ns)

    async def _quit(self) -> None:
        monitor.order_quit(self._plug.monitor)
