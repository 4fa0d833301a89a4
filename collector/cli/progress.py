"""The progress of a run: live bars on a terminal, plain lines elsewhere. On standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from collector.cli.news import News, waiting
from collector.cli.overview import FEW, counts, in_line, noteworthy, share
from collector.cli.screen import put, say
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
    parts = [f"{host.host} {stages}{host.stage_id or _aside(host)}"]
    if host.trials_done or host.trials_expected:
        of = f"/{host.trials_expected}" if host.trials_expected else ""
        parts.append(f"{host.trials_done}{of} trials")
    if host.instances:
        parts.append(f"{host.instances} instances up")
    if host.failed:
        parts.append(f"{host.failed} failed")
    return ", ".join(parts)


def _aside(host: HostProgress) -> str:
    """What a host does that is in no stage."""
    if host.state is RunState.RUNNING:
        return "between stages" if host.stages_done else "about to begin"
    return "getting ready" if host.state is RunState.PENDING else host.state


class Lines:
    """Lines with the seconds so far: one whenever a host enters a stage, and every few
    seconds; of many hosts, one for all of them and one for each that is slow or fails."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._news = News()
        self._last: dict[str, HostProgress] = {}
        self._at: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, progress: Progress) -> None:
        """Say what is new."""
        for line in self._news.of(progress):
            self.note(line)
        if in_line(progress):
            return
        if len(progress.hosts) > FEW:
            self._show_many(progress)
            return
        for host in progress.hosts:
            before = self._last.get(host.host)
            moved = before is None or (host.state, host.stage_id) != (before.state, before.stage_id)
            due = self._due(host.host)
            if moved or (due and not host.state.ended):
                self.note(describe(host) if not host.state.ended else f"{host.host} {host.state}")
                self._at[host.host] = self._clock()
            self._last[host.host] = host

    def note(self, text: str) -> None:
        """Say it."""
        say(f"{self._clock() - self._begun:4.0f} s  {text}")

    def _show_many(self, progress: Progress) -> None:
        if not (self._due("") or progress.state.ended):
            return
        self._at[""] = self._clock()
        self.note(counts(progress))
        for host in () if progress.state.ended else noteworthy(progress):
            self.note(f"  {told(host)}")

    def _due(self, key: str) -> bool:
        return self._clock() - self._at.get(key, -_LINE_EVERY_SECONDS) >= _LINE_EVERY_SECONDS


class Documents:
    """A JSON document on standard output, of every host, whenever something has changed."""

    def __init__(self) -> None:
        self._last: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, progress: Progress) -> None:
        """Print it, on one line."""
        if progress != self._last:
            self._last = progress
            put(json.dumps(asdict(progress), ensure_ascii=False) + "\n")

    def note(self, text: str) -> None:
        """Say it on standard error."""
        say(text)


class Bars:
    """A bar a host, redrawn in place; of many hosts, one for all and one for each that is
    slow or fails."""

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
        self._news = News()
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, progress: Progress) -> None:
        """Redraw."""
        drawn = _bars(progress)
        for key, bar in drawn.items():
            self._draw(key, *bar)
        for gone in self._tasks.keys() - drawn.keys():
            self._bars.remove_task(self._tasks.pop(gone))
        for line in self._news.of(progress):
            self.note(line)

    def note(self, text: str) -> None:
        """Print above the bars."""
        self._bars.console.print(text, markup=False)

    def _draw(self, key: str, text: str, done: float, total: float | None) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(text, total=None)
        self._bars.update(self._tasks[key], description=text, completed=done, total=total)


def _bars(progress: Progress) -> Mapping[str, tuple[str, float, float | None]]:
    """Text, done and total of each bar, by host; by "" what concerns all of them."""
    if in_line(progress):
        return {"": (waiting(progress), 0.0, None)}
    if len(progress.hosts) <= FEW:
        return {host.host: (told(host), *_amount(host)) for host in progress.hosts}
    done = sum(map(share, progress.hosts))
    whole = (counts(progress), done, float(len(progress.hosts)))
    return {"": whole} | {h.host: (told(h), *_amount(h)) for h in noteworthy(progress)}


def told(host: HostProgress) -> str:
    """Where a host stands, or how it ended and why."""
    if not host.state.ended:
        return describe(host)
    return f"{host.host} {host.state}" + (f": {host.message}" if host.message else "")


def _amount(host: HostProgress) -> tuple[float, float | None]:
    """Stages done, of all; no total before the plan is known."""
    if not host.stages_total:
        return 0.0, None
    return share(host) * host.stages_total, float(host.stages_total)
