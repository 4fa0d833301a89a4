"""Verdicts for a terminal: each claim with its reason and its rule, then every part."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.text import Text

from collector.claims.model import Claim, Claims, OpenInterval, Rules, RuleText, ScopeRow
from collector.claims.verdicts import name
from collector.reports import figures
from collector.reports.grid import Column, Grid, right

_MARKS = {"supported": ("✓", "green"), "refuted": ("✗", "red"), "inconclusive": ("?", "yellow")}


def render(claims: Claims, width: int | None = None) -> Text:
    """Every claim. Sentences wrap and tables fit at ``width`` columns."""
    runs = ", ".join(f"{run.name} {run.id}" for run in claims.runs) or "no run"
    lines = [Text(f"Judged by rules {claims.rules_version}, fixed beforehand, on {runs}")]
    lines += [Text(part) for told in claims.missing for part in _wrapped(told, width)]
    for claim in claims.claims:
        lines += [Text(), *_claim(claim, width)]
    return Text("\n", no_wrap=True, overflow="ignore").join(lines)


def render_rules(rules: Rules, width: int | None = None) -> Text:
    """The rules alone."""
    lines = [Text(f"Rules {rules.rules_version}", style="bold")]
    for claim_id, rule in rules.rules.items():
        lines += [Text(), Text(claim_id, style="bold"), *_rule(rule, width)]
    return Text("\n", no_wrap=True, overflow="ignore").join(lines)


def text(claims: Claims, width: int | None = None) -> str:
    """The same as plain text."""
    return render(claims, width).plain + "\n"


def _claim(claim: Claim, width: int | None) -> Iterator[Text]:
    mark, style = _MARKS[claim.verdict]
    head = f"{claim.id} {claim.verdict}: {claim.statement}"
    for number, part in enumerate(_wrapped(head, width)):
        yield Text.assemble((mark if number == 0 else " ", f"bold {style}"), " ", (part, "bold"))
    told = [claim.reason, *_holds(claim), *claim.evidence]
    yield from (Text(f"  {part}") for each in told for part in _wrapped(each, width))
    yield from _rule(claim.rule, width)
    if claim.scope:
        grid = _grid(claim.scope)
        yield from (Text(f"  {line}") for line in grid.lines(None if width is None else width - 2))


def _holds(claim: Claim) -> Iterator[str]:
    if claim.holds_for:
        yield f"Holds for: {', '.join(claim.holds_for)}."
    if claim.fails_for:
        yield f"Does not hold for: {', '.join(claim.fails_for)}."


def _rule(rule: RuleText, width: int | None) -> Iterator[Text]:
    for told in (f"Supported if {rule.supported_if}.", f"Refuted if {rule.refuted_if}."):
        yield from (Text(f"  {part}", style="dim") for part in _wrapped(told, width))


def _wrapped(sentence: str, width: int | None) -> list[str]:
    if width is None:
        return [sentence]
    return textwrap.wrap(sentence, max(width - 2, 20), break_on_hyphens=False)


def _grid(rows: Sequence[ScopeRow]) -> Grid:
    hosts = len({row.host for row in rows}) > 1
    columns = (
        *(Column("host"), Column("class"), Column("subject"), Column("part")),
        *right("estimate", ("95 % interval", 1), ("n", 2)),
        *(Column("against", spare=3), Column("verdict")),
    )
    grid = Grid(
        "",
        columns,
        tuple(
            (
                *(row.host, row.runtime_class, subject(row, rows), row.aspect),
                *(estimate(row), interval(row), str(row.n), row.against or "", row.verdict),
            )
            for row in rows
        ),
    )
    bare = [] if any(row.against for row in rows) else ["against"]
    if all(row.estimate is None and row.ci is None for row in rows):
        bare += ["estimate", "95 % interval"]
    return grid.without(*bare, *([] if hosts else ["host"]))


def subject(row: ScopeRow, rows: Sequence[ScopeRow]) -> str:
    """A row's subject among others: with workload and memory, where its like have several."""
    like = [other for other in rows if (name(other), other.aspect) == (name(row), row.aspect)]
    words = [name(row)]
    if len({other.workload for other in like}) > 1:
        words.append(row.workload)
    if row.memory_bytes is not None and len({other.memory_bytes for other in like}) > 1:
        words.append(figures.binary_size(row.memory_bytes))
    return ", ".join(words)


def estimate(row: ScopeRow) -> str:
    """A part's estimate with its unit: ``37×``, ``212 ms``, ``94 %``, ``12``."""
    if row.estimate is None:
        return figures.NOTHING
    return _told(row.estimate, row.unit)


def interval(row: ScopeRow) -> str:
    """``35–39×``; ``above 35×`` where there is no upper bound."""
    if row.ci is None:
        return figures.NOTHING
    return _span(row.ci, row.unit)


def _span(ci: OpenInterval, unit: str) -> str:
    low, high = ci
    if low is not None and high is not None:
        if unit == "s":
            return figures.seconds_span((low, high))
        if unit == "share":
            return figures.percent_span((low, high))
        return figures.times_span((low, high))
    if low is not None:
        return f"above {_told(low, unit)}"
    return figures.NOTHING if high is None else f"up to {_told(high, unit)}"


def _told(value: float, unit: str) -> str:
    if unit == "s":
        return figures.seconds(value)
    if unit == "share":
        return figures.percent(value)
    return figures.times(value) if "/" in unit else f"{value:g}"
