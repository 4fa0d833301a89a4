"""An agent that plays a script over real gRPC: it can die, stall, resend and skip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import grpc
from grpc import aio

from tests.runs_made_up import facts, fingerprint, numbered, trial
from tonnage import wire
from tonnage.model import InstanceInfo, Plan, Problem, ProblemKind, RunFinished, RunState
from tonnage.v1 import agent_pb2 as pb
from tonnage.v1 import agent_pb2_grpc, model_pb2

Context = aio.ServicerContext[Any, Any]


class ScriptedAgent(agent_pb2_grpc.AgentServiceServicer):
    """Streams ``events`` of every run in batches of ``batch``; knobs make it misbehave.

    ``cuts``: sequences after which a stream breaks, one for each stream in turn.
    ``resend``: how many events before the wanted one each stream begins.
    ``skip``: sequences left out, each once. ``holds``: streams wait before such a
    sequence until its event is set. ``busy``: how many plans are turned away.
    ``loses_answers``: how many plans are taken without the collector hearing of it;
    ``taken`` is set by the first plan. ``released`` is set by a release, and ``instances``
    end by the red button, but for those in ``survivors``.
    """

    def __init__(self, host: str, events: Sequence[model_pb2.Event]) -> None:
        self.host = host
        self.events = list(events)
        self.batch = 7
        self.cuts: list[int] = []
        self.resend = 0
        self.skip: set[int] = set()
        self.skips_for_ever = False
        self.holds: dict[int, asyncio.Event] = {}
        self.busy = 0
        self.loses_answers = 0
        self.taken = asyncio.Event()
        self.refusal = ""
        self.forgets_runs = False
        self.acked = 0
        self.active_run_id = ""
        self.plans: list[Plan] = []
        self.instances: list[InstanceInfo] = []
        self.streams: list[int] = []
        self.cancelled = asyncio.Event()
        self.released = asyncio.Event()
        self.stopped = 0
        self.survivors: set[str] = set()
        self.address = "127.0.0.1:0"
        self._server: aio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def start(self) -> None:
        """Serve, at the address of before if there was one."""
        self._server = aio.server(options=[("grpc.so_reuseport", 0)])
        agent_pb2_grpc.add_AgentServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(self.address)
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def die(self) -> None:
        """Be gone at once, open streams and all."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeResponse:
        return pb.DescribeResponse(
            facts=wire.to_message(facts(self.host)),
            runtimes=[wire.to_message(fingerprint())],
            active_run_id=self.active_run_id,
        )

    async def StartRun(self, request: pb.StartRunRequest, context: Context) -> pb.StartRunResponse:
        if self.busy:
            self.busy -= 1
            await context.abort(grpc.StatusCode.ABORTED, "another run is active")
        if self.refusal:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.refusal)
        self.plans.append(wire.from_message(request.plan, Plan))
        self.taken.set()
        if self.loses_answers:
            self.loses_answers -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
        return pb.StartRunResponse(already_known=len(self.plans) > 1)

    async def StreamEvents(
        self, request: pb.StreamEventsRequest, context: Context
    ) -> AsyncIterator[pb.StreamEventsResponse]:
        if self.forgets_runs:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such run")
        self.streams.append(request.after_sequence)
        cut = self.cuts.pop(0) if self.cuts else None
        at = max(0, request.after_sequence - self.resend)
        while at < len(self.events):
            await self._held(at)
            batch = self._batch(at, cut)
            at += len(batch)
            kept = self._without_skipped(batch)
            if kept:
                yield pb.StreamEventsResponse(events=kept)
            if cut is not None and at >= cut:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the cable was cut")

    async def AckEvents(
        self, request: pb.AckEventsRequest, context: Context
    ) -> pb.AckEventsResponse:
        if self.forgets_runs:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such run")
        self.acked = max(self.acked, request.sequence)
        return pb.AckEventsResponse()

    async def CancelRun(
        self, request: pb.CancelRunRequest, context: Context
    ) -> pb.CancelRunResponse:
        """End the script where it is held, with the event that says so."""
        if all(plan.run_id != request.run_id for plan in self.plans):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such run")
        if not self.cancelled.is_set():
            self.cancelled.set()
            held = [sequence for sequence, hold in self.holds.items() if not hold.is_set()]
            kept = self.events[: min(held, default=1) - 1]
            last = numbered([RunFinished(RunState.CANCELLED)], first=len(kept) + 1)
            self.events = [*kept, *last]
            for hold in self.holds.values():
                hold.set()
        return pb.CancelRunResponse(was_active=True)

    async def ReleaseRun(
        self, request: pb.ReleaseRunRequest, context: Context
    ) -> pb.ReleaseRunResponse:
        if all(plan.run_id != request.run_id for plan in self.plans):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such run")
        before = self.released.is_set()
        self.released.set()
        return pb.ReleaseRunResponse(already_released=before)

    async def StopAll(
        self, request: pb.StopAllRequest, context: Context
    ) -> AsyncIterator[pb.StopAllResponse]:
        """Kill everything, then remove all but the survivors."""
        self.stopped += 1
        ids = [instance.instance_id for instance in self.instances]
        yield pb.StopAllResponse(killed=pb.InstancesKilled(killed=ids, seconds=0.5))
        gone = [i for i in ids if i not in self.survivors]
        leaked = [i for i in ids if i in self.survivors]
        self.instances = [i for i in self.instances if i.instance_id in leaked]
        removed = pb.InstancesRemoved(removed=gone, leaked=leaked, seconds=1.0)
        yield pb.StopAllResponse(removed=removed)

    async def Launch(self, request: pb.LaunchRequest, context: Context) -> pb.LaunchResponse:
        """Ready, unless the image says otherwise."""
        if request.target.workload.image == "tonnage/broken:1":
            problem = Problem(ProblemKind.LAUNCH_FAILED, "it ended with exit code 1")
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                str(problem),
                (("tonnage-problem-bin", wire.to_bytes(problem)),),
            )
        instance = InstanceInfo(f"{self.host}-1", "fake", "", "t", "ready", 1, "tonnage/idle:1")
        self.instances.append(instance)
        return pb.LaunchResponse(
            instance=wire.to_message(instance), trial=wire.to_message(trial(0))
        )

    async def ListInstances(
        self, request: pb.ListInstancesRequest, context: Context
    ) -> pb.ListInstancesResponse:
        return pb.ListInstancesResponse(instances=[wire.to_message(i) for i in self.instances])

    async def DestroyInstance(
        self, request: pb.DestroyInstanceRequest, context: Context
    ) -> pb.DestroyInstanceResponse:
        self.instances = [i for i in self.instances if i.instance_id != request.instance_id]
        return pb.DestroyInstanceResponse()

    async def Clean(self, request: pb.CleanRequest, context: Context) -> pb.CleanResponse:
        removed, self.instances = [i.instance_id for i in self.instances], []
        return pb.CleanResponse(removed=removed)

    async def _held(self, at: int) -> None:
        for sequence in sorted(self.holds):
            if sequence == at + 1:
                await self.holds[sequence].wait()

    def _batch(self, at: int, cut: int | None) -> list[model_pb2.Event]:
        ends = [at + self.batch, len(self.events)]
        ends += [sequence - 1 for sequence, hold in self.holds.items() if not hold.is_set()]
        ends += [] if cut is None else [cut]
        return self.events[at : min(end for end in ends if end > at)]

    def _without_skipped(self, batch: Sequence[model_pb2.Event]) -> list[model_pb2.Event]:
        kept = [event for event in batch if event.sequence not in self.skip]
        if not self.skips_for_ever:
            self.skip -= {event.sequence for event in batch}
        return kept
