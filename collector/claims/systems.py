"""C2 and C3: which types of operating system a VM and a container may run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from collector.claims.classes import CONTAINERS, class_of
from collector.claims.kinship import Kinship
from collector.claims.model import Claim, Class, ScopeRow, Standing
from collector.claims.rules import RULES
from collector.claims.seen import Seen, Tried, tried
from collector.claims.verdicts import claim, scope
from collector.reports.rows import IsolationRow

PAYLOAD = "payload"
"""The variant of a VM runtime that boots something that is not Linux."""
FOREIGN_OS = "foreign-os"
"""The workload whose image declares another operating system."""
OTHER_USER_SPACE = "other-linux"
"""The workload whose image is not the host's user space: another release's or distribution's."""

_SPEAKS_OF_THE_SYSTEM = re.compile(r"operating system|platform|windows", re.IGNORECASE)


def judge_machines(runs: Sequence[Seen]) -> Claim:
    """C2, over VMs that were given a payload that is not Linux."""
    rows = [_payload(each) for each in tried(runs) if each.subject.variant == PAYLOAD]
    return claim("C2", rows, {"full VM"})


def _payload(of: Tried) -> ScopeRow:
    numbers, ready = RULES["C2"].numbers, of.ready
    spoke = [trial for trial in ready if trial["kernel_ns"] is None]
    silent = _never_ready(of)
    verdict: Standing = "supported" if len(spoke) >= numbers["machines"] else "inconclusive"
    boots = len(ready) + len(silent)
    told = f"{of.subject.workload} reported itself in {len(spoke)} of {boots} boots."
    if ready and not spoke:
        told = f"{of.subject.workload} was ready, and a Linux kernel had spoken before it."
    elif not ready and len(silent) >= numbers["tries"]:
        verdict = "refuted"
    return scope(
        of.subject,
        of.runtime_class,
        "boots what is not Linux",
        verdict,
        told,
        n=boots,
        count=len(spoke),
    )


def _never_ready(of: Tried) -> list[Mapping[str, Any]]:
    """Instances that were made, or refused for their system, and never became ready: a full
    disk or a Ctrl-C says nothing of what could have run."""
    return [trial for trial in of.refused if trial["created_ns"] is not None or _spoken(trial)]


def judge_containers(runs: Sequence[Seen]) -> Claim:
    """C3, over containers that were given another user space, and another system's image."""
    found = [each for each in tried(runs) if each.is_container]
    asked = _asked(runs)
    rows = [*_others(found), *_on_the_hosts_kernel(asked), *_foreign(found)]
    said = [_words(each) for each in found if each.subject.workload == FOREIGN_OS and each.refused]
    return claim("C3", _both(rows), {"container"}, [*_which(asked), *said])


def _others(found: Sequence[Tried]) -> Iterator[ScopeRow]:
    numbers = RULES["C3"].numbers
    for each in found:
        if each.subject.workload == OTHER_USER_SPACE:
            ready, never = len(each.ready), len(_never_ready(each))
            verdict: Standing = "supported" if ready >= numbers["starts"] else "inconclusive"
            if not ready and never >= numbers["failures"]:
                verdict = "refuted"
            told = f"the other user space was ready in {ready} of {ready + never} starts."
            tries = ready + never
            yield scope(
                each.subject, each.runtime_class, OTHER, verdict, told, n=tries, count=ready
            )


def _on_the_hosts_kernel(asked: Sequence[tuple[IsolationRow, Class]]) -> Iterator[ScopeRow]:
    """By what the other user space said of itself, where it was asked."""
    for row, runtime_class in asked:
        verdict: Standing = "inconclusive"
        told = f"{row.answered} of {row.instances} told which they are, or not all of it."
        kinships = _kinships(row)
        if kinships and row.kernel:
            other = all(kinship.differs for kinship in kinships)
            verdict = "supported" if other and row.kernel == "host's" else "inconclusive"
            told = f"{kinships[0].told}; the kernel is {_whose(row.kernel)}."
        count = row.answered if verdict == "supported" else None
        yield scope(row, runtime_class, ON_HOST, verdict, told, n=row.answered, count=count)


def _asked(runs: Sequence[Seen]) -> list[tuple[IsolationRow, Class]]:
    """Containers of the other user space that were asked what they are."""
    rows = [row for run in runs for row in run.result.isolation]
    known = [(row, class_of(row)) for row in rows if row.workload == OTHER_USER_SPACE]
    return [(row, c) for row, c in known if c is not None and c in CONTAINERS]


def _kinships(row: IsolationRow) -> list[Kinship]:
    """Each system inside beside the host's; none where the host's was not told."""
    outside = row.outside.os if row.outside else None
    inside = sorted({place.os for place in row.inside if place.os})
    return [Kinship(system, outside) for system in inside] if outside else []


def _which(asked: Sequence[tuple[IsolationRow, Class]]) -> list[str]:
    """Whether another distribution ran, or only another release of the host's, each once."""
    told = [f"{row.host}: {each.told}." for row, _ in asked for each in _kinships(row)]
    return list(dict.fromkeys(told))


def _whose(kernel: str) -> str:
    return "the host's" if kernel == "host's" else "not the host's"


def _foreign(found: Sequence[Tried]) -> Iterator[ScopeRow]:
    for each in found:
        if each.subject.workload == FOREIGN_OS:
            verdict, told = _refusal(each)
            yield scope(
                each.subject,
                each.runtime_class,
                FOREIGN,
                verdict,
                told,
                n=len(each.ended),
                count=len(_refused(each)),
            )


ON_HOST = "it runs on the host's kernel"
OTHER = "another user space runs"
FOREIGN = "an image of another system is refused"


def _refusal(of: Tried) -> tuple[Standing, str]:
    if of.ready:
        return "refuted", f"it became ready in {len(of.ready)} of {len(of.ended)} tries."
    refused, ended = _refused(of), len(of.ended)
    if len(refused) < max(RULES["C3"].numbers["tries"], ended):
        return "inconclusive", (
            f"in {len(refused)} of {ended} tries it was refused for its system; "
            f"the others ended otherwise."
        )
    return "supported", f"refused in {len(refused)} of {ended} tries."


def _refused(of: Tried) -> list[Mapping[str, Any]]:
    """The tries that failed for their system."""
    return [trial for trial in of.refused if _spoken(trial)]


def _spoken(trial: Mapping[str, Any]) -> bool:
    """Whether a failure speaks of the operating system."""
    return bool(_SPEAKS_OF_THE_SYSTEM.search(_said(trial)))


def _said(trial: Mapping[str, Any]) -> str:
    return f"{trial['error']} {trial.get('evidence') or ''}"


def _words(of: Tried) -> str:
    error = str(of.refused[0]["error"]).rstrip(".")
    return f"{of.subject.runtime} on {of.subject.host} said of it: {error}."


def _both(rows: Sequence[ScopeRow]) -> Sequence[ScopeRow]:
    """The rows; where one half of the claim was tried by no container, a row that says so."""
    lesson = [row for row in rows if row.runtime_class == "container"]
    if not lesson:
        return rows
    tried_halves = {row.aspect for row in lesson}
    first = lesson[0]
    told = "no container was given it."
    missing = [half for half in (OTHER, ON_HOST, FOREIGN) if half not in tried_halves]
    return [
        *rows,
        *(
            first.model_copy(
                update={
                    "aspect": half,
                    "verdict": "inconclusive",
                    "estimate": None,
                    "unit": "",
                    "ci": None,
                    "n": 0,
                    "reason": told,
                }
            )
            for half in missing
        ),
    ]
