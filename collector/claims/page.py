"""Verdicts as one self-contained HTML page, with the lesson's picture from the same runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jinja2
from markupsafe import Markup

from collector.claims import table
from collector.claims.classes import class_of
from collector.claims.model import Claims, Class, ScopeRow
from collector.reports import figures
from collector.reports.html import prose
from collector.reports.model import HostSummary, LayerRow, Result
from collector.reports.names import Names
from collector.reports.stack_drawings import Pictures, pictures


@dataclass(frozen=True, slots=True)
class Picture:
    """The stacks of one host in one run, in the form that the report's template wants."""

    summary: HostSummary
    stacks: Pictures
    names: Names
    run: str


def render(claims: Claims, results: Sequence[Result]) -> str:
    """The page. Runs without footprint and start of several subjects give no picture."""
    return _template().render(
        claims=claims,
        drawn=[picture for result in results for picture in _pictures(result)],
        facts=next((host.facts for result in results for host in result.hosts if host.facts), {}),
        runtimes=_runtimes(results),
    )


def _pictures(result: Result) -> list[Picture]:
    names = Names(result)
    found = []
    for host in result.hosts:
        rows = [row for row in result.layers if row.host == host.host]
        weighed = {row.runtime for row in rows if row.bytes_per_instance is not None}
        if len(weighed) > 1:
            drawn = pictures(host, _as_in_the_lesson(result, rows), names)
            found.append(Picture(host, drawn, names, result.run.name))
    return found


def _as_in_the_lesson(result: Result, rows: Sequence[LayerRow]) -> list[LayerRow]:
    """Side by side come first the two that it draws: a whole VM, and the container that others
    are compared with, else the first; then what lies between them, and the other containers."""
    containers = list(dict.fromkeys(r.runtime for r in rows if class_of(r) == "container"))
    baselines = [comparison.baseline.runtime for comparison in result.comparisons]
    drawn = next((runtime for runtime in [*baselines, *containers] if runtime in containers), None)
    order: Sequence[Class] = ("full VM", "container", "microVM", "restored VM")

    def place(row: LayerRow) -> int:
        kind = class_of(row)
        if kind not in order or (kind == "container" and row.runtime != drawn):
            return len(order)
        return order.index(kind)

    return sorted(rows, key=place)


def _runtimes(results: Sequence[Result]) -> list[tuple[str, str, str]]:
    """Each runtime once: its name, its version, and what executes its instructions."""
    found = {
        runtime.name: (runtime.name, runtime.version, runtime.accelerator_proof or runtime.reason)
        for result in results
        for host in result.hosts
        for runtime in host.runtimes
    }
    return list(found.values())


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("collector.claims"), jinja2.PackageLoader("collector.reports")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(figures=figures, named=table.subject, told=_told)
    environment.filters["prose"] = prose
    return environment.get_template("claims.html.j2")


def _told(row: ScopeRow) -> Markup:
    """A part's estimate and interval."""
    estimate, interval = table.estimate(row), table.interval(row)
    if estimate == interval == figures.NOTHING:
        return Markup("–")
    return Markup("{} <small>{}</small>").format(estimate, "" if interval == "–" else interval)
