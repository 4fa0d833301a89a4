"""Proves dashboards without a Grafana: every panel must come back with what it can draw.

Each panel's queries are run as Grafana runs them, with variables resolved and macros written
out, and the answer is judged by the panel's visualisation. An empty panel is a failure, and so
are an annotation that finds nothing, a link that leads nowhere, and whatever this module does
not know.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import shorten

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.observe import linking
from deploy.observe.asking import frames_of
from deploy.observe.dashboards import Dashboard, Json, Panel
from deploy.observe.frames import Frame, numbers
from deploy.observe.interpolation import Bound, Scope, interpolate, plain
from deploy.observe.judging import Judgement, judge
from deploy.observe.prometheus import QueryFailed
from deploy.observe.sources import Sources
from deploy.observe.times import Range
from deploy.observe.variables import NO_PICKS, resolve

_WIDTH = 150
_LONGEST_QUERY = 240


@dataclass(frozen=True, slots=True)
class Proof:
    """What one panel, annotation or set of links came to; ``seconds`` is the time it took."""

    dashboard: str
    title: str
    kind: str
    judgement: Judgement
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether there is enough to draw."""
        return not self.judgement.problem


async def prove(
    dashboards: Sequence[Dashboard],
    sources: Sources,
    looked_at: Range,
    picks: Mapping[str, str] = NO_PICKS,
) -> list[Proof]:
    """A proof for every panel, annotation and dashboard's links, in order.

    ``picks`` are values that somebody chooses after opening a dashboard, by variable.
    """
    return [
        proof
        for dashboard in dashboards
        for proof in await _of_dashboard(dashboard, dashboards, sources, looked_at, picks)
    ]


async def _of_dashboard(
    dashboard: Dashboard,
    all_of_them: Sequence[Dashboard],
    sources: Sources,
    looked_at: Range,
    picks: Mapping[str, str],
) -> list[Proof]:
    try:
        scope = await resolve(dashboard, sources, looked_at, picks)
    except QueryFailed as error:
        return [_failed(dashboard, error)]
    proofs = [
        await _timed(dashboard, title, panel.kind, _judged(panel, bound, sources, looked_at))
        for panel, title, bound in _shown(dashboard, scope)
    ]
    for each in dashboard.annotations:
        judged = _annotation(each, scope, sources, looked_at)
        proofs.append(await _timed(dashboard, str(each.get("name")), "annotation", judged))
    return [*proofs, _links(dashboard, all_of_them)]


def _failed(dashboard: Dashboard, error: QueryFailed) -> Proof:
    return Proof(dashboard.uid, "variables", "variables", Judgement(0, 0, str(error)), 0)


def _shown(dashboard: Dashboard, scope: Scope) -> Iterator[tuple[Panel, str, Scope]]:
    """Every panel with its title and variables; one that repeats, for each value."""
    for panel in dashboard.panels():
        repeated = scope.get(str(panel.raw.get("repeat") or ""))
        for bound in _each_value(repeated, scope):
            yield panel, interpolate(panel.title, bound, plain), bound


def _each_value(repeated: Bound | None, scope: Scope) -> Iterator[Scope]:
    if repeated is None:
        yield scope
        return
    for value in repeated.values:
        one = Bound(repeated.name, (value,), (value,), several=repeated.several)
        yield {**scope, repeated.name: one}


async def _timed(
    dashboard: Dashboard, title: str, kind: str, judged: Awaitable[Judgement]
) -> Proof:
    began = time.monotonic()
    try:
        judgement = await judged
    except QueryFailed as error:
        judgement = Judgement(0, 0, str(error))
    return Proof(dashboard.uid, title, kind, judgement, time.monotonic() - began)


async def _judged(panel: Panel, scope: Scope, sources: Sources, looked_at: Range) -> Judgement:
    if panel.kind == "text":
        content = interpolate(str(panel.options.get("content") or ""), scope, plain)
        return Judgement(0, len(content), "" if content.strip() else "no text")
    if panel.kind == "alertlist":
        return await _rules(sources)
    frames = await frames_of(panel, scope, sources, looked_at)
    judgement = judge(panel.kind, frames, panel.options)
    if not judgement.problem:
        return judgement
    asked = " | ".join(dict.fromkeys(frame.executed for frame in frames)) or _queries(panel)
    brief = shorten(asked, _LONGEST_QUERY, placeholder=" …")
    return replace(judgement, problem=f"{judgement.problem}: {brief}")


def _queries(panel: Panel) -> str:
    return "nothing from " + " | ".join(
        str(each.get("expr") or each.get("rawSql")) for each in panel.targets
    )


async def _rules(sources: Sources) -> Judgement:
    groups = (await sources.prometheus.api("rules", True, type="alert"))["groups"]
    rules = sum(len(group["rules"]) for group in groups)
    return Judgement(len(groups), rules, "" if rules else "no alerting rule is loaded")


async def _annotation(
    annotation: Json, scope: Scope, sources: Sources, looked_at: Range
) -> Judgement:
    """An annotation is a query whose points above zero, or rows, are marks on the time axis."""
    target = {**annotation, **(annotation.get("target") or {})}
    if "rawQuery" in target and "rawSql" not in target:
        target |= {"rawSql": target["rawQuery"], "format": "table"}
    asking = Panel({"targets": [target], "datasource": annotation.get("datasource")})
    frames = await frames_of(asking, scope, sources, looked_at)
    if any(not frame.of("time") for frame in frames):
        return Judgement(len(frames), 0, "no field of time")
    marks = _marks(frames) if "rawSql" not in target else sum(frame.rows for frame in frames)
    return Judgement(len(frames), marks, "" if marks else "it marks nothing")


def _marks(frames: Sequence[Frame]) -> int:
    fields = numbers(frames)
    return sum(isinstance(v, float) and v > 0 for field in fields for v in field.values)


def _links(dashboard: Dashboard, all_of_them: Sequence[Dashboard]) -> Proof:
    wrong = linking.problems(dashboard, all_of_them)
    judgement = Judgement(0, linking.count(dashboard), "; ".join(wrong))
    return Proof(dashboard.uid, "links", "links", judgement, 0)


def tell(proofs: Sequence[Proof]) -> None:
    """Print panel → series, points."""
    console = Console()
    console.width = max(console.width, _WIDTH)
    table = Table(title="Every panel, with what it draws")
    for heading in ("dashboard", "panel", "type", "series", "points", "ms", "ok", "what is wrong"):
        table.add_column(heading, justify="right" if heading in _RIGHT else "left")
    for each in proofs:
        judged = each.judgement
        table.add_row(
            *(each.dashboard, escape(each.title), each.kind),
            *(str(judged.series), str(judged.points), f"{each.seconds * 1000:.0f}"),
            "yes" if each.ok else "NO",
            escape(judged.problem),
        )
    console.print(table)


_RIGHT = ("series", "points", "ms")
