"""Whether a panel has what its visualisation needs, by the type of the panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.observe.frames import Field, Frame, is_drawn, numbers


@dataclass(frozen=True, slots=True)
class Judgement:
    """What there is to draw; ``problem`` is empty when that is enough."""

    series: int
    points: int
    problem: str = ""


Judge = Callable[[Sequence[Frame], Mapping[str, Any]], Judgement]


def judge(kind: str, frames: Sequence[Frame], options: Mapping[str, Any]) -> Judgement:
    """Judge the data of a panel of type ``kind``; ``options`` are the panel's."""
    judged = JUDGES.get(kind)
    if judged is None:
        return Judgement(0, 0, f"nobody here knows what a panel of type {kind!r} needs")
    return judged(frames, options)


def _timeseries(frames: Sequence[Frame], _: Mapping[str, Any]) -> Judgement:
    timed = [frame for frame in frames if frame.of("time")]
    drawn = [each for each in numbers(timed) if each.filled >= 2]
    points = sum(each.filled for each in drawn)
    if drawn:
        return Judgement(len(drawn), points)
    if frames and not timed:
        return Judgement(0, 0, "no field of time")
    return _found(numbers(timed), "no series with two points")


def _value(frames: Sequence[Frame], _: Mapping[str, Any]) -> Judgement:
    return _found([each for each in numbers(frames) if each.filled], "no number", enough=1)


def _stat(frames: Sequence[Frame], options: Mapping[str, Any]) -> Judgement:
    """A stat may be told to show fields that are no numbers."""
    if options.get("reduceOptions", {}).get("fields"):
        return _table(frames, options)
    return _value(frames, options)


def _table(frames: Sequence[Frame], _: Mapping[str, Any]) -> Judgement:
    columns = [each for frame in frames for each in frame.fields if each.filled]
    rows = sum(frame.rows for frame in frames)
    problem = "" if rows and columns else "no row with a value"
    return Judgement(len(columns), rows, problem)


def _heatmap(frames: Sequence[Frame], options: Mapping[str, Any]) -> Judgement:
    if options.get("calculate"):
        return _timeseries(frames, options)
    cells = [(each, sum(_positive(v) for v in each.values)) for each in numbers(frames)]
    hot = [(each, count) for each, count in cells if count]
    points = sum(count for _, count in hot)
    if any("le" not in each.labels for each, _ in cells):
        return Judgement(len(hot), points, "a series without the label le is no bucket")
    problem = "" if len(hot) >= 2 else f"{len(hot)} buckets above zero, and two make a picture"
    return Judgement(len(hot), points, problem)


def _states(frames: Sequence[Frame], _: Mapping[str, Any]) -> Judgement:
    timed = [frame for frame in frames if frame.of("time")]
    fields = [each for frame in timed for each in frame.of("number", "string", "boolean")]
    return _found([each for each in fields if each.filled], "no state over time", enough=1)


def _bars(frames: Sequence[Frame], _: Mapping[str, Any]) -> Judgement:
    named = [frame for frame in frames if frame.of("string", "time")]
    return _found(
        [each for each in numbers(named) if each.filled], "no name beside a number", enough=1
    )


def _pairs(frames: Sequence[Frame], _: Mapping[str, Any]) -> Judgement:
    best = Judgement(0, 0, "no two fields of numbers with two rows both have")
    for frame in frames:
        fields = frame.of("number", "time")
        for other in fields[1:]:
            rows = zip(fields[0].values, other.values, strict=True)
            points = sum(is_drawn(x) and is_drawn(y) for x, y in rows)
            if points >= 2:
                best = Judgement(best.series + 1, best.points + points)
    return best


def _found(fields: Sequence[Field], lacking: str, enough: int = 2) -> Judgement:
    points = sum(each.filled for each in fields)
    good = any(each.filled >= enough for each in fields)
    return Judgement(len(fields), points, "" if good else lacking)


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and value > 0


JUDGES: Mapping[str, Judge] = {
    "barchart": _bars,
    "bargauge": _value,
    "gauge": _value,
    "heatmap": _heatmap,
    "histogram": lambda frames, _: _found(numbers(frames), "fewer than two numbers"),
    "piechart": _value,
    "stat": _stat,
    "state-timeline": _states,
    "status-history": _states,
    "table": _table,
    "timeseries": _timeseries,
    "trend": _pairs,
    "xychart": _pairs,
}
