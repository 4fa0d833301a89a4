"""Isolation rows: what instances see of host and neighbours, judged from what they told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from collector.model import RunData
from collector.reports.rows import Inside, IsolationRow, Same, Sight
from collector.results.sights import FACETS, Place, Seen
from collector.results.subjects import Subjects, stages
from collector.results.told_inside import Facts, facts_of
from tonnage import model

START_TOLERANCE_SECONDS = 5
"""The kernel works btime out from its clocks anew, and may be a second off."""


def isolation_rows(data: RunData, subjects: Subjects) -> list[IsolationRow]:
    """One row for each isolation stage, in the plan's order."""
    told = {
        (row.host, row.fact.stage_id): row.fact
        for row in data.facts
        if isinstance(row.fact, model.Inside)
    }
    rows = []
    for host, stage_id, stage in stages(data, model.IsolationStage):
        subject = dict(subjects.subject(subjects.key(host, stage.target_id)))
        found = _found(told.get((host, stage_id)), stage)
        rows.append(IsolationRow(**subject, **found))
    return rows


def _found(told: model.Inside | None, stage: model.IsolationStage) -> dict[str, object]:
    answers = told.answers if told is not None else ()
    host = facts_of(told.host_facts_json) if told is not None else None
    places = [
        Place(f"instance {number}", facts, answer.mark)
        for number, answer in enumerate(answers, 1)
        if (facts := facts_of(answer.facts_json)) is not None
    ]
    inside = [place.facts for place in places]
    return {
        "instances": stage.instances,
        "answered": len(places),
        "kernel": _same(inside, host, lambda facts: facts.kernel),
        "boot_id": _same(inside, host, lambda facts: facts.boot_id),
        "start_time": _same(inside, host, lambda facts: facts.start_time_unix),
        "sights": [*_sights(places, Place("the host", host) if host else None)],
        "host_sees": [_seen_from_outside(n, answer) for n, answer in enumerate(answers, 1)],
        "host_sees_workload": sum(bool(a.marked_pids) for a in answers) if places else None,
        "outside": _inside(host) if host else None,
        "inside": [_inside(facts_of(a.facts_json) or Facts(), a.error) for a in answers],
        "reason": _reason(told, len(places), stage),
    }


def _reason(told: model.Inside | None, answered: int, stage: model.IsolationStage) -> str | None:
    if told is None:
        return "the instances were not asked"
    if answered < stage.instances:
        silent = next((answer.error for answer in told.answers if answer.error), "")
        return f"{answered} of {stage.instances} instances told what they see: {silent}"
    return None


def _same(
    inside: Sequence[Facts], host: Facts | None, read: Callable[[Facts], str | int | None]
) -> Same | None:
    """Whether what is read inside is the host's; nothing unless all told it."""
    outside = read(host) if host is not None else None
    values = [value for facts in inside if (value := read(facts)) is not None]
    if outside is None or not values or len(values) < len(inside):
        return None
    equal = [_equal(value, outside) for value in values]
    return "host's" if all(equal) else "mixed" if any(equal) else "own"


def _equal(one: str | int, other: str | int) -> bool:
    if isinstance(one, int) and isinstance(other, int):
        return abs(one - other) <= START_TOLERANCE_SECONDS
    return one == other


def _sights(places: Sequence[Place], host: Place | None) -> Iterator[Sight]:
    pairs = [(one, other) for one in places for other in places if one is not other]
    if pairs:
        yield from _judged("neighbour", pairs)
    if host is not None and places:
        yield from _judged("host", [(one, host) for one in places])


def _judged(
    of: Literal["neighbour", "host"], pairs: Sequence[tuple[Place, Place]]
) -> Iterator[Sight]:
    """Each facet once: one sight of anything outweighs all that was not seen, and one
    that was not told outweighs that too."""
    for facet, look in FACETS.items():
        found = max((look(*pair) for pair in pairs), key=_weight)
        yield Sight(facet=facet, of=of, seen=found.seen, evidence=found.evidence)


def _weight(found: Seen) -> int:
    return 2 if found.seen else 1 if found.seen is None else 0


def _seen_from_outside(number: int, answer: model.InsideAnswer) -> str:
    """What the host sees of an instance: its workload as a process, or only what runs it."""
    programs = [process.command.partition(" ")[0] for process in answer.processes]
    named = ", ".join(dict.fromkeys(name.rpartition("/")[2] or "?" for name in programs))
    what = f"instance {number}: {len(programs)} processes ({named or 'none'})"
    if not answer.marked_pids:
        return f"{what}; its workload is none of the host's processes"
    pids = ", ".join(str(pid) for pid in answer.marked_pids)
    return f"{what}; its workload is process {pids}"


def _inside(facts: Facts, error: str = "") -> Inside:
    mounts = facts.mount_count if facts.mounts is None else len(facts.mounts)
    processes = facts.process_count
    return Inside(
        kernel=facts.kernel,
        boot_id=facts.boot_id,
        start_time_unix=facts.start_time_unix,
        hostname=facts.hostname,
        os=facts.os,
        processes=len(facts.processes or ()) or None if processes is None else processes,
        mounts=mounts,
        links=None if facts.links is None else list(facts.links),
        uid_map=facts.uid_map,
        namespaces=dict(facts.namespaces or {}),
        error=error or None,
    )
