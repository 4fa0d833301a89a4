"""Grafana's transformations between a query's answer and the visualisation, those in use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from deploy.observe.frames import Field, Frame, is_drawn
from deploy.observe.prometheus import QueryFailed

Frames = Sequence[Frame]
Transformation = Callable[[Frames, Mapping[str, Any]], list[Frame]]


def transform(frames: Frames, steps: Sequence[Mapping[str, Any]]) -> list[Frame]:
    """The frames after every step. Raises ``QueryFailed`` at one that is not known here."""
    for step in steps:
        known = _KNOWN.get(step["id"])
        if known is None:
            raise QueryFailed(f"transformation {step['id']!r} is not known here")
        frames = known(frames, step.get("options") or {})
    return list(frames)


def _organize(frames: Frames, options: Mapping[str, Any]) -> list[Frame]:
    out = options.get("excludeByName") or {}
    names = options.get("renameByName") or {}
    return [
        replace(
            frame,
            fields=tuple(
                replace(each, name=names.get(each.name) or each.name)
                for each in frame.fields
                if not out.get(each.name)
            ),
        )
        for frame in frames
    ]


def _filter_by_name(frames: Frames, options: Mapping[str, Any]) -> list[Frame]:
    def kept(name: str) -> bool:
        wanted, unwanted = options.get("include"), options.get("exclude")
        return (not wanted or _named(name, wanted)) and not (unwanted and _named(name, unwanted))

    return [replace(f, fields=tuple(e for e in f.fields if kept(e.name))) for f in frames]


def _named(name: str, options: Mapping[str, Any]) -> bool:
    pattern = options.get("pattern")
    found = pattern and re.search(str(pattern).strip("/"), name)
    return bool(found) or name in (options.get("names") or ())


def _join(frames: Frames, options: Mapping[str, Any]) -> list[Frame]:
    """Frames side by side where a field has the same value: ``outer``, or ``inner``."""
    by = options.get("byField") or "Time"
    having = [f for f in frames if any(each.name == by for each in f.fields)]
    if len(having) < 2:
        return having
    keyed = [_rows_by(frame, by) for frame in having]
    keys = list(dict.fromkeys(key for rows in keyed for key in rows))
    if options.get("mode") == "inner":
        keys = [key for key in keys if all(key in rows for rows in keyed)]
    first = next(each for each in having[0].fields if each.name == by)
    fields = [replace(first, values=keys)]
    for frame, rows in zip(having, keyed, strict=True):
        fields += _beside(frame, rows, keys, by)
    return [Frame("joined", tuple(fields), having[0].executed)]


def _rows_by(frame: Frame, by: str) -> dict[object, int]:
    values = next(each for each in frame.fields if each.name == by).values
    return {value: row for row, value in enumerate(values)}


def _beside(frame: Frame, rows: dict[object, int], keys: list[object], by: str) -> list[Field]:
    others = [each for each in frame.fields if each.name != by]
    return [
        replace(e, values=[e.values[rows[key]] if key in rows else None for key in keys])
        for e in others
    ]


def _merge(frames: Frames, _: Mapping[str, Any]) -> list[Frame]:
    """One table; rows that agree in every field they share become one."""
    if not frames:
        return []
    columns = list(dict.fromkeys((e.name, e.kind) for frame in frames for e in frame.fields))
    rows: list[dict[str, object]] = []
    for frame in frames:
        for at in range(frame.rows):
            _merged_into(rows, {each.name: each.values[at] for each in frame.fields})
    fields = (Field(name, kind, [row.get(name) for row in rows]) for name, kind in columns)
    return [Frame("merged", tuple(fields), frames[0].executed)]


def _merged_into(rows: list[dict[str, object]], new: dict[str, object]) -> None:
    for row in rows:
        shared = row.keys() & new.keys()
        if shared and new.keys() - shared and all(row[name] == new[name] for name in shared):
            row.update(new)
            return
    rows.append(new)


def _labels_to_fields(frames: Frames, _: Mapping[str, Any]) -> list[Frame]:
    """A column for each label, in one table."""
    made = []
    for frame in frames:
        labels = {k: v for each in frame.fields for k, v in each.labels.items()}
        columns = (Field(name, "string", [value] * frame.rows) for name, value in labels.items())
        bare = [replace(each, labels={}) for each in frame.fields]
        made.append(replace(frame, fields=(bare[0], *columns, *bare[1:])))
    return _merge(made, {})


def _partition(frames: Frames, options: Mapping[str, Any]) -> list[Frame]:
    """A frame for each combination of values of some fields, in the order they are met."""
    names = tuple(options.get("fields") or ())
    parts = [part for frame in frames for part in _parts(frame, names)]
    if options.get("keepFields"):
        return parts
    return [replace(f, fields=tuple(e for e in f.fields if e.name not in names)) for f in parts]


def _parts(frame: Frame, names: tuple[str, ...]) -> list[Frame]:
    keys = [*zip(*(e.values for e in frame.fields if e.name in names), strict=True)]
    places: dict[object, list[int]] = {}
    for at, key in enumerate(keys):
        places.setdefault(key, []).append(at)
    return [
        replace(
            frame,
            fields=tuple(replace(e, values=[e.values[at] for at in those]) for e in frame.fields),
        )
        for those in places.values()
    ]


def _reduce(frames: Frames, options: Mapping[str, Any]) -> list[Frame]:
    """A row for each series, with a column for each calculation."""
    series = [each for frame in frames for each in frame.of("number")]
    names = [" ".join(each.labels.values()) or each.name for each in series]
    columns = [
        Field(how, "number", [_calculated(how, each) for each in series])
        for how in options.get("reducers") or ["max"]
    ]
    return [Frame("reduced", (Field("Field", "string", names), *columns))] if series else []


def _calculated(how: str, field: Field) -> float | None:
    values = [float(value) for value in field.values if is_drawn(value)]  # type: ignore[arg-type]  # numbers alone
    known: Mapping[str, Callable[[], float]] = {
        "count": lambda: float(len(values)),
        "first": lambda: values[0],
        "firstNotNull": lambda: values[0],
        "last": lambda: values[-1],
        "lastNotNull": lambda: values[-1],
        "max": lambda: max(values),
        "mean": lambda: sum(values) / len(values),
        "min": lambda: min(values),
        "sum": lambda: sum(values),
    }
    if how not in known:
        raise QueryFailed(f"the calculation {how!r} is not known here")
    return known[how]() if values else None


def _as_they_are(frames: Frames, _: Mapping[str, Any]) -> list[Frame]:
    """Changes the order, or the look, and not what there is."""
    return list(frames)


_KNOWN: Mapping[str, Transformation] = {
    "convertFieldType": _as_they_are,
    "filterFieldsByName": _filter_by_name,
    "joinByField": _join,
    "labelsToFields": _labels_to_fields,
    "merge": _merge,
    "organize": _organize,
    "partitionByValues": _partition,
    "reduce": _reduce,
    "renameByRegex": _as_they_are,
    "sortBy": _as_they_are,
}
