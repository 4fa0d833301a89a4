"""One agent as the collector calls it: typed, each call with a deadline.

Methods raise only ``collector.errors.TonnageError``: ``Unreachable`` when the
agent does not answer, ``AgentBusy`` when another run holds it, else what the
agent itself said.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import grpc
from grpc import aio

from collector import errors
from collector.problems import error_of
from collector.views import HostCleaning, HostKilled, Launched
from tonnage import wire
from tonnage.dial import Dial
from tonnage.identity import Identity, Role
from tonnage.model import Fingerprint, HostFacts, InstanceInfo, Plan, Target, Trial
from tonnage.problems import carried
from tonnage.tls import TlsError, TlsFiles
from tonnage.v1 import agent_pb2, agent_pb2_grpc, model_pb2

_OPTIONS = [
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
]
_CONNECT_SECONDS = 3.0
_QUICK_SECONDS = 10.0
_START_SECONDS = 60.0
# Every process is to be dead after 5.
_KILLED_SECONDS = 15.0
# Proving KVM, and destroying many instances, take their time.
_SLOW_SECONDS = 90.0


class AgentBusy(errors.TonnageError):
    """Another run holds the agent; runs never overlap on one host."""

    kind = errors.Unreachable.kind


@dataclass(frozen=True, slots=True)
class Description:
    """What an agent tells of its host."""

    facts: HostFacts
    runtimes: tuple[Fingerprint, ...]
    active_run_id: str


def _stub_of(channel: aio.Channel) -> agent_pb2_grpc.AgentServiceAsyncStub:
    return agent_pb2_grpc.AgentServiceStub(channel)


@dataclass(frozen=True, slots=True)
class Released:
    """What a release did: ``before`` if the host had been let go already;
    ``began_after_seconds`` from the call's arrival until launching began, if it told."""

    before: bool
    began_after_seconds: float | None


class Agent:
    """A connection to the agent of ``host``; it connects, and again, by itself.

    With ``tls`` the other end must prove to be that host's agent, wherever it is.
    """

    def __init__(self, host: str, address: str, tls: TlsFiles | None = None) -> None:
        self.host = host
        self.address = address
        self._dial = Dial(address, Identity(Role.AGENT, host), tls, _OPTIONS)
        self.barred = False
        """Whether it is not dialled any more: each call raises ``Unreachable``."""

    async def bar(self) -> None:
        """Dial it no more, and end what is open, until ``barred`` is taken back."""
        self.barred = True
        await self.close()

    async def close(self) -> None:
        """Let go of the connection. Idempotent."""
        await self._dial.close()

    async def describe(self, *, refresh: bool) -> Description:
        """The host's facts and its runtimes' fingerprints, found anew if asked."""
        await self.connected()
        with self._translated():
            answer = await (await self._stub()).Describe(
                agent_pb2.DescribeRequest(refresh=refresh), timeout=_SLOW_SECONDS
            )
            return Description(
                wire.from_message(answer.facts, HostFacts),
                tuple(wire.from_message(item, Fingerprint) for item in answer.runtimes),
                answer.active_run_id,
            )

    async def start_run(self, plan: Plan) -> None:
        """Hand over a plan. Idempotent by run id."""
        with self._translated(ABORTED=AgentBusy):
            request = agent_pb2.StartRunRequest(plan=wire.to_message(plan))
            await (await self._stub()).StartRun(request, timeout=_START_SECONDS)

    async def release_run(self, run_id: str, begin_in_seconds: float) -> Released:
        """Let a run begin that waits for it, so long after the call arrives. Idempotent."""
        with self._translated(NOT_FOUND=errors.NoSuchRun):
            request = agent_pb2.ReleaseRunRequest(run_id=run_id, begin_in_seconds=begin_in_seconds)
            answer = await (await self._stub()).ReleaseRun(
                request, timeout=_QUICK_SECONDS + begin_in_seconds
            )
            told = answer.HasField("began_after_seconds")
            return Released(answer.already_released, answer.began_after_seconds if told else None)

    async def events(
        self, run_id: str, after: int
    ) -> AsyncGenerator[Sequence[model_pb2.Event], None]:
        """A run's events above ``after`` in batches, as they come off the wire.

        It has no deadline: a peer that is gone is found by keepalive.
        """
        request = agent_pb2.StreamEventsRequest(run_id=run_id, after_sequence=after)
        with self._translated(NOT_FOUND=errors.NoSuchRun):
            call = (await self._stub()).StreamEvents(request)
            try:
                async for batch in call:
                    yield batch.events
            finally:
                call.cancel()

    async def ack(self, run_id: str, sequence: int) -> None:
        """Say that events up to ``sequence`` are stored."""
        with self._translated(NOT_FOUND=errors.NoSuchRun):
            request = agent_pb2.AckEventsRequest(run_id=run_id, sequence=sequence)
            await (await self._stub()).AckEvents(request, timeout=_QUICK_SECONDS)

    async def cancel_run(self, run_id: str) -> None:
        """Stop a run; its last event follows in its stream."""
        with self._translated(NOT_FOUND=errors.NoSuchRun):
            request = agent_pb2.CancelRunRequest(run_id=run_id)
            await (await self._stub()).CancelRun(request, timeout=_QUICK_SECONDS)

    async def launch(self, target: Target, ready_timeout_seconds: float) -> Launched:
        """Launch one instance by hand and wait until it is ready."""
        await self.connected()
        request = agent_pb2.LaunchRequest(
            target=wire.to_message(target), ready_timeout_seconds=ready_timeout_seconds
        )
        with self._translated():
            answer = await (await self._stub()).Launch(
                request, timeout=ready_timeout_seconds + _SLOW_SECONDS
            )
            return Launched(
                wire.from_message(answer.instance, InstanceInfo),
                wire.from_message(answer.trial, Trial),
            )

    async def instances(self) -> tuple[InstanceInfo, ...]:
        """The instances this agent holds."""
        with self._translated():
            request = agent_pb2.ListInstancesRequest()
            answer = await (await self._stub()).ListInstances(request, timeout=_QUICK_SECONDS)
            return tuple(wire.from_message(item, InstanceInfo) for item in answer.instances)

    async def destroy(self, instance_id: str) -> None:
        """Destroy one instance; raises ``NoSuchInstance`` if the agent has none such."""
        with self._translated():
            request = agent_pb2.DestroyInstanceRequest(instance_id=instance_id)
            await (await self._stub()).DestroyInstance(request, timeout=_SLOW_SECONDS)

    async def clean(self) -> HostCleaning:
        """Remove what no live run holds."""
        with self._translated():
            answer = await (await self._stub()).Clean(
                agent_pb2.CleanRequest(), timeout=_SLOW_SECONDS
            )
            return HostCleaning(self.host, tuple(answer.removed), tuple(answer.leaked))

    async def stop_all(self) -> AsyncGenerator[HostKilled | HostCleaning, None]:
        """Stop everything there: what was killed, then what was removed."""
        await self.connected()
        with self._translated():
            call = (await self._stub()).StopAll(agent_pb2.StopAllRequest(), timeout=_SLOW_SECONDS)
            try:
                answers = aiter(call)
                yield self._killed(await self._first(answers))
                async for answer in answers:
                    told = answer.removed
                    yield HostCleaning(self.host, tuple(told.removed), tuple(told.leaked))
            finally:
                call.cancel()

    async def _first(
        self, answers: AsyncIterator[agent_pb2.StopAllResponse]
    ) -> agent_pb2.StopAllResponse:
        """Killing is a matter of seconds: an agent that has not told by then hangs."""
        try:
            async with asyncio.timeout(_KILLED_SECONDS):
                return await anext(answers)
        except TimeoutError as error:
            why = f"nothing was heard within {_KILLED_SECONDS:g} s"
            raise unreachable(self.host, self.address, why) from error
        except StopAsyncIteration as error:
            why = "it ended the call without a word"
            raise unreachable(self.host, self.address, why) from error

    def _killed(self, answer: agent_pb2.StopAllResponse) -> HostKilled:
        told = answer.killed
        return HostKilled(self.host, tuple(told.killed), tuple(told.alive), told.seconds)

    async def connected(self, seconds: float = _CONNECT_SECONDS) -> None:
        """Give a host that was away a moment: its last failure says nothing of now."""
        if self.barred:
            return
        with suppress(TimeoutError, TlsError):
            async with asyncio.timeout(seconds):
                await (await self._dial.channel()).channel_ready()

    async def _stub(self) -> agent_pb2_grpc.AgentServiceAsyncStub:
        if self.barred:
            raise errors.Unreachable(
                f"the agent of host {self.host} is not dialled: its certificates were revoked",
                field="host",
                value=self.host,
                remedy=f"It is back once it joins with tonnage token create --host {self.host}.",
            )
        return await self._dial.stub(_stub_of)

    @contextmanager
    def _translated(self, **special: type[errors.TonnageError]) -> Iterator[None]:
        """The border to gRPC: nothing of it gets past.

        ``special`` says what a status means in this call, by its name.
        """
        try:
            yield
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled this task: gRPC ends the calls of a closed channel so.
            why = "the connection was let go of"
            raise unreachable(self.host, self.address, why) from error
        except aio.AioRpcError as error:
            cls = special.get(error.code().name, _BY_CODE.get(error.code()))
            raise self._meaning(error, cls) from error
        except TlsError as error:
            told = error.problem
            raise errors.Unreachable(
                told.message, field="tls_dir", value=told.value, remedy=told.remedy
            ) from error
        except wire.WireError as error:
            raise errors.TonnageError(
                f"the answer of host {self.host} cannot be read: {error}",
                remedy="Bring its agent and the collector to the same version.",
            ) from error

    def _meaning(
        self, error: aio.AioRpcError, cls: type[errors.TonnageError] | None
    ) -> errors.TonnageError:
        problem, code = carried(error), error.code()
        if problem is None and cls is errors.Unreachable:
            return unreachable(self.host, self.address, error.details() or code.name)
        if problem is None:
            text = (error.details() or code.name).rstrip(".")
            return (cls or errors.TonnageError)(f"host {self.host}: {text}")
        if cls is None:
            return error_of(problem)
        told = cls(problem.message, field=problem.field, value=problem.value, remedy=problem.remedy)
        told.problem = problem
        return told


# What gRPC says before the reason; the address is told already.
_GRPC_PREFACE = re.compile(r"^failed to connect to all addresses; last error: \w+: (\S+: )?")

_BY_CODE: dict[grpc.StatusCode, type[errors.TonnageError]] = {
    grpc.StatusCode.UNAVAILABLE: errors.Unreachable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Unreachable,
    grpc.StatusCode.CANCELLED: errors.Unreachable,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidInput,
    grpc.StatusCode.NOT_FOUND: errors.NoSuchInstance,
}


def unreachable(host: str, address: str, why: str) -> errors.Unreachable:
    """The error for an agent that does not answer."""
    reason = _GRPC_PREFACE.sub("", why).rstrip(".")
    return errors.Unreachable(
        f"the agent of host {host} at {address} does not answer: {reason}",
        remedy="See whether tonnage-agent still runs there.",
    )
