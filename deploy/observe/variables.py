"""What a dashboard's variables are when it is opened: asked of the data sources, then chosen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from deploy.observe.dashboards import Dashboard, Json
from deploy.observe.interpolation import Bound, interpolate, prometheus, sql
from deploy.observe.prometheus import Labels, QueryFailed
from deploy.observe.sources import Sources, engine_of
from deploy.observe.times import Range

ALL = "$__all"
NO_PICKS: Mapping[str, str] = MappingProxyType({})
_LABEL = r"[a-zA-Z_$][a-zA-Z0-9_]*"
_LABEL_VALUES = re.compile(rf"^label_values\((?:(.+),\s*)?({_LABEL})\)\s*$", re.DOTALL)
_QUERY_RESULT = re.compile(r"^query_result\((.+)\)\s*$", re.DOTALL)
_METRICS = re.compile(r"^metrics\((.+)\)\s*$")
_COMMA = re.compile(r"(?:\\,|[^,])+")


@dataclass(frozen=True, slots=True)
class Option:
    """One thing to choose: what is shown, and what is put in."""

    text: str
    value: str


async def resolve(
    dashboard: Dashboard,
    sources: Sources,
    looked_at: Range,
    picks: Mapping[str, str] = NO_PICKS,
) -> dict[str, Bound]:
    """Every variable as it is when the dashboard is opened, but for ``picks``: values that
    somebody then chooses, by variable. Raises ``QueryFailed``."""
    scope: dict[str, Bound] = dict(looked_at.variables(looked_at.interval(1000)))
    for variable in dashboard.variables:
        name = variable["name"]
        try:
            options = await _options(variable, scope, sources, looked_at)
        except QueryFailed as error:
            raise QueryFailed(f"variable {name}: {error}") from error
        scope[name] = chosen(variable, options, picks.get(name))
    return scope


def chosen(variable: Json, options: Sequence[Option], pick: str | None = None) -> Bound:
    """What is chosen before anybody chooses: what was saved if it is there, else the first.
    ``pick`` goes before it, if it is there.

    Raises ``QueryFailed`` when there is nothing to choose.
    """
    if not options:
        raise QueryFailed(f"variable {variable['name']}: nothing to choose from")
    saved = _as_list((variable.get("current") or {}).get("value"))
    if pick in [each.value for each in options]:
        saved = [str(pick)]
    with_all, several = bool(variable.get("includeAll")), bool(variable.get("multi"))
    there = [each for each in options if each.value in saved]
    if with_all and (ALL in saved or not there):
        there = list(options)
        verbatim = variable.get("allValue") or None
    else:
        there, verbatim = there or [options[0]], None
    values, texts = tuple(o.value for o in there), tuple(o.text for o in there)
    return Bound(variable["name"], values, texts, several or with_all, verbatim)


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


async def _options(
    variable: Json, scope: dict[str, Bound], sources: Sources, looked_at: Range
) -> list[Option]:
    kind, query = variable["type"], variable.get("query", "")
    if kind == "query":
        found = await _asked(variable, _text(query), scope, sources, looked_at)
        return _sorted(_picked(found, variable.get("regex") or ""), variable.get("sort") or 0)
    if kind in ("custom", "interval"):
        return [_custom(each.replace("\\,", ",").strip()) for each in _COMMA.findall(query)]
    if kind in ("datasource", "constant", "textbox"):
        return [Option(str(query), str(query))]
    raise QueryFailed(f"its type {kind!r} is not known here")


def _text(query: Any) -> str:
    if isinstance(query, dict):
        return str(query.get("query") or query.get("rawSql") or "")
    return str(query or "")


def _custom(word: str) -> Option:
    text, colon, value = word.partition(" : ")
    return Option(text.strip(), value.strip() if colon else text.strip())


async def _asked(
    variable: Json, query: str, scope: dict[str, Bound], sources: Sources, looked_at: Range
) -> list[Option]:
    if engine_of(variable.get("datasource"), scope) == "postgres":
        columns, rows = await sources.postgres().run(
            sources.statement(query, scope, looked_at, sql)
        )
        return _from_rows(columns, rows)
    text = interpolate(query, scope, prometheus)
    return [Option(each, each) for each in await _from_prometheus(text, sources, looked_at)]


def _from_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Option]:
    if "__text" in columns and "__value" in columns:
        text, value = columns.index("__text"), columns.index("__value")
        return _once(Option(str(row[text]), str(row[value])) for row in rows)
    return _once(Option(str(cell), str(cell)) for row in rows for cell in row if cell is not None)


async def _from_prometheus(query: str, sources: Sources, looked_at: Range) -> list[str]:
    start, end = looked_at.start, looked_at.end
    if found := _LABEL_VALUES.match(query):
        return await sources.prometheus.label_values(found[2], found[1] or "", start, end)
    if found := _METRICS.match(query):
        every = await sources.prometheus.label_values("__name__", "", start, end)
        return [name for name in every if re.search(found[1], name)]
    if found := _QUERY_RESULT.match(query):
        series = await sources.prometheus.instant(found[1], end)
        return [f"{_written(labels)} {p[0][1]:g} {p[0][0] * 1000:.0f}" for labels, p in series]
    raise QueryFailed(f"{query!r} is none of label_values(), metrics(), query_result()")


def _written(labels: Labels) -> str:
    inner = ",".join(f'{k}="{v}"' for k, v in labels.items() if k != "__name__")
    return f"{labels.get('__name__', '')}{{{inner}}}"


def _picked(options: Iterable[Option], expression: str) -> list[Option]:
    """What the variable's regular expression takes out of each, as ``/…/`` or bare."""
    if not expression:
        return _once(options)
    flags = re.IGNORECASE if expression.rpartition("/")[2] == "i" else 0
    inner = expression[1:].rpartition("/")[0] if expression.startswith("/") else expression
    pattern = re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", inner), flags)
    found = [(each, pattern.search(each.text)) for each in options]
    return _once(_taken(each, match) for each, match in found if match)


def _taken(option: Option, match: re.Match[str]) -> Option:
    named = {k: v for k, v in match.groupdict().items() if v is not None}
    if named:
        text = named.get("text") or named.get("value") or option.text
        return Option(text, named.get("value") or text)
    return Option(match[1], match[1]) if match.groups() else option


def _sorted(options: list[Option], order: int) -> list[Option]:
    """Grafana's orders: 1, 2 by letter; 3, 4 by number; 5, 6 by letter in either case."""
    keys: dict[int, Callable[[Option], Any]] = {
        1: lambda o: o.text,
        3: lambda o: float((re.search(r"\d+(\.\d+)?", o.text) or ["-1"])[0]),
        5: lambda o: o.text.lower(),
    }
    key = keys.get(order - (order + 1) % 2)
    return sorted(options, key=key, reverse=order % 2 == 0) if key else options


def _once(options: Iterable[Option]) -> list[Option]:
    return list(dict.fromkeys(options))
