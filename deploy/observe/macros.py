"""The macros of Grafana's PostgreSQL data source, without TimescaleDB.

https://grafana.com/docs/grafana/latest/datasources/postgres/#macros
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from deploy.observe.times import Range, seconds

# As in Grafana's sources: arguments end at the first closing bracket, and are split at commas.
_MACRO = re.compile(r"\$(?P<name>__\w+)\((?P<arguments>[^)]*)\)")
_NS = 10**9

Macro = Callable[[list[str], Range], str]


class BadMacro(Exception):
    """A macro that does not exist, or that lacks an argument."""


def expand(statement: str, looked_at: Range) -> str:
    """``statement`` with its macros written out. Raises ``BadMacro``."""

    def one(found: re.Match[str]) -> str:
        macro = _MACROS.get(found["name"])
        if macro is None:
            raise BadMacro(f"{found[0]}: there is no macro ${found['name']}")
        arguments = [each.strip() for each in found["arguments"].split(",")]
        try:
            return macro(arguments, looked_at)
        except (IndexError, ValueError) as error:
            raise BadMacro(f"{found[0]}: {error}") from error

    return _MACRO.sub(one, statement)


def _column(arguments: list[str]) -> str:
    if not arguments[0]:
        raise ValueError("a column is missing")
    return arguments[0]


def _moment(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return "'" + moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") + "'"


def _group(arguments: list[str], _: Range) -> str:
    every = _every(arguments)
    return f"floor(extract(epoch from {_column(arguments)})/{every})*{every}"


def _epoch_group(arguments: list[str], _: Range) -> str:
    every = _every(arguments)
    return f"floor(({_column(arguments)})/{every})*{every}"


def _every(arguments: list[str]) -> str:
    return f"{seconds(arguments[1].strip(chr(39) + chr(34))):g}"


def _alias(macro: Macro) -> Macro:
    return lambda arguments, looked_at: f'{macro(arguments, looked_at)} AS "time"'


_MACROS: Mapping[str, Macro] = {
    "__time": lambda a, _: f'{_column(a)} AS "time"',
    "__timeEpoch": lambda a, _: f'extract(epoch from {_column(a)}) as "time"',
    "__timeFilter": lambda a, r: f"{_column(a)} BETWEEN {_moment(r.start)} AND {_moment(r.end)}",
    "__timeFrom": lambda _, r: _moment(r.start),
    "__timeTo": lambda _, r: _moment(r.end),
    "__timeGroup": _group,
    "__timeGroupAlias": _alias(_group),
    "__unixEpochFilter": lambda a, r: (
        f"{_column(a)} >= {int(r.start)} AND {_column(a)} <= {int(r.end)}"
    ),
    "__unixEpochFrom": lambda _, r: str(int(r.start)),
    "__unixEpochTo": lambda _, r: str(int(r.end)),
    "__unixEpochNanoFilter": lambda a, r: (
        f"{_column(a)} >= {int(r.start * _NS)} AND {_column(a)} <= {int(r.end * _NS)}"
    ),
    "__unixEpochNanoFrom": lambda _, r: str(int(r.start * _NS)),
    "__unixEpochNanoTo": lambda _, r: str(int(r.end * _NS)),
    "__unixEpochGroup": _epoch_group,
    "__unixEpochGroupAlias": _alias(_epoch_group),
}
