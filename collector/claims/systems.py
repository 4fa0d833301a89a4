"""C2 and C3: which types of operating system a VM and a container may run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from collector.claims.classes import CONTAINERS, class_of
from collector.claims.model import Claim, ScopeRow, Standing
from collector.claims.rules import RULES
from collector.claims.seen import Seen, Tried, tried
from collector.claims.verdicts import claim, scope

PAYLOAD = "payload"
"""The variant of a VM runtime that boots something that is not Linux."""
FOREIGN_OS = "foreign-os"
"""The workload whose image declares another operating system."""
OTHER_DISTRIBUTION = "other-linux"
"""The workload whose image is another distribution's user space."""

_SPEAKS_OF_THE_SYSTEM = re.compile(r"operating system|platform|windows", re.IGNORECASE)


def judge_machines(runs: Sequence[Seen]) -> Claim:
    """C2, over VMs that were given a payload that is not Linux."""
    rows = [_payload(each) for each in tried(runs) if each.subject.variant == PAYLOAD]
    return claim("C2", rows, {"full VM"})


def _payload(of: Tried) -> ScopeRow:
    numbers, ready = RULES["C2"].numbers, of.ready
    spoke = [trial for trial in ready if trial["kernel_ns"] is None]
    verdict: Standing = "supported" if len(spoke) >= numbers["machines"] else "inconclusive"
    told = f"{of.subject.workload} reported itself in {len(spoke)} of {len(of.trials)} boots."
    if ready and not spoke:
        told = f"{of.subject.workload} was ready, and a Linux kernel had spoken before it."
    elif not ready and len(of.trials) >= numbers["tries"]:
        verdict = "refuted"
    return scope(
        of.subject, of.runtime_class, "boots what is not Linux", verdict, told, n=len(spoke)
    )


def judge_containers(runs: Sequence[Seen]) -> Claim:
    """C3, over containers that were given another user space, and another system's image."""
    found = [each for each in tried(runs) if each.is_container]
    rows = [*_others(found), *_on_the_hosts_kernel(runs), *_foreign(found)]
    said = [_words(each) for each in found if each.subject.workload == FOREIGN_OS and each.refused]
    return claim("C3", _both(rows), {"container"}, said)


def _others(found: Sequence[Tried]) -> Iterator[ScopeRow]:
    numbers = RULES["C3"].numbers
    for each in found:
        if each.subject.workload == OTHER_DISTRIBUTION:
            ready = len(each.ready)
            verdict: Standing = "supported" if ready >= numbers["starts"] else "inconclusive"
            if not ready and len(each.refused) >= numbers["tries"]:
                verdict = "refuted"
            told = f"another distribution's user space was ready in {ready} of {len(each.trials)}."
            yield scope(each.subject, each.runtime_class, OTHER, verdict, told, n=len(each.trials))


def _on_the_hosts_kernel(runs: Sequence[Seen]) -> Iterator[ScopeRow]:
    """By what the other distribution said of itself, where it was asked."""
    for row in (row for run in runs for row in run.result.isolation):
        runtime_class = class_of(row)
        if row.workload == OTHER_DISTRIBUTION and runtime_class in CONTAINERS:
            names = sorted({place.os for place in row.inside if place.os})
            outside = row.outside.os if row.outside else None
            verdict: Standing = "inconclusive"
            told = f"{row.answered} of {row.instances} told which they are, or not all of it."
            if names and outside and row.kernel:
                other = outside not in names
                verdict = "supported" if other and row.kernel == "host's" else "inconclusive"
                told = f"{names[0]} inside, {outside} outside; the kernel is {_whose(row.kernel)}."
            yield scope(row, runtime_class, ON_HOST, verdict, told, n=row.answered)


def _whose(kernel: str) -> str:
    return "the host's" if kernel == "host's" else "not the host's"


def _foreign(found: Sequence[Tried]) -> Iterator[ScopeRow]:
    for each in found:
        if each.subject.workload == FOREIGN_OS:
            verdict, told = _refusal(each)
            yield scope(
                each.subject, each.runtime_class, FOREIGN, verdict, told, n=len(each.trials)
            )


ON_HOST = "it runs on the host's kernel"
OTHER = "another distribution's user space runs"
FOREIGN = "an image of another system is refused"


def _refusal(of: Tried) -> tuple[Standing, str]:
    if of.ready:
        return "refuted", f"it became ready in {len(of.ready)} of {len(of.trials)} tries."
    refused = [trial for trial in of.refused if _SPEAKS_OF_THE_SYSTEM.search(_said(trial))]
    if len(refused) < max(RULES["C3"].numbers["tries"], len(of.trials)):
        return "inconclusive", (
            f"in {len(refused)} of {len(of.trials)} tries it was refused for its system; "
            f"the others ended otherwise."
        )
    return "supported", f"refused in {len(refused)} of {len(of.trials)} tries."


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
                update={"aspect": half, "verdict": "inconclusive", "n": 0, "reason": told}
            )
            for half in missing
        ),
    ]
