"""From parts to a claim: what each subject says, and what all of them say together."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from collector.claims.classes import BLURS, LESSON
from collector.claims.model import Claim, Class, OpenInterval, ScopeRow, Standing
from collector.claims.rules import RULES
from collector.reports.model import Subject
from collector.reports.names import some_of
from collector.stats.proportion import proportion_interval


def scope(
    subject: Subject,
    runtime_class: Class,
    aspect: str,
    verdict: Standing,
    reason: str,
    *,
    n: int,
    estimate: float | None = None,
    unit: str = "",
    ci: OpenInterval | None = None,
    against: str | None = None,
    count: int | None = None,
) -> ScopeRow:
    """One part of a claim, judged for one subject. ``count``: of how many of the ``n`` it
    holds, where the estimate is that share."""
    if count is not None and n > 0:
        estimate, unit, ci = count / n, "share", proportion_interval(count, n)
    return ScopeRow(
        host=subject.host,
        runtime=subject.runtime,
        accelerator=subject.accelerator,
        variant=subject.variant,
        mode=subject.mode,
        network=subject.network,
        workload=subject.workload,
        memory_bytes=subject.memory_bytes or None,
        runtime_class=runtime_class,
        aspect=aspect,
        verdict=verdict,
        estimate=estimate,
        unit=unit,
        ci=ci,
        n=n,
        against=against,
        reason=reason,
    )


_ORDER: Sequence[Standing] = ("refuted", "inconclusive", "supported")


def against_it(verdict: Standing, ci: OpenInterval | None) -> tuple[int, float]:
    """Sorts parts by how much they say against the claim, the most first."""
    low = ci[0] if ci else None
    return _ORDER.index(verdict), math.inf if low is None else low


def claim(
    name: str, rows: Sequence[ScopeRow], needs: Collection[Class], evidence: Sequence[str] = ()
) -> Claim:
    """The verdict on a claim. ``needs`` are the classes of the lesson that it speaks of.

    Refuted as soon as one part is refuted for such a class; supported if each of
    them is there and every part of all of them is; inconclusive otherwise. Mode warm
    decides; cold starts, and what blurs the line, are told.
    """
    rule = RULES[name]
    verdict, reason = _verdict(rows, needs)
    return Claim(
        id=name,
        statement=rule.statement,
        verdict=verdict,
        reason=reason,
        holds_for=[c for c in _classes(rows) if _all(_deciding(rows, c), "supported")],
        fails_for=[c for c in _classes(rows) if _any(_deciding(rows, c), "refuted")],
        scope=list(rows),
        rule=rule.text,
        evidence=[*evidence, *_beside(rows), *_blurred(rows)],
    )


def _verdict(rows: Sequence[ScopeRow], needs: Collection[Class]) -> tuple[Standing, str]:
    deciding = [row for row in rows if row.runtime_class in LESSON and row.mode == "warm"]
    if against := [row for row in deciding if row.verdict == "refuted"]:
        holding = sorted({name(row) for row in deciding} - {name(row) for row in against})
        but = f" It holds for {some_of(holding)}." if holding else ""
        return "refuted", f"{_most_telling(against)}{but}"
    if absent := [c for c in sorted(needs) if c not in {row.runtime_class for row in deciding}]:
        return "inconclusive", f"The runs hold no evidence from a {' or a '.join(absent)}."
    if unclear := [row for row in deciding if row.verdict == "inconclusive"]:
        return "inconclusive", _most_telling(unclear)
    return "supported", f"Every part holds for {some_of(sorted({name(row) for row in deciding}))}."


def _most_telling(rows: Sequence[ScopeRow]) -> str:
    first, others = rows[0], {name(row) for row in rows[1:]} - {name(rows[0])}
    also = f" So it is for {some_of(sorted(others))}." if others else ""
    return f"{name(first)}, {first.aspect}: {first.reason}{also}"


def name(row: ScopeRow | Subject) -> str:
    """A row's subject in a sentence: ``qemu-full direct restore (TCG)``."""
    words = [row.runtime]
    words += [row.variant] if row.variant != "default" else []
    words += [row.mode] if row.mode != "warm" else []
    words += [f"on {row.network}"] if row.network != "none" else []
    words += [f"({row.accelerator.upper()})"] if row.accelerator != "none" else []
    return " ".join(words)


def _classes(rows: Sequence[ScopeRow]) -> list[Class]:
    return list(dict.fromkeys(row.runtime_class for row in rows))


def _deciding(rows: Sequence[ScopeRow], runtime_class: Class) -> Sequence[ScopeRow]:
    """The rows of a class that decide: of mode warm; of one that is never started warm, all."""
    own = [row for row in rows if row.runtime_class == runtime_class]
    warm = [row for row in own if row.mode == "warm"]
    return warm if warm or runtime_class in LESSON else own


def _all(rows: Sequence[ScopeRow], verdict: Standing) -> bool:
    return bool(rows) and all(row.verdict == verdict for row in rows)


def _any(rows: Sequence[ScopeRow], verdict: Standing) -> bool:
    return any(row.verdict == verdict for row in rows)


def _beside(rows: Sequence[ScopeRow]) -> list[str]:
    """What starts in a mode that does not decide say otherwise, of the lesson's classes."""
    return [
        f"{name(row)}, {row.aspect}: {row.verdict}, which decides nothing: {row.reason}"
        for c in _classes(rows)
        if c in LESSON
        for row in rows
        if row.runtime_class == c and row.verdict != "supported"
        if row not in _deciding(rows, c)
    ]


def _blurred(rows: Sequence[ScopeRow]) -> list[str]:
    """What the classes between the lesson's two say otherwise."""
    return [
        f"The line blurs at the {c}: {BLURS[c]}."
        for c in _classes(rows)
        if c in BLURS and _any(_deciding(rows, c), "refuted")
    ]
