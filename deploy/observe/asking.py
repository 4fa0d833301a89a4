"""A panel's queries, run as Grafana runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from deploy.observe import postgres, prometheus
from deploy.observe.dashboards import Json, Panel
from deploy.observe.frames import Field, Frame
from deploy.observe.interpolation import Scope, interpolate, plain
from deploy.observe.interpolation import prometheus as promql_format
from deploy.observe.interpolation import sql as sql_format
from deploy.observe.prometheus import QueryFailed
from deploy.observe.sources import Sources, engine_of
from deploy.observe.times import Range, seconds
from deploy.observe.transformations import transform


async def frames_of(
    panel: Panel, scope: Scope, sources: Sources, looked_at: Range
) -> Sequence[Frame]:
    """What the panel's visualisation gets: every query's answer, transformed.

    Raises ``QueryFailed`` for a panel that asks nothing.
    """
    if not panel.targets:
        raise QueryFailed("it asks nothing")
    seen = _own_range(panel, scope, looked_at)
    found = [each for t in panel.targets for each in await _asked(t, panel, scope, sources, seen)]
    return transform(_values_apart(panel, found), panel.transformations)


def _own_range(panel: Panel, scope: Scope, looked_at: Range) -> Range:
    """A panel may look at a time of its own."""
    since, shift = panel.raw.get("timeFrom"), panel.raw.get("timeShift")
    start, end = looked_at.start, looked_at.end
    if since:
        start = end - seconds(interpolate(since, scope, plain))
    if shift:
        back = seconds(interpolate(shift, scope, plain))
        start, end = start - back, end - back
    return replace(looked_at, start=start, end=end)


async def _asked(
    target: Json, panel: Panel, scope: Scope, sources: Sources, seen: Range
) -> list[Frame]:
    reference = target.get("datasource") or panel.raw.get("datasource")
    if engine_of(reference, scope) == "postgres":
        return await _from_postgres(target, panel, scope, sources, seen)
    return await _from_prometheus(target, panel, scope, sources, seen)


async def _from_postgres(
    target: Json, panel: Panel, scope: Scope, sources: Sources, seen: Range
) -> list[Frame]:
    scope = {**scope, **seen.variables(seen.interval(panel.points))}
    statement = sources.statement(target.get("rawSql") or "", scope, seen, sql_format)
    columns, rows = await sources.postgres().run(statement)
    form = str(target.get("format") or "time_series")
    return postgres.frames(_ref(target), columns, rows, form, statement)


async def _from_prometheus(
    target: Json, panel: Panel, scope: Scope, sources: Sources, seen: Range
) -> list[Frame]:
    least = target.get("interval") or panel.raw.get("interval")
    interval = seen.interval(panel.points, _least(least, scope, seen))
    scope = {**scope, **seen.variables(interval)}
    expression = sources.statement(target.get("expr") or "", scope, seen, promql_format)
    form = str(target.get("format") or "time_series")
    found: list[Frame] = []
    if target.get("range") or not target.get("instant"):
        factor = float(target.get("intervalFactor") or 1)
        step = seen.step(interval * factor)
        series = await sources.prometheus.over(expression, seen.start, seen.end, step)
        found += prometheus.frames(_ref(target), series, form, expression)
    if target.get("instant"):
        series = await sources.prometheus.instant(expression, seen.end)
        found += prometheus.frames(_ref(target), series, form, expression)
    return found


def _least(written: str | None, scope: Scope, seen: Range) -> float | None:
    """The least step, where one is asked for; never below how often there are samples."""
    if not written:
        return None
    given = {**scope, **seen.variables(seen.interval(1000))}
    return max(seconds(interpolate(written, given, plain).lstrip(">")), seen.scrape_seconds)


def _ref(target: Mapping[str, object]) -> str:
    return str(target.get("refId") or "A")


def _values_apart(panel: Panel, frames: Sequence[Frame]) -> list[Frame]:
    """Where several queries are tables, Grafana calls their values ``Value #A``, ``Value #B``."""
    tables = {_ref(each) for each in panel.targets if each.get("format") == "table"}
    if len(tables) < 2:
        return list(frames)
    return [
        replace(frame, fields=tuple(_called(each, frame.ref) for each in frame.fields))
        if frame.ref in tables
        else frame
        for frame in frames
    ]


def _called(field: Field, ref: str) -> Field:
    return replace(field, name=f"Value #{ref}") if field.name == "Value" else field
