"""Variables in a dashboard's texts, replaced as Grafana's template service replaces them.

The syntaxes, the formats and what each data source does without one are those of Grafana 10 and
11: https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

# $name, [[name:format]], ${name.field:format}
_VARIABLE = re.compile(
    r"\$(?P<plain>\w+)"
    r"|\[\[(?P<square>\w+?)(?::(?P<squareformat>\w+))?\]\]"
    r"|\$\{(?P<curly>\w+)(?:\.(?P<path>[^:}]+))?(?::(?P<format>[^}]+))?\}"
)


class CannotInterpolate(Exception):
    """A format that is none; the message says of which variable."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A variable and what is chosen of it.

    ``several``: it may have more than one value (multi, or with All), which changes how data
    sources quote. ``verbatim``: a custom value for All, which is put in as it is written.
    """

    name: str
    values: tuple[str, ...]
    texts: tuple[str, ...] = ()
    several: bool = False
    verbatim: str | None = None


Scope = Mapping[str, Bound]
Format = Callable[[Bound], str]


def interpolate(text: str, scope: Scope, default: Format) -> str:
    """``text`` with every variable of ``scope`` replaced; names not in it stay as they are."""

    def replaced(found: re.Match[str]) -> str:
        name = found["plain"] or found["square"] or found["curly"]
        bound = scope.get(name)
        if bound is None:
            return found[0]
        asked = found["squareformat"] or found["format"]
        if bound.verbatim is not None and asked not in ("text", "percentencode", "queryparam"):
            return bound.verbatim
        return _formatted(bound, asked) if asked else default(bound)

    return _VARIABLE.sub(replaced, text)


def names(text: str) -> set[str]:
    """The names of the variables that occur; digits alone are a replacement's groups."""
    found = (m["plain"] or m["square"] or m["curly"] for m in _VARIABLE.finditer(text))
    return {name for name in found if not name.isdigit()}


def prometheus(bound: Bound) -> str:
    """What the Prometheus data source puts in where no format is asked for."""
    if not bound.several:
        return _only(bound).replace("\\", "\\\\").replace("'", "\\'")
    values = [_regex_in_a_string(value) for value in bound.values]
    return values[0] if len(values) == 1 else f"({'|'.join(values)})"


def sql(bound: Bound) -> str:
    """What the PostgreSQL data source puts in where no format is asked for."""
    if not bound.several:
        return _only(bound).replace("'", "''")
    return _sql_literals(bound)


def plain(bound: Bound) -> str:
    """What titles, texts and links get where no format is asked for: a glob."""
    return bound.values[0] if len(bound.values) == 1 else f"{{{','.join(bound.values)}}}"


def _only(bound: Bound) -> str:
    return bound.values[0] if bound.values else ""


def _regex_in_a_string(value: str) -> str:
    """Escaped for a regular expression within a PromQL string."""
    slashed = value.replace("\\", "\\\\\\\\")
    return re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", slashed)


def _regex(bound: Bound) -> str:
    values = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", value) for value in bound.values]
    return values[0] if len(values) == 1 else f"({'|'.join(values)})"


def _sql_literals(bound: Bound) -> str:
    return ",".join("'" + value.replace("'", "''") + "'" for value in bound.values)


def _percent(bound: Bound) -> str:
    return quote(plain(bound), safe="")


def _query(bound: Bound) -> str:
    values = ["$__all"] if bound.verbatim is not None else list(bound.values)
    return "&".join(f"var-{bound.name}={quote(value, safe='')}" for value in values)


_FORMATS: Mapping[str, Format] = {
    "csv": lambda bound: ",".join(bound.values),
    "doublequote": lambda bound: ",".join(
        '"' + value.replace('"', '\\"') + '"' for value in bound.values
    ),
    "glob": plain,
    "json": lambda bound: json.dumps(
        bound.values[0] if len(bound.values) == 1 and not bound.several else bound.values
    ),
    "percentencode": _percent,
    "pipe": lambda bound: "|".join(bound.values),
    "queryparam": _query,
    "raw": lambda bound: ",".join(bound.values),
    "regex": _regex,
    "singlequote": lambda bound: ",".join(
        "'" + value.replace("'", "\\'") + "'" for value in bound.values
    ),
    "sqlstring": _sql_literals,
    "text": lambda bound: " + ".join(bound.texts or bound.values),
}


def _formatted(bound: Bound, asked: str) -> str:
    if asked == "date" or asked.startswith("date:"):
        return _date(_only(bound), asked.partition(":")[2])
    if asked not in _FORMATS:
        raise CannotInterpolate(
            f"${{{bound.name}:{asked}}} asks for a format that is not one of"
            f" {', '.join(_FORMATS)}, date"
        )
    return _FORMATS[asked](bound)


def _date(milliseconds: str, form: str) -> str:
    if form == "seconds":
        return str(int(milliseconds) // 1000)
    if form not in ("", "iso"):
        raise CannotInterpolate(f"date:{form} is not date, date:iso or date:seconds")
    moment = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
