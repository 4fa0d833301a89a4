"""Every claim with its judge, in the lesson's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from collector.claims import bounds, costs, inside, starts, systems
from collector.claims.model import Claim, Claims, JudgedRun
from collector.claims.rules import RULES_VERSION
from collector.claims.seen import Seen

JUDGES: Mapping[str, Callable[[Sequence[Seen]], Claim]] = {
    "C1": inside.judge_kernels,
    "C2": systems.judge_machines,
    "C3": systems.judge_containers,
    "C4": bounds.judge,
    "C5": costs.judge,
    "C6": starts.judge,
    "C7": inside.judge_walls,
}


def judge(runs: Sequence[Seen], missing: Sequence[str] = ()) -> Claims:
    """Every claim, judged by all the runs together. ``missing`` tells of the experiments that
    were not made: it is evidence of every claim that stays inconclusive."""
    return Claims(
        rules_version=RULES_VERSION,
        runs=[
            JudgedRun(id=run.id, name=run.name, state=run.state, started_at=run.started_at)
            for run in (each.result.run for each in runs)
        ],
        missing=list(missing),
        claims=[_without(judges(runs), missing) for judges in JUDGES.values()],
    )


def _without(claim: Claim, missing: Sequence[str]) -> Claim:
    if claim.verdict != "inconclusive":
        return claim
    return claim.model_copy(update={"evidence": [*claim.evidence, *missing]})
