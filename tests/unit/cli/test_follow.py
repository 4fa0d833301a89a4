"""Seeing a run through, Ctrl-C included."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from collector.cli.follow import follow, outcome
from collector.cli.interrupts import Interrupts, Left
from collector.cli.progress import Lines
from collector.client import Client
from collector.reports.model import HostSummary, Result, RunSummary
from collector.views import Progress
from tests.unit.cli.collectors import Scripted, served, state
from tonnage.model import Problem, ProblemKind, RunState
from tonnage.v1 import collector_pb2 as pb


def update(value: RunState) -> pb.WatchRunResponse:
    return pb.WatchRunResponse(run_id="r1", state=state(value))


class Waiting(Scripted):
    """A run that goes on until it is cancelled, if it ends at all."""

    def __init__(self, ends: bool = True) -> None:
        super().__init__()
        self._cancelling = asyncio.Event()
        self._ends = ends

    async def WatchRun(self, request: Any, context: Any) -> Any:
        yield update(RunState.RUNNING)
        await self._cancelling.wait()
        if not self._ends:
            await asyncio.Event().wait()
        yield update(RunState.CANCELLED)

    async def CancelRun(self, request: Any, context: Any) -> Any:
        self._cancelling.set()
        return await super().CancelRun(request, context)


class Interrupting(Lines):
    """Interrupts as soon as there is progress, and again when it is noted."""

    def __init__(self, interrupts: Interrupts, again: bool) -> None:
        super().__init__()
        self._interrupts = interrupts
        self._again = again

    def show(self, progress: Progress) -> None:
        if progress.state is RunState.RUNNING:
            self._interrupts.receive()

    def note(self, text: str) -> None:
        if self._again:
            self._interrupts.receive()


async def test_one_interruption_cancels_the_run_and_sees_it_end() -> None:
    collector = Waiting()
    async with served(collector) as address, Client(address) as client:
        interrupts = Interrupts()
        last = await follow(client, "r1", Interrupting(interrupts, again=False), interrupts)
    assert collector.cancelled == ["r1"]
    assert last.state is RunState.CANCELLED


async def test_a_second_interruption_leaves_and_says_what_goes_on() -> None:
    async def interrupted(address: str) -> None:
        async with Client(address) as client:
            interrupts = Interrupts()
            await follow(client, "r1", Interrupting(interrupts, again=True), interrupts)

    async with served(Waiting(ends=False)) as address:
        with pytest.raises(Left, match="go on cleaning up") as caught:
            await asyncio.create_task(interrupted(address))
    assert caught.value.exit_code == 130
    assert "tonnage show r1" in caught.value.problem.remedy


async def test_an_interruption_before_the_work_is_patient_ends_it_at_once() -> None:
    async def work(entered: asyncio.Future[Interrupts]) -> None:
        entered.set_result(Interrupts())
        await asyncio.Event().wait()

    entered: asyncio.Future[Interrupts] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(work(entered))
    (await entered).receive()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_interruptions_during_the_clean_up_change_nothing() -> None:
    interrupts = Interrupts()
    interrupts.retire()
    for _ in range(3):
        interrupts.receive()
    await asyncio.sleep(0)
    assert interrupts.asked.is_set()


def result(leaked: list[str] | None = None) -> Result:
    run = RunSummary(
        id="r1",
        name="n",
        state="finished",
        spec={},
        seed=1,
        versions={},
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        finished_at=None,
        problem=None,
    )
    host = HostSummary(
        host="h",
        state="finished",
        problem=None,
        facts={},
        runtimes=[],
        removed=[],
        leaked=leaked or [],
    )
    return Result(
        run=run,
        hosts=[host],
        startup=[],
        density=[],
        footprint=[],
        comparisons=[],
        warnings=[],
    )


@pytest.mark.parametrize(
    ("ended", "problem", "leaked", "code"),
    [
        (RunState.FINISHED, None, [], 0),
        (RunState.PARTIAL, None, [], 5),
        (RunState.FAILED, None, [], 5),
        (RunState.FAILED, Problem(ProblemKind.INVALID_INPUT, "no such image"), [], 2),
        (RunState.CANCELLED, None, [], 130),
        (RunState.FINISHED, None, ["i1"], 6),
        (RunState.CANCELLED, None, ["i1"], 6),
    ],
)
def test_the_end_of_a_run_decides_the_exit_code(
    ended: RunState, problem: Problem | None, leaked: list[str], code: int
) -> None:
    assert outcome(Progress("r1", ended, (), problem), result(leaked)) == code
