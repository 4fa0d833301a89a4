"""The typed client: answers as dataclasses, errors as they were raised."""

import socket

import grpc
import pytest

from collector import errors
from collector.client import Client
from collector.views import HostProgress, Progress
from tests.unit.cli.collectors import Scripted, served, state
from tonnage import wire
from tonnage.model import (
    Accelerator,
    LogReadiness,
    Mode,
    Network,
    Outcome,
    Population,
    Problem,
    ProblemKind,
    RunState,
    Target,
    Trial,
    Workload,
)
from tonnage.v1 import collector_pb2 as pb

TARGET = Target(
    id="docker",
    runtime="docker",
    variant="default",
    mode=Mode.WARM,
    network=Network.NONE,
    workload=Workload("idle", "tonnage/idle:1", LogReadiness("READY")),
    memory_bytes=2**27,
)
TRIAL = Trial(
    trial_id="t1",
    stage_id="startup",
    target_id="docker",
    accelerator=Accelerator.NONE,
    population=Population.MEASURED,
    concurrency=1,
    block=0,
    number=0,
    attempt=1,
    outcome=Outcome.READY,
    requested_at_unix_ns=1,
    ready_ns=5,
)


def progress(value: RunState) -> pb.WatchRunResponse:
    host = pb.HostProgress(host="h", state=state(value), stage_id="startup", trials_done=3)
    return pb.WatchRunResponse(run_id="r1", state=state(value), hosts=[host])


@pytest.mark.parametrize(
    ("kind", "cls", "exit_code"),
    [
        (ProblemKind.INVALID_INPUT, errors.InvalidInput, 2),
        (ProblemKind.UNAVAILABLE, errors.Unreachable, 1),
        (ProblemKind.LEAKED, errors.InstancesLeaked, 6),
        (ProblemKind.INTERNAL, errors.TonnageError, 1),
        (ProblemKind.LAUNCH_FAILED, errors.TonnageError, 1),
    ],
)
async def test_an_error_of_the_collector_comes_back_whole(
    kind: ProblemKind, cls: type[errors.TonnageError], exit_code: int
) -> None:
    collector = Scripted()
    collector.problem = Problem(kind, "is unknown", "targets[0].runtime", "dokcer", "Say docker.")
    async with served(collector) as address, Client(address) as client:
        with pytest.raises(errors.TonnageError) as caught:
            await client.submit("{}")
    assert type(caught.value) is cls
    assert caught.value.problem == collector.problem
    assert caught.value.exit_code == exit_code


async def test_a_collector_that_is_down_is_unreachable_at_its_address() -> None:
    with socket.socket() as unserved:
        unserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unserved.getsockname()[1]}"
        async with Client(address) as client:
            with pytest.raises(errors.Unreachable) as caught:
                await client.hosts()
    assert caught.value.problem.value == address
    assert "tonnage serve" in caught.value.problem.remedy


async def test_a_bare_status_is_an_error_in_words() -> None:
    async with served(Scripted()) as address, Client(address) as client:
        with pytest.raises(errors.TonnageError, match="UNIMPLEMENTED"):
            await client.clean()


async def test_rows_come_as_dataclasses() -> None:
    async with served(Scripted()) as address, Client(address) as client:
        (run,) = await client.runs()
    assert (run.run_id, run.state, run.hosts) == ("r1", RunState.RUNNING, ("h",))
    assert run.finished_at_unix_ns is None


async def test_a_watch_ends_with_the_run() -> None:
    collector = Scripted()
    collector.progress = [progress(RunState.RUNNING), progress(RunState.FINISHED)]
    async with served(collector) as address, Client(address) as client:
        seen = [update async for update in client.watch("r1")]
    assert [update.state for update in seen] == [RunState.RUNNING, RunState.FINISHED]
    assert seen[0].hosts[0].trials_done == 3


async def test_a_watch_tells_everything_of_a_run_in_line_and_of_one_that_began() -> None:
    host = HostProgress("h", RunState.PENDING, "startup", 1, 2, 3, 4, 5, 6, 7, "said")
    waits = Progress("r3", RunState.PENDING, (host,), None, 2, ("r1", "r2"))
    begun = Progress(
        run_id="r3",
        state=RunState.FAILED,
        hosts=(host, host),
        problem=Problem(ProblemKind.INTERNAL, "broke"),
        start_skew_seconds=0.25,
    )
    collector = Scripted()
    collector.progress = [wire.filled(pb.WatchRunResponse(), each) for each in (waits, begun)]
    async with served(collector) as address, Client(address) as client:
        assert [update async for update in client.watch("r3")] == [waits, begun]


async def test_a_watch_outlives_a_restart_of_the_collector() -> None:
    collector = Scripted()
    collector.progress = [progress(RunState.RUNNING), progress(RunState.FINISHED)]
    collector.break_watch_after = 1
    async with served(collector) as address, Client(address) as client:
        seen = [update.state async for update in client.watch("r1")]
    assert seen[-1] is RunState.FINISHED


async def test_a_watch_gives_up_when_its_patience_ends() -> None:
    collector = Scripted()
    collector.progress = [progress(RunState.RUNNING)] * 2
    collector.break_watch_after = 1
    async with served(collector) as address, Client(address) as client:
        with pytest.raises(errors.Unreachable):
            _ = [update async for update in client.watch("r1", patience_seconds=0)]


async def test_a_stream_that_ends_before_the_run_is_taken_up_again() -> None:
    collector = Scripted()
    collector.progress = [progress(RunState.RUNNING)]
    async with served(collector) as address, Client(address) as client:
        watch = client.watch("r1")
        assert (await anext(watch)).state is RunState.RUNNING
        collector.progress = [progress(RunState.FINISHED)]
        assert [update.state async for update in watch] == [RunState.FINISHED]


async def test_trials_come_with_their_target() -> None:
    collector = Scripted()
    record = pb.TrialRecord(
        run_id="r1", host="h", target=wire.to_message(TARGET), trial=wire.to_message(TRIAL)
    )
    collector.trials = [record]
    async with served(collector) as address, Client(address) as client:
        rows = [row async for batch in client.trials("r1") for row in batch]
    assert [(row.host, row.target, row.trial, row.end) for row in rows] == [
        ("h", TARGET, TRIAL, None)
    ]


async def test_an_answer_of_another_version_is_told_as_such() -> None:
    collector = Scripted()
    collector.progress = [pb.WatchRunResponse(run_id="r1")]
    async with served(collector) as address, Client(address) as client:
        with pytest.raises(errors.TonnageError, match="cannot be read"):
            _ = [update async for update in client.watch("r1")]


async def test_a_not_found_without_a_problem_is_invalid_input() -> None:
    collector = Scripted()
    collector.problem = Problem(ProblemKind.INVALID_INPUT, "no such run")
    collector.code = grpc.StatusCode.NOT_FOUND
    async with served(collector) as address, Client(address) as client:
        with pytest.raises(errors.InvalidInput, match="no such run"):
            await client.result("r9")
