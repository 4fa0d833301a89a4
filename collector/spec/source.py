"""The text of an experiment file as plain data, with the line of every key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from collector.errors import InvalidInput

MAX_BYTES = 128 * 1024
MAX_DEPTH = 20

Path = tuple[str | int, ...]


class Source:
    """The data of a file, and where each part of it is written."""

    def __init__(self, data: Any, lines: dict[Path, int]) -> None:
        self.data = data
        self._lines = lines
        self._overridden: set[Path] = set()

    def line(self, path: Path) -> int | None:
        """The line, from 1, of the part at ``path`` or of the nearest part around it;
        ``None`` for what an override set."""
        if any(path[: len(known)] == known for known in self._overridden):
            return None
        nearest = (path[:end] for end in range(len(path), 0, -1))
        return next((self._lines[part] for part in nearest if part in self._lines), None)

    def override(self, assignment: str) -> None:
        """Apply one ``a.b=c``; the value is YAML. Raises ``InvalidInput``."""
        key, equals, text = assignment.partition("=")
        path = tuple(int(part) if part.isdigit() else part for part in key.strip().split("."))
        if not equals or "" in path:
            raise _override(assignment, "is not of the form a.b=c", "For example trials=20.")
        if len(path) > MAX_DEPTH:
            raise _override(assignment, "is nested too deeply", "")
        try:
            value = read(text).data
        except InvalidInput as error:
            raise _override(assignment, error.problem.message, "") from error
        place = self._place(path, assignment)
        place[path[-1] if isinstance(place, list) else str(path[-1])] = value
        self._overridden.add(path)

    def _place(self, path: Path, assignment: str) -> Any:
        """The mapping or list that holds the last part of ``path``, made if need be."""
        place = self.data
        for index, part in enumerate(path):
            if not isinstance(place, dict | list):
                raise _override(assignment, "does not lead to a mapping or list", "")
            if isinstance(place, list) and (isinstance(part, str) or part >= len(place)):
                remedy = f"It is a list of {len(place)}, counted from 0."
                raise _override(assignment, f"{dotted(path[:index])} has no part {part}", remedy)
            if index == len(path) - 1:
                break
            key = part if isinstance(place, list) else str(part)
            if isinstance(place, dict) and place.get(key) is None:
                place[key] = {}
            place = place[key]
        return place


def read(text: str) -> Source:
    """Read YAML, or JSON, within bounds.

    Raises ``InvalidInput`` for text that is too long, too deep, not YAML, or
    uses anchors or one key twice.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        remedy = "Split the experiment, or remove what it does not need."
        raise InvalidInput(f"the experiment file is longer than {MAX_BYTES} bytes", remedy=remedy)
    try:
        return Source(json.loads(text, parse_constant=_refuse_constant), {})
    except (ValueError, RecursionError):
        return _read_yaml(text)


def _read_yaml(text: str) -> Source:
    lines: dict[Path, int] = {}
    try:
        _bounded(text)
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Source(None, lines)
        _walk(node, (), lines)
        return Source(loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        what = error.problem or error.context
        raise InvalidInput(f"not valid YAML{where}: {what}", remedy=_YAML_WAY_OUT) from error
    except (yaml.YAMLError, ValueError) as error:
        what = str(error).splitlines()[0]
        raise InvalidInput(f"not valid YAML: {what}", remedy=_YAML_WAY_OUT) from error


_YAML_WAY_OUT = "See experiments/quick-compare.yaml for an example."


def _bounded(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            remedy = "Write the part out where it is used."
            raise InvalidInput(f"anchors and aliases are not read{_line(event)}", remedy=remedy)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise InvalidInput(f"more than {MAX_DEPTH} levels deep{_line(event)}")


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int]) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[*path, index] = item.start_mark.line + 1
            _walk(item, (*path, index), lines)
    elif isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            here = (*path, str(key.value))
            if here in lines:
                line = key.start_mark.line + 1
                message = f"the same key twice, lines {lines[here]} and {line}"
                raise InvalidInput(message, field=dotted(here), remedy="Keep one of them.")
            lines[here] = key.start_mark.line + 1
            _walk(item, here, lines)


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as people write it: ``targets[1].memory``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _line(event: yaml.Event) -> str:
    return f", line {event.start_mark.line + 1}" if event.start_mark else ""


def _refuse_constant(text: str) -> Any:
    raise ValueError(text)


def _override(assignment: str, message: str, remedy: str) -> InvalidInput:
    return InvalidInput(message, field="--set", value=assignment, remedy=remedy)
