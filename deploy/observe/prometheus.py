"""Prometheus as Grafana asks it: queries over its HTTP API, answers as frames."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from deploy.observe.frames import Field, Frame

_SECONDS = 30.0

Labels = Mapping[str, str]
Series = tuple[Labels, Sequence[tuple[float, float]]]


class QueryFailed(Exception):
    """A data source refused a query, or did not answer; the message is its own."""


class Prometheus:
    """A server at ``address`` (``http://HOST:PORT``)."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def instant(self, expression: str, at: float) -> list[Series]:
        """What it is at one time."""
        data = await self.api("query", query=expression, time=f"{at:.3f}")
        return _series(data, "value")

    async def over(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """What it was from ``start`` to ``end``. Like Grafana, begins at a multiple of step."""
        first = start // step * step
        given = {"start": f"{first:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return _series(await self.api("query_range", query=expression, **given), "values")

    async def label_values(self, label: str, match: str, start: float, end: float) -> list[str]:
        """The label's values among the series that ``match`` selects; of all without one."""
        given = {"match[]": match} if match else {}
        path = f"label/{label}/values"
        found = await self.api(path, True, start=f"{start:.3f}", end=f"{end:.3f}", **given)
        return [str(value) for value in found]

    async def api(self, path: str, get: bool = False, /, **parameters: str) -> Any:
        """The ``data`` of an answer. Raises ``QueryFailed``."""
        return await asyncio.to_thread(self._ask, path, urlencode(parameters), get)

    def _ask(self, path: str, form: str, get: bool) -> Any:
        url = f"{self.address}/api/v1/{path}"
        request = Request(f"{url}?{form}") if get else Request(url, form.encode())  # noqa: S310
        try:
            with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - ours, http
                return json.load(answer)["data"]
        except HTTPError as error:
            raise QueryFailed(_reason(error)) from error
        except (URLError, TimeoutError, ConnectionError) as error:
            raise QueryFailed(f"{url}: {error}") from error


def _reason(error: HTTPError) -> str:
    text = error.read().decode(errors="replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError):
        return f"HTTP {error.code}: {text[:200]}"


def _series(data: Any, key: str) -> list[Series]:
    if data["resultType"] == "scalar":
        return [({}, [_point(data["result"])])]
    return [
        (each["metric"], [_point(p) for p in ([each[key]] if key == "value" else each[key])])
        for each in data["result"]
    ]


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def frames(ref: str, series: Sequence[Series], form: str, executed: str) -> list[Frame]:
    """The answer in the format of its target: ``time_series``, ``table`` or ``heatmap``."""
    if form == "table":
        return [_table(ref, series, executed)] if series else []
    if form == "heatmap":
        series = _apart(series)
    return [
        Frame(
            ref,
            (
                Field("Time", "time", [at for at, _ in points]),
                Field("Value", "number", [value for _, value in points], labels),
            ),
            executed,
        )
        for labels, points in series
    ]


def _table(ref: str, series: Sequence[Series], executed: str) -> Frame:
    labels = sorted({name for each, _ in series for name in each})
    rows = [(each, at, value) for each, points in series for at, value in points]
    return Frame(
        ref,
        (
            Field("Time", "time", [at for _, at, _ in rows]),
            *(Field(name, "string", [each.get(name) for each, _, _ in rows]) for name in labels),
            Field("Value", "number", [value for _, _, value in rows]),
        ),
        executed,
    )


def _apart(series: Sequence[Series]) -> list[Series]:
    """Cumulative buckets made into buckets of their own, from the lowest ``le`` up."""
    below: dict[float, float] = {}
    apart: list[Series] = []
    for labels, points in sorted(series, key=lambda each: float(each[0].get("le", "nan"))):
        apart.append((labels, [(at, value - below.get(at, 0.0)) for at, value in points]))
        below.update(points)
    return apart
