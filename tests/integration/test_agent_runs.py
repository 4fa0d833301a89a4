"""Plans carried out by a real agent over real gRPC, with the fake runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from tests.integration.agents import (
    Agent,
    agent,
    density,
    finished,
    footprint,
    payloads,
    plan,
    startup,
    target,
)
from tonnage.model import (
    DensityResult,
    FootprintPoint,
    Notice,
    Outcome,
    Plan,
    Population,
    ProblemKind,
    RunStarted,
    RunState,
    StageFinished,
    StageStarted,
    Step,
    StopReason,
    Trial,
    TrialEnd,
)
from tonnage.v1 import agent_pb2


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Agent]:
    async with agent(tmp_path) as made:
        yield made
        assert await made.stop() == 0


async def test_a_whole_plan_is_carried_out_and_leaves_nothing(host: Agent) -> None:
    whole = plan(startup(6, concurrency=2), density(2, 6), footprint(2, 4))
    events = await host.run(whole)
    started = events[0].payload
    assert isinstance(started, RunStarted)
    assert (started.facts.host, started.runtimes[0].runtime) == ("h1", "fake")
    assert finished(events).state is RunState.FINISHED
    assert (finished(events).removed, finished(events).leaked) == ((), ())
    stages = ["startup", "density/fake", "footprint/fake"]
    assert [s.stage_id for s in payloads(events, StageStarted)] == stages
    assert [s.problem for s in payloads(events, StageFinished)] == [None, None, None]
    trials = payloads(events, Trial)
    assert {t.outcome for t in trials} == {Outcome.READY}
    measured = [t for t in trials if t.population is Population.MEASURED]
    assert len(measured) == 6
    assert all(0 <= t.accepted_ns <= t.created_ns <= t.ready_ns for t in trials)
    ends = payloads(events, TrialEnd)
    assert sorted(e.trial_id for e in ends) == sorted(t.trial_id for t in trials)
    assert all(e.error == "" and e.destroyed_ns is not None for e in ends)
    (limit,) = payloads(events, DensityResult)
    assert (limit.limit_instances, limit.stop_reason) == (6, StopReason.MAX_INSTANCES)
    assert [s.sample.alive for s in payloads(events, Step)] == [0, 2, 4, 6]
    assert [p.sample.instances for p in payloads(events, FootprintPoint)] == [0, 2, 4]
    assert await host.instances() == []


@pytest.mark.parametrize(
    ("image", "outcome", "says"),
    [
        ("fake:fail", Outcome.FAILED, "exit code 1"),
        ("fake:hang", Outcome.TIMED_OUT, "not ready within 0.2 s"),
        ("fake:gone", Outcome.FAILED, "the fake engine is gone"),
    ],
)
async def test_a_start_that_fails_is_a_row_with_its_evidence(
    host: Agent, image: str, outcome: Outcome, says: str
) -> None:
    events = await host.run(plan(startup(2, timeout=0.2), targets=[target(image)]))
    trials = payloads(events, Trial)
    assert {t.outcome for t in trials} == {outcome}
    assert all(says in t.error and t.ready_ns is None for t in trials)
    assert image == "fake:gone" or all("fake instance" in t.evidence for t in trials)
    assert len(payloads(events, TrialEnd)) == len(trials)
    assert await host.instances() == []


async def test_marks_out_of_order_are_stored_flagged_and_told(host: Agent) -> None:
    events = await host.run(plan(startup(1), targets=[target("fake:early")]))
    (trial,) = payloads(events, Trial)
    assert trial.suspect
    assert trial.ready_ns < trial.created_ns
    assert "defect of the instrument" in payloads(events, Notice)[0].message


@pytest.mark.parametrize("image", ["fake:leak", "fake:lost"])
async def test_what_survives_its_removal_is_swept_and_named(host: Agent, image: str) -> None:
    events = await host.run(plan(startup(2), targets=[target(image)]))
    assert all("lives on" in end.error for end in payloads(events, TrialEnd))
    assert finished(events).state is RunState.FINISHED
    assert len(finished(events).removed) == 2
    assert finished(events).leaked == ()
    assert await host.instances() == []


async def test_a_missing_image_fails_the_run_before_anything_is_launched(host: Agent) -> None:
    events = await host.run(plan(startup(2), targets=[target("fake:missing")]))
    end = finished(events)
    assert end.state is RunState.FAILED
    assert end.problem is not None
    assert end.problem.kind is ProblemKind.INVALID_INPUT
    assert end.problem.field == "targets[fake].workload.image"
    assert end.problem.value == "fake:missing"
    assert payloads(events, Trial) == []


async def test_cancelling_ends_starts_in_flight_as_rows_and_removes_all(
    host: Agent, tmp_path: Path
) -> None:
    hanging = target("fake:hang", "hang", FAKE_DURABLE="1")
    stages = [density(3, 300, probes=0), startup(4, concurrency=2, timeout=50, of="hang")]
    await host.start(plan(stages[1], stages[0], targets=[hanging, target()]))
    while len(list((tmp_path / "runtimes/fake").glob("*.json"))) != 2:
        await host.instances()  # held from before its launch: only its file shows that it lives
    assert await host.cancel("run-1")
    events = await host.events("run-1")
    assert finished(events).state is RunState.CANCELLED
    assert [t.outcome for t in payloads(events, Trial)] == [Outcome.CANCELLED] * 2
    assert len(payloads(events, TrialEnd)) == 2
    assert [s.stage_id for s in payloads(events, StageStarted)] == ["startup"]
    assert await host.instances() == []
    assert not await host.cancel("run-1")


async def test_cancelling_a_ramp_keeps_its_steps_and_removes_its_instances(host: Agent) -> None:
    await host.start(plan(density(2, 1000)))
    await host.until("run-1", Step, 3)
    await host.cancel("run-1")
    events = await host.events("run-1")
    assert finished(events).state is RunState.CANCELLED
    assert len(payloads(events, Step)) >= 3
    assert len(payloads(events, TrialEnd)) == len(payloads(events, Trial))
    assert [r.stop_reason for r in payloads(events, DensityResult)] == [StopReason.CANCELLED]
    assert await host.instances() == []


async def test_a_run_ends_at_its_time_limit_with_what_it_has(host: Agent) -> None:
    events = await host.run(plan(startup(10_000), time_limit=0.5))
    end = finished(events)
    assert end.state is RunState.PARTIAL
    assert end.problem is not None
    assert end.problem.kind is ProblemKind.GUARD
    assert "time limit of 0.5 s" in str(end.problem)
    assert 0 < len(payloads(events, Trial)) < 10_000


async def test_starting_a_run_twice_starts_it_once(host: Agent) -> None:
    first = plan(startup(2))
    assert not await host.start(first)
    events = await host.events("run-1")
    assert await host.start(first)
    assert await host.events("run-1") == events


async def test_one_run_at_a_time(host: Agent) -> None:
    await host.start(plan(startup(4, timeout=50), targets=[target("fake:hang")]))
    with pytest.raises(grpc.aio.AioRpcError, match="another run holds this agent") as refused:
        await host.start(plan(startup(1), run_id="run-2"))
    assert refused.value.code() is grpc.StatusCode.ABORTED
    assert "run-1" in str(refused.value.details())
    await host.cancel("run-1")
    await host.events("run-1")
    assert finished(await host.run(plan(startup(1), run_id="run-2"))).state is RunState.FINISHED


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"runtime": "docker"}, "targets[fake].runtime", "docker"),
        ({"variant": "firmware"}, "targets[fake].variant", "firmware"),
        ({"memory_bytes": 0}, "targets[fake].memory_bytes", "0"),
    ],
)
async def test_what_the_host_lacks_is_refused_by_field_value_and_way_out(
    host: Agent, change: dict[str, object], field: str, value: str
) -> None:
    wrong = plan(startup(1), targets=[replace(target(), **change)])  # type: ignore[arg-type]  # any field
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await host.start(wrong)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"{field}: " in str(refused.value.details())
    assert f"(got {value!r})" in str(refused.value.details())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (plan(startup(1, of="nobody")), "stages.startup.target_id"),
        (plan(startup(1), startup(1)), "stages.id: must be unique"),
        (plan(startup(1), run_id="../x"), "run_id: must be 1 to 64"),
        (plan(startup(1), time_limit=0), "time_limit_seconds: must be a number above 0"),
        (plan(startup(1), noisy_above=2), "noisy_above_share"),
        (plan(startup(1, timeout=float("nan"))), "ready_timeout_seconds"),
    ],
)
async def test_a_plan_that_makes_no_sense_is_refused(host: Agent, wrong: Plan, says: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await host.start(wrong)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert says in str(refused.value.details())


async def test_an_empty_request_is_refused_without_a_traceback(host: Agent) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await host.stub.StartRun(agent_pb2.StartRunRequest())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_resumes_after_any_event(host: Agent) -> None:
    events = await host.run(plan(startup(5)))
    for after in range(len(events)):
        assert await host.events("run-1", after) == events[after:]
    assert await host.events("run-1", len(events)) == []
    with pytest.raises(grpc.aio.AioRpcError, match="beyond the run's last event"):
        await host.events("run-1", len(events) + 1)


async def test_unknown_runs_are_not_found(host: Agent) -> None:
    for call in (
        host.stub.AckEvents(agent_pb2.AckEventsRequest(run_id="no", sequence=1)),
        host.stub.CancelRun(agent_pb2.CancelRunRequest(run_id="no")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError, match="knows no such run"):
        await host.events("no")


async def test_a_reader_that_reads_nothing_slows_no_trial(host: Agent) -> None:
    request = agent_pb2.StreamEventsRequest(run_id="run-1")
    long = target("fake:ok", name="x" * 5000)  # rows so large that a window of gRPC fills
    whole = plan(startup(400, concurrency=8, of=long.id), targets=[long])
    await host.start(whole)
    stuck = host.stub.StreamEvents(request)
    await stuck.read()
    events = await host.events("run-1")
    assert finished(events).state is RunState.FINISHED
    stuck.cancel()


async def test_foreign_load_flags_a_trial_as_noisy(host: Agent) -> None:
    burner = await asyncio.create_subprocess_exec("sh", "-c", "while :; do :; done")
    try:
        busy = target(FAKE_READY_MS="500")
        events = await host.run(plan(startup(2), targets=[busy], noisy_above=0.05))
    finally:
        burner.kill()
        await burner.wait()
    trials = payloads(events, Trial)
    assert all(t.noisy and t.outcome is Outcome.READY for t in trials)
    assert all(t.foreign_cpu_share > 0.05 for t in trials)
