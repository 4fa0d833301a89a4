"""The experiments of the claims, one after another: what fails is told, and the rest judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.claims import judge
from collector.claims.page import render
from collector.cli.claims_time import WHOLE_SECONDS, Allowance
from collector.cli.embedded_claims import Found, measured
from collector.cli.interrupts import Interrupts
from collector.client import Client
from collector.errors import ExitCode
from collector.results import assemble
from collector.spec import Spec, parse
from tests.unit.cli.collectors import Scripted, served, state
from tests.unit.reports.sample import sample_run
from tonnage.model import Fingerprint, Problem, ProblemKind, RunState, RuntimeState
from tonnage.v1 import collector_pb2 as pb

TEXT = """\
name: {name}
time_limit: 20m
workload: {{image: "tonnage/idle:1", readiness: {{log: READY}}}}
targets: [{{runtime: docker}}]
startup: {{trials: 9}}
"""
DOCKER = Fingerprint("docker", RuntimeState.HEALTHY, "it answers")


def experiment(name: str) -> Spec:
    return parse(TEXT.format(name=name))


class Choosy(Scripted):
    """Refuses the experiments whose names hold ``bad``; others end as it is told."""

    def __init__(
        self, end: RunState = RunState.FINISHED, ended: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__()
        self.progress = [pb.WatchRunResponse(run_id="r1", state=state(end))]
        self.result_json = assemble(sample_run()).model_dump_json()
        self._ended = ended

    async def SubmitRun(self, request: Any, context: Any) -> Any:
        bad = '"name":"bad' in request.spec_json
        message = "the host has no room"
        self.problem = Problem(ProblemKind.INVALID_INPUT, message) if bad else None
        answer = await super().SubmitRun(request, context)
        self._ended()
        return answer


async def found(
    collector: Scripted, out: Path, *names: str, allowance: Allowance | None = None
) -> Found:
    experiments = [experiment(name) for name in names]
    async with served(collector) as address, Client(address) as client:
        time = allowance or Allowance()
        return await measured(client, experiments, [DOCKER], out, Interrupts(), time)


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_one_that_is_refused_does_not_lose_the_others(tmp_path: Path) -> None:
    made = await found(Choosy(), tmp_path, "first", "bad", "last")
    assert len(made.seen) == 2
    assert made.missing == ["bad is left out: the host has no room."]
    assert made.worst == ExitCode.DONE
    assert written(tmp_path) == {"first.json", "last.json"}


async def test_where_all_are_refused_there_still_is_a_judgement_that_says_why(
    tmp_path: Path,
) -> None:
    made = await found(Choosy(), tmp_path, "bad", "bad-too")
    judged = judge(made.seen, made.missing)
    assert {claim.verdict for claim in judged.claims} == {"inconclusive"}
    assert all(set(made.missing) <= set(claim.evidence) for claim in judged.claims)
    assert "bad-too is left out" in render(judged, []).replace('<span class="whole">', "").replace(
        "</span>", ""
    )


async def test_one_that_fails_counts_with_what_it_has_and_is_told(tmp_path: Path) -> None:
    made = await found(Choosy(RunState.FAILED), tmp_path, "first", "last")
    assert len(made.seen) == 2
    assert made.missing == ["first ended failed.", "last ended failed."]


class Clock:
    """A clock that is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_what_the_time_does_not_reach_for_is_left_out_and_told(tmp_path: Path) -> None:
    clock = Clock()
    allowance = Allowance(clock)

    def late() -> None:
        clock.now = WHOLE_SECONDS

    collector = Choosy(RunState.PARTIAL, late)
    made = await found(collector, tmp_path, "first", "last", allowance=allowance)
    over = "the 30 minutes of all experiments together are over"
    assert made.missing == [f"first ended partial: {over}.", f"last is left out: {over}."]


@pytest.mark.parametrize(("now", "limit"), [(0.0, 1200.0), (900.5, 839.0), (1750.0, None)])
def test_an_experiment_gets_no_more_than_the_time_that_is_left(
    now: float, limit: float | None
) -> None:
    clock = Clock()
    allowance = Allowance(clock)
    clock.now = now
    given = allowance.within(experiment("first"))
    assert (given and given.time_limit) == limit
