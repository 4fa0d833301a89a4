"""Real agent processes for the tests, and plans for them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from tonnage.model import (
    ChurnStage,
    DensityStage,
    Event,
    FootprintStage,
    IsolationStage,
    LogReadiness,
    Mode,
    Network,
    Plan,
    RunFinished,
    Slo,
    Stage,
    StartupStage,
    Target,
    TargetTrials,
    Workload,
)
from tonnage.v1 import agent_pb2, agent_pb2_grpc
from tonnage.wire import from_message, to_message

SMALL_GUARDS = ("--guard-memory-headroom-bytes", "1", "--guard-disk-headroom-bytes", "1")


class Agent:
    """An agent's process with a client to it."""

    def __init__(self, process: asyncio.subprocess.Process, line: dict[str, str]) -> None:
        self.process = process
        self.address = line["listening"]
        self.metrics = line["metrics"]
        self._channel = grpc.aio.insecure_channel(self.address)
        self.stub: Any = agent_pb2_grpc.AgentServiceStub(self._channel)

    async def start(self, plan: Plan) -> bool:
        """Start a plan; whether it was known."""
        request = agent_pb2.StartRunRequest(plan=to_message(plan))
        return bool((await self.stub.StartRun(request)).already_known)

    async def stream(self, run_id: str, after: int = 0) -> AsyncIterator[Event]:
        """The run's events as they come, checked to be contiguous."""
        request = agent_pb2.StreamEventsRequest(run_id=run_id, after_sequence=after)
        async for batch in self.stub.StreamEvents(request):
            for message in batch.events:
                after += 1
                assert message.sequence == after
                yield from_message(message, Event)

    async def events(self, run_id: str, after: int = 0) -> list[Event]:
        """Every event of a run, until its end."""
        return [event async for event in self.stream(run_id, after)]

    async def run(self, plan: Plan) -> list[Event]:
        """Start a plan and wait for its end."""
        await self.start(plan)
        return await self.events(plan.run_id)

    async def until(self, run_id: str, kind: type, count: int = 1) -> None:
        """Wait until so many facts of a kind were streamed; that they come is asserted."""
        async for event in self.stream(run_id):
            count -= isinstance(event.payload, kind)
            if count == 0:
                return
        raise AssertionError(f"the run ended {count} short of the {kind.__name__} waited for")

    async def cancel(self, run_id: str) -> bool:
        """Cancel a run; whether it was active."""
        request = agent_pb2.CancelRunRequest(run_id=run_id)
        return bool((await self.stub.CancelRun(request)).was_active)

    async def instances(self) -> list[Any]:
        """The instances it holds."""
        answer = await self.stub.ListInstances(agent_pb2.ListInstancesRequest())
        return list(answer.instances)

    async def holding(self, count: int) -> list[Any]:
        """Wait until it holds so many instances."""
        while len(found := await self.instances()) != count:
            pass
        return found

    async def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; its exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        return await self.process.wait()

    async def close(self) -> None:
        """Let go of the channel, and of the process if it still runs."""
        await self._channel.close()
        if self.process.returncode is None:
            await self.kill()


async def spawn(
    data_dir: Path, *flags: str, before: Sequence[str] = ()
) -> asyncio.subprocess.Process:
    """Start an agent with the fake runtime; it may not come up."""
    return await asyncio.create_subprocess_exec(
        *before,
        sys.executable,
        "-m",
        "agent.app",
        *("--name", "h1", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"),
        *("--data-dir", str(data_dir), "--runtimes", "fake", *SMALL_GUARDS, *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if not k.startswith("TONNAGE_AGENT_")},
    )


@asynccontextmanager
async def agent(data_dir: Path, *flags: str, before: Sequence[str] = ()) -> AsyncIterator[Agent]:
    """An agent that serves, with the fake runtime; killed at the end if it still runs."""
    process = await spawn(data_dir, *flags, before=before)
    assert process.stdout is not None
    assert process.stderr is not None
    line = await process.stdout.readline()
    if not line:
        raise AssertionError((await process.stderr.read()).decode())
    drained = asyncio.create_task(process.stderr.read())
    made = Agent(process, json.loads(line))
    try:
        yield made
    finally:
        await made.close()
        await drained
        # The transport is told of the pipes' ends in a later turn of the loop.
        process._transport.close()  # type: ignore[attr-defined]  # asyncio has no public way


def target(image: str = "fake:ok", name: str = "fake", **environment: str) -> Target:
    """Instances of the fake runtime."""
    workload = Workload("idle", image, LogReadiness("TONNAGE READY"), environment=environment)
    return Target(name, "fake", "default", Mode.WARM, Network.NONE, workload, 64 << 20)


def startup(trials: int, *, concurrency: int = 1, timeout: float = 10, of: str = "fake") -> Stage:
    """Measured starts, without warm-up."""
    work = StartupStage((TargetTrials(of, trials),), 0, (concurrency,), timeout)
    return Stage("startup", work)


def density(step: int, most: int, *, probes: int = 2, slo: Slo | None = None) -> Stage:
    """A ramp without rests."""
    work = DensityStage("fake", step, most, probes, slo or Slo(), 2, 0.0, 10, concurrency=2)
    return Stage("density/fake", work)


def footprint(*counts: int) -> Stage:
    """A series without rests."""
    return Stage("footprint/fake", FootprintStage("fake", counts, 1, 0.0, 10, concurrency=2))


def churn(
    instances: int, rate: float, seconds: float, readings: int = 3, max_in_flight: int = 32
) -> Stage:
    """Replacements on schedule, without rests."""
    work = ChurnStage("fake", instances, rate, seconds, readings, 0.0, 10, 2, max_in_flight)
    return Stage("churn/fake", work)


def isolation(instances: int, answer_timeout: float = 5.0) -> Stage:
    """Instances side by side."""
    return Stage("isolation/fake", IsolationStage("fake", instances, answer_timeout, 10))


def plan(
    *stages: Stage,
    targets: Sequence[Target] = (),
    run_id: str = "run-1",
    time_limit: float = 60,
    noisy_above: float = 1.0,
) -> Plan:
    """A plan over these stages."""
    return Plan(run_id, 1, tuple(targets) or (target(),), stages, noisy_above, time_limit)


def payloads(events: Sequence[Event], kind: Any) -> list[Any]:
    """The facts of one kind, in order."""
    return [event.payload for event in events if isinstance(event.payload, kind)]


def finished(events: Sequence[Event]) -> RunFinished:
    """The run's last event."""
    last = events[-1].payload
    assert isinstance(last, RunFinished)
    return last
