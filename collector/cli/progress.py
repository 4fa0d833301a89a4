"""The progress of a run: live bars on a terminal, plain lines elsewhere. On standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from collector.cli.screen import say
from collector.views import HostProgress, Progress
from tonnage.model import RunState

if TYPE_CHECKING:
    from rich.progress import TaskID

_LINE_EVERY_SECONDS = 5.0


class Display(Protocol):
    """Shows progress while it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, progress: Progress) -> None:
        """Take the latest progress."""

    def note(self, text: str) -> None:
        """Tell something beside the progress."""


def display() -> Display:
    """The display that suits standard error."""
    return Bars() if sys.stderr.isatty() else Lines()


def describe(host: HostProgress) -> str:
    """Return where a host stands, in one line."""
    stages = f"[{min(host.stages_done + 1, host.stages_total)}/{host.stages_total}] "
    if not host.stages_total:
        stages = ""
    parts = [f"{host.host} {stages}{host.stage_id or _WORDS.get(host.state, host.state)}"]
    if host.trials_done or host.trials_expected:
        of = f"/{host.trials_expected}" if host.trials_expected else ""
        parts.append(f"{host.trials_done}{of} trials")
    if host.instances:
        parts.append(f"{host.instances} instances up")
    if host.failed:
        parts.append(f"{host.failed} failed")
    return ", ".join(parts)


_WORDS = {RunState.PENDING: "getting ready", RunState.RUNNING: "between stages"}


class Lines:
    """A line, with the seconds so far, whenever a host enters a stage or says something,
    and every few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._last: dict[str, HostProgress] = {}
        self._at: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, progress: Progress) -> None:
        """Say what is new."""
        for host in progress.hosts:
            before = self._last.get(host.host)
            if _news(host, before.message if before else ""):
                self.note(f"{host.host}: {host.message}")
            moved = before is None or (host.state, host.stage_id) != (before.state, before.stage_id)
            due = self._clock() - self._at.get(host.host, 0.0) >= _LINE_EVERY_SECONDS
            if moved or (due and not host.state.ended):
                self.note(describe(host) if not host.state.ended else f"{host.host} {host.state}")
                self._at[host.host] = self._clock()
            self._last[host.host] = host

    def note(self, text: str) -> None:
        """Say it."""
        say(f"{self._clock() - self._begun:4.0f} s  {text}")


class Bars:
    """A bar a host, redrawn in place."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._messages: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, progress: Progress) -> None:
        """Redraw."""
        for host in progress.hosts:
            if host.host not in self._tasks:
                self._tasks[host.host] = self._bars.add_task(host.host, total=None)
            done, total = _amount(host)
            self._bars.update(
                self._tasks[host.host], description=describe(host), completed=done, total=total
            )
            if _news(host, self._messages.get(host.host, "")):
                self._messages[host.host] = host.message
                self.note(f"{host.host}: {host.message}")

    def note(self, text: str) -> None:
        """Print above the bars."""
        self._bars.console.print(text, markup=False)


def _news(host: HostProgress, before: str) -> bool:
    """Whether its message is to be told: what ended it is told with the run's end."""
    return bool(host.message) and host.message != before and not host.state.ended


def _amount(host: HostProgress) -> tuple[float, float | None]:
    """Stages done, the current one by its share of trials; no total before the plan is known."""
    if not host.stages_total:
        return 0.0, None
    share = host.trials_done / host.trials_expected if host.trials_expected else 0.0
    return min(host.stages_done + min(share, 1.0), host.stages_total), float(host.stages_total)
