"""AgentService: the words of the wire on one side, the agent's parts on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from agent.errors import (
    AgentStopping,
    GuardTripped,
    InvalidInput,
    LaunchFailed,
    NoSuchInstance,
    NoSuchRun,
    RunActive,
    RunEnded,
    RuntimeUnavailable,
    SpoolCorrupt,
    SpoolFull,
    TonnageError,
)
from agent.runner.equipment import Equipment
from agent.runner.manual import Manual
from agent.runner.red_button import Killed, RedButton
from agent.runner.runs import Runs
from tonnage.model import Plan, Target
from tonnage.problems import attached
from tonnage.v1 import agent_pb2, agent_pb2_grpc, model_pb2
from tonnage.wire import WireError, filled, from_message, to_message

BATCH_EVENTS = 500
BATCH_BYTES = 1 << 20
# Statuses travel as HTTP/2 headers, of which gRPC takes 8 KiB in all.
_MAX_DETAILS = 2000
_BEGIN_IN_MOST = 10.0

# The most special first.
_STATUS: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (NoSuchInstance, grpc.StatusCode.NOT_FOUND),
    (NoSuchRun, grpc.StatusCode.NOT_FOUND),
    (InvalidInput, grpc.StatusCode.INVALID_ARGUMENT),
    (WireError, grpc.StatusCode.INVALID_ARGUMENT),
    (RunActive, grpc.StatusCode.ABORTED),  # alone: ask again once the run has ended
    (AgentStopping, grpc.StatusCode.UNAVAILABLE),  # ask again: it comes back
    (RunEnded, grpc.StatusCode.FAILED_PRECONDITION),
    (RuntimeUnavailable, grpc.StatusCode.FAILED_PRECONDITION),
    (LaunchFailed, grpc.StatusCode.FAILED_PRECONDITION),
    (GuardTripped, grpc.StatusCode.FAILED_PRECONDITION),
    (SpoolFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (SpoolCorrupt, grpc.StatusCode.DATA_LOSS),
    (TonnageError, grpc.StatusCode.INTERNAL),
)

_log = structlog.get_logger("agent.server")

Context = grpc.aio.ServicerContext[Any, Any]
Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Answer = Callable[[Any, Request], Awaitable[Response]]
Method = Callable[[Any, Request, Context], Awaitable[Response]]


async def _abort(context: Context, error: Exception) -> None:
    """End the call with the error's status, its text, and its problem as metadata."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            if isinstance(error, TonnageError):
                await context.abort(status, *attached(error.problem))
            await context.abort(status, str(error)[:_MAX_DETAILS])
    _log.error("a call failed in an unforeseen way", exc_info=error)
    text = f"defect of the agent: {type(error).__name__}; its log has the details"
    await context.abort(grpc.StatusCode.INTERNAL, text)


def _answers(method: Answer[Request, Response]) -> Method[Request, Response]:
    """Make a unary method of what answers a request: its errors become statuses."""

    @wraps(method)
    async def answer(self: Any, request: Request, context: Context) -> Response:
        try:
            return await method(self, request)
        except Exception as error:
            await _abort(context, error)
            raise

    return answer


class AgentServicer(agent_pb2_grpc.AgentServiceServicer):
    """Translates; decides nothing."""

    def __init__(self, equipment: Equipment, runs: Runs, manual: Manual) -> None:
        self._equipment = equipment
        self._runs = runs
        self._manual = manual
        self._red_button = RedButton(equipment, runs, manual)

    @_answers
    async def Describe(self, request: agent_pb2.DescribeRequest) -> agent_pb2.DescribeResponse:
        """The host's facts and its runtimes' fingerprints."""
        inventory = self._equipment.inventory
        busy = bool(self._runs.active_run_id)  # a fingerprint boots a VM: not beside a trial
        refresh = request.refresh and not busy
        found = await (inventory.refresh() if refresh else inventory.current())
        facts = await asyncio.to_thread(self._equipment.facts)
        return agent_pb2.DescribeResponse(
            facts=to_message(facts),
            runtimes=[to_message(fingerprint) for fingerprint in found.values()],
            active_run_id=self._runs.active_run_id,
        )

    @_answers
    async def Launch(self, request: agent_pb2.LaunchRequest) -> agent_pb2.LaunchResponse:
        """Launch one instance by hand."""
        target = from_message(request.target, Target)
        info, trial = await self._manual.launch(target, request.ready_timeout_seconds)
        return agent_pb2.LaunchResponse(instance=to_message(info), trial=to_message(trial))

    @_answers
    async def ListInstances(
        self, _: agent_pb2.ListInstancesRequest
    ) -> agent_pb2.ListInstancesResponse:
        """The instances this agent holds."""
        instances = [to_message(info) for info in self._manual.instances()]
        return agent_pb2.ListInstancesResponse(instances=instances)

    @_answers
    async def DestroyInstance(
        self, request: agent_pb2.DestroyInstanceRequest
    ) -> agent_pb2.DestroyInstanceResponse:
        """Destroy one instance."""
        await self._manual.destroy(request.instance_id)
        return agent_pb2.DestroyInstanceResponse()

    @_answers
    async def Clean(self, _: agent_pb2.CleanRequest) -> agent_pb2.CleanResponse:
        """Remove what no live run holds."""
        cleaning = await self._manual.clean(self._runs.active_run_id)
        return agent_pb2.CleanResponse(removed=cleaning.removed, leaked=cleaning.leaked)

    @_answers
    async def StartRun(self, request: agent_pb2.StartRunRequest) -> agent_pb2.StartRunResponse:
        """Start a plan."""
        known = await self._runs.start(from_message(request.plan, Plan))
        return agent_pb2.StartRunResponse(already_known=known)

    @_answers
    async def ReleaseRun(
        self, request: agent_pb2.ReleaseRunRequest
    ) -> agent_pb2.ReleaseRunResponse:
        """Let a run begin, now or soon."""
        begin_in = request.begin_in_seconds
        if not 0 <= begin_in <= _BEGIN_IN_MOST:
            raise InvalidInput(
                "is no time to wait for a beginning",
                field="begin_in_seconds",
                value=f"{begin_in:g}",
                remedy=f"Give 0 to {_BEGIN_IN_MOST:g} seconds.",
            )
        done = await self._runs.release(request.run_id, begin_in)
        return agent_pb2.ReleaseRunResponse(
            already_released=done.before, began_after_seconds=done.began_after_seconds
        )

    async def StreamEvents(
        self, request: agent_pb2.StreamEventsRequest, context: Context
    ) -> AsyncIterator[agent_pb2.StreamEventsResponse]:
        """A run's events, until its last."""
        try:
            async for batch in self._batches(request.run_id, request.after_sequence):
                yield batch
        except Exception as error:  # noqa: BLE001 (the border, as in _answers)
            await _abort(context, error)

    async def _batches(
        self, run_id: str, after: int
    ) -> AsyncIterator[agent_pb2.StreamEventsResponse]:
        log = self._runs.log(run_id)
        if after > log.last:
            raise InvalidInput(
                "lies beyond the run's last event",
                field="after_sequence",
                value=str(after),
                remedy=f"The last event is {log.last}.",
            )
        while events := await log.read(after, BATCH_EVENTS, BATCH_BYTES):
            yield agent_pb2.StreamEventsResponse(
                events=[model_pb2.Event.FromString(event) for event in events]
            )
            after += len(events)

    @_answers
    async def AckEvents(self, request: agent_pb2.AckEventsRequest) -> agent_pb2.AckEventsResponse:
        """Note what the collector has stored."""
        await self._runs.log(request.run_id).ack(request.sequence)
        await self._equipment.spool.sweep()
        return agent_pb2.AckEventsResponse()

    @_answers
    async def CancelRun(self, request: agent_pb2.CancelRunRequest) -> agent_pb2.CancelRunResponse:
        """Stop a run."""
        return agent_pb2.CancelRunResponse(was_active=await self._runs.cancel(request.run_id))

    async def StopAll(
        self, _: agent_pb2.StopAllRequest, context: Context
    ) -> AsyncIterator[agent_pb2.StopAllResponse]:
        """Kill everything, then remove it."""
        try:
            async for answer in self._red_button.press():
                if isinstance(answer, Killed):
                    killed = filled(agent_pb2.InstancesKilled(), answer)
                    yield agent_pb2.StopAllResponse(killed=killed)
                else:
                    removed = filled(agent_pb2.InstancesRemoved(), answer)
                    yield agent_pb2.StopAllResponse(removed=removed)
        except Exception as error:  # noqa: BLE001 (the border, as in _answers)
            await _abort(context, error)
