"""A result as one self-contained HTML file: no script, no outside reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache

import jinja2
import yaml
from markupsafe import Markup, escape

from collector.reports import figures
from collector.reports.by_host import finished
from collector.reports.charts.cost import ESTIMATORS
from collector.reports.charts.waterfall import shown
from collector.reports.fleet_page import fleet_page
from collector.reports.isolated import FACETS, seen_told, sight
from collector.reports.memory_floors import failed_told, floor_told
from collector.reports.merged_grids import verdict_told
from collector.reports.model import Result, RunSummary
from collector.reports.names import Names
from collector.reports.page import OUTCOMES, host_pages
from collector.reports.sentences import ended, forecast, sentences
from collector.reports.start_drawings import Trial
from collector.suitability import few

_NUMBER = re.compile(r"(\d[\d.,–]*×?)\s(?=(?:µs|ms|s|B|kB|MB|GB|TB|MiB|GiB|%)(?:\W|$))")

_HYPHENATED = re.compile(r"(?<![\w-])([a-z]{1,16}-[a-z]{1,16})(?![\w-])")


def render(result: Result, trials: Sequence[Trial]) -> str:
    """The report of a run; ``trials`` are rows as ``collector.reports.export.rows`` gives them."""
    names = Names(result)
    return _template().render(
        result=result,
        names=names,
        sentences=sentences(result),
        hosts=host_pages(result, trials, names),
        fleet=fleet_page(result, trials, names),
        finished=finished(result),
        phases=shown(result.startup),
        outcomes=OUTCOMES,
        estimators=ESTIMATORS,
        facets=FACETS,
        spec=_spec(result.run),
        commands=_commands(result.run),
        attempts=len(trials),
        unready=sum(trial["outcome"] != "ready" for trial in trials),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("collector.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(
        figures=figures, ended=ended, forecast=forecast, few=few, verdict_told=verdict_told
    )
    environment.globals.update(
        seen_told=seen_told, sight=sight, floor_told=floor_told, failed_told=failed_told
    )
    environment.filters["prose"] = prose
    environment.filters["moment"] = _moment
    return environment.get_template("report.html.j2")


def prose(sentence: str) -> Markup:
    """Escaped text in which no line breaks between a number and its unit, nor at the
    hyphen of a name."""
    space = "\N{NO-BREAK SPACE}"
    text = _NUMBER.sub(f"\\1{space}", sentence).replace("n = ", f"n{space}={space}")
    whole = Markup('<span class="whole">{}</span>')
    # Split by one group: every second part is what it found.
    parts = enumerate(_HYPHENATED.split(text))
    return Markup("").join(whole.format(part) if at % 2 else escape(part) for at, part in parts)


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _spec(run: RunSummary) -> str:
    return yaml.safe_dump(run.spec, sort_keys=False, allow_unicode=True, width=88)


def _commands(run: RunSummary) -> list[tuple[str, str]]:
    return [
        ("Run it again: the spec below, with the same seed", "tonnage run spec.yaml"),
        ("Every trial, to recompute any figure here", f"tonnage export {run.id} --format csv"),
        ("This result as JSON", f"tonnage show {run.id} --output json"),
        ("What its fields mean", "tonnage schema --result"),
    ]
