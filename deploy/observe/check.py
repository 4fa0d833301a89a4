"""Everything that is claimed of what operators look at, as rows with a verdict each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from benchmarks.rows import Row
from deploy.observe import panels, rules
from deploy.observe.causes import BY_ALERT, CAUSES, firing_while
from deploy.observe.dashboards import Dashboard
from deploy.observe.filling import Machine
from deploy.observe.panels import Proof
from deploy.observe.sources import Sources
from deploy.observe.stack import CHECKOUT, Stack
from deploy.observe.times import Range
from deploy.operator import Say

DASHBOARDS = CHECKOUT / "grafana" / "dashboards"
_RANGE_SECONDS = 900.0
_LOOK_SECONDS = 5.0
_FIRES_SECONDS = 75.0


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who looks at the last quarter of an hour, and at one run of it."""

    sources: Sources
    run_id: str
    scrape_seconds: float

    async def sees(
        self,
        shown: Sequence[Dashboard],
        patience_seconds: float,
        but_for: Container[str] = frozenset(),
    ) -> list[Proof]:
        """A proof for everything there is to see.

        What needs another scrape or two is asked again, for as long as patience lasts; nobody
        waits for the titles in ``but_for``.
        """
        deadline = time.monotonic() + patience_seconds
        while True:
            now = time.time()
            looked_at = Range(now - _RANGE_SECONDS, now, self.scrape_seconds)
            proofs = await panels.prove(shown, self.sources, looked_at, {"run": self.run_id})
            if (
                all(each.ok or each.title in but_for for each in proofs)
                or time.monotonic() > deadline
            ):
                return proofs
            await asyncio.sleep(_LOOK_SECONDS)


@dataclass(slots=True)
class Found:
    """What was proven so far; ``fired`` are the names of alerts that had a real cause."""

    proofs: list[Proof] = field(default_factory=list)
    fired: set[str] = field(default_factory=set)
    rest: list[Row] = field(default_factory=list)

    async def rows(self) -> list[Row]:
        """A row for each panel, and so on; for each alert: fired by a real cause, or else by
        promtool's series alone."""
        refused = await rules.promtool_says()
        told = [_alert(name, self.fired, refused) for name in rules.alerts()]
        return [*dashboards(self.proofs), *self.rest, *told]


def better(before: Sequence[Proof], after: Sequence[Proof]) -> list[Proof]:
    """What was seen before, or else after: what tells of alerts has something to tell only
    once there were some."""
    later = {(each.dashboard, each.kind, each.title): each for each in after}
    return [
        each if each.ok else later.get((each.dashboard, each.kind, each.title), each)
        for each in before
    ]


def dashboards(proofs: Sequence[Proof]) -> list[Row]:
    """A row for each panel, annotation and dashboard's links; prints them as a table, too."""
    panels.tell(proofs)
    return [_row(each) for each in proofs] or [verdict("dashboards", found=False, note="none")]


def _row(proof: Proof) -> Row:
    judged = proof.judgement
    name = f"{proof.dashboard}: {proof.title}"
    note = judged.problem or f"{proof.kind}, {judged.points} points, {proof.seconds * 1000:.0f} ms"
    made = verdict(name, found=proof.ok, note=note)
    return replace(made, n=judged.series)


async def recording_rules(made: Stack) -> list[Row]:
    """A row for each recording rule, and one for those that could not be evaluated."""
    prometheus = made.sources.prometheus
    counts = {r: await rules.series_of(prometheus, r, time.time()) for r in rules.records()}
    rows = [
        Row(f"rule {record}", count, (count, count), "series", 1, "min", count)
        for record, count in counts.items()
    ]
    wrong = await rules.unhealthy(prometheus)
    note = "; ".join(wrong)
    return [*rows, verdict("every rule can be evaluated", found=not wrong, note=note)]


async def alerts(made: Stack, machine: Machine, say: Say, fired: set[str]) -> None:
    """Make each cause; ``fired`` is given the names of the alerts that followed."""
    await rules.hurry(made)
    watch = partial(rules.firing, made.sources.prometheus)
    for cause in CAUSES:
        say(f"  {cause.what} …")
        seen = await firing_while(cause, made, machine, watch, _FIRES_SECONDS)
        fired |= seen
        say(f" {', '.join(sorted(seen)) or 'nothing fires'}\n")


def _alert(name: str, fired: set[str], refused: str) -> Row:
    fires, silent = rules.cases(name)
    tested = not refused and fires > 0 and silent > 0
    by_series = f"promtool: fires in {fires} cases, silent in {silent}"
    by_series = f"{by_series}; {refused}" if refused else by_series
    cause = BY_ALERT.get(name)
    if cause is None:
        note = f"takes longer than minutes; {by_series}"
        return verdict(f"alert {name}", found=tested, note=note)
    note = f"{cause.what} (durations cut to nothing); {by_series}"
    return verdict(f"alert {name}", found=tested and name in fired, note=note)


def verdict(name: str, *, found: bool, note: str = "") -> Row:
    """A row for what is there or is not."""
    value = float(found)
    return Row(name, value, (value, value), "", 1, "min", 1, note)
