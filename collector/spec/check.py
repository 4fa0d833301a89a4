"""From text to ``Spec``, or to an error that names every problem and its way out."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from collector.errors import InvalidInput
from collector.spec.document import Spec
from collector.spec.parts import ONE_LINE
from collector.spec.source import Path, Source, dotted, read

_MAX_SHOWN = 20
_MAX_VALUE = 80
_WORDS = {"Tuple": "list", "a valid tuple": "a list", " after validation": ""}


def parse(text: str, overrides: Sequence[str] = ()) -> Spec:
    """Read an experiment file, YAML or JSON, apply ``a.b=c`` overrides, and check it.

    Raises ``InvalidInput``; one problem fills its field, value and remedy,
    several are listed in its message.
    """
    source = read(text)
    if not isinstance(source.data, dict):
        remedy = "Write keys such as name, workload and targets; see experiments/."
        raise InvalidInput("the experiment file is not a mapping", remedy=remedy)
    for assignment in overrides:
        source.override(assignment)
    try:
        return Spec.model_validate(source.data)
    except ValidationError as error:
        raise _explain(error, source) from error


def _explain(error: ValidationError, source: Source) -> InvalidInput:
    found = error.errors(include_url=False)
    problems = [_problem(each, source) for each in found if not _follows(each, found)]
    if len(problems) == 1:
        return problems[0]
    shown = "\n".join(f"  {problem}" for problem in problems[:_MAX_SHOWN])
    more = len(problems) - _MAX_SHOWN
    tail = f"\n  and {more} more" if more > 0 else ""
    text = f"the experiment file has {len(problems)} problems:\n{shown}{tail}"
    return InvalidInput(text.removesuffix("."))


def _follows(details: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether a list is only short as its wrong items are not counted among its items."""
    at = details["loc"]
    return details["type"] == "too_short" and any(
        len(each["loc"]) > len(at) and each["loc"][: len(at)] == at for each in found
    )


def _problem(details: ErrorDetails, source: Source) -> InvalidInput:
    context = details.get("ctx", {})
    path = _written(source.data, tuple(context.get("at", ())) or details["loc"])
    value, present = _value(source.data, path)
    line = source.line(path)
    message, remedy = _sentence(details, path)
    return InvalidInput(
        f"{message}, line {line}" if line else message,
        field=dotted(path),
        value=_shown(value) if present else "",
        remedy=remedy,
    )


def _sentence(details: ErrorDetails, path: Path) -> tuple[str, str]:
    context = details.get("ctx", {})
    kind = details["type"]
    if kind == "extra_forbidden":
        return "unknown key", _known_keys(path)
    if kind == "missing":
        return "is missing", "Add it; tonnage schema describes every field."
    if kind == "out_of_bounds":
        return details["msg"], "Choose a value in between."
    if kind == "string_pattern_mismatch" and context["pattern"] == ONE_LINE:
        return "is more than one line", "It is sought within a line: write it without line breaks."
    if kind == "string_pattern_mismatch":
        return "not written as it must be", f"It must match {context['pattern']}."
    message = details["msg"].removeprefix("Input should be ").removeprefix("Value should ")
    message = f"should be {message}" if message != details["msg"] else message
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours, 1)
    return message[0].lower() + message[1:], str(context.get("remedy", ""))


def _known_keys(path: Path) -> str:
    keys = _fields_at(path[:-1])
    close = get_close_matches(str(path[-1]), keys, n=1)
    guess = f"Did you mean {close[0]}? " if close else ""
    return f"{guess}Known here: {', '.join(keys)}."


def _fields_at(path: Path) -> list[str]:
    """The keys that the mapping at ``path`` of a spec may have."""
    hint: Any = Spec
    for part in path:
        model = _model(hint)
        if model is not None and isinstance(part, str) and part in model.model_fields:
            hint = model.model_fields[part].annotation
        else:
            hint = next((a for a in reversed(get_args(_bare(hint))) if a is not Ellipsis), None)
    model = _model(hint)
    return list(model.model_fields) if model else []


def _bare(hint: Any) -> Any:
    while get_origin(hint) in (Annotated, Union, types.UnionType):
        hint = next(a for a in get_args(hint) if a is not types.NoneType)
    return hint


def _model(hint: Any) -> type[BaseModel] | None:
    bare = _bare(hint)
    return bare if isinstance(bare, type) and issubclass(bare, BaseModel) else None


# How pydantic marks that a mapping's key is wrong and not its value.
_OF_A_KEY = "[key]"


def _written(data: Any, path: Path) -> Path:
    """``path`` without the steps that a short form does not have, a single value given
    for a list or a list for a mapping, nor pydantic's mark for a mapping's key."""
    kept: list[str | int] = []
    for part in path:
        if isinstance(part, int) and not isinstance(data, list):
            continue
        if part == _OF_A_KEY and not (isinstance(data, Mapping) and part in data):
            continue
        if isinstance(part, str) and isinstance(data, list):  # of a list in place of a mapping
            continue
        kept.append(part)
        data = _item(data, part)
    return tuple(kept)


def _item(data: Any, part: str | int) -> Any:
    if isinstance(data, Mapping):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return None


def _value(data: Any, path: Path) -> tuple[Any, bool]:
    """The scalar at ``path``, and whether there is one worth showing."""
    for part in path:
        data = _item(data, part)
    return data, data is not None and not isinstance(data, Mapping | list)


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "…"
