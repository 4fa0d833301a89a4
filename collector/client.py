"""The collector as seen by a program: typed calls over gRPC, each with a deadline.

Every method raises only ``collector.errors.TonnageError``: the collector's own
error, rebuilt, or ``Unreachable``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import grpc
from grpc import aio
from pydantic import ValidationError

from collector import errors
from collector.model import TrialRow
from collector.problems import carried, error_of
from collector.reports.model import Result
from collector.views import (
    Cancelled,
    Cleaning,
    HostCleaning,
    HostInfo,
    HostInstance,
    HostProgress,
    Instances,
    Launched,
    Progress,
    RunInfo,
)
from tonnage import wire
from tonnage.model import InstanceInfo, Problem, RunState, Target, Trial
from tonnage.v1 import collector_pb2 as pb
from tonnage.v1 import collector_pb2_grpc

_OPTIONS = [
    ("grpc.max_receive_message_length", 256 * 2**20),
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
]
_QUICK_SECONDS = 15.0
_SLOW_SECONDS = 120.0
_EXPORT_SECONDS = 3600.0
_RETRY_SECONDS = 0.5

T = TypeVar("T")


class Client:
    """A connection to one collector. Use it as an async context manager."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = aio.insecure_channel(address, options=_OPTIONS)
        self._stub = collector_pb2_grpc.CollectorServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connection. Idempotent."""
        await self._channel.close()

    async def hosts(self) -> tuple[HostInfo, ...]:
        """The hosts, by name."""
        answer = await self._call(self._stub.ListHosts, pb.ListHostsRequest())
        return self._many(answer.hosts, HostInfo)

    async def submit(self, spec_json: str, request_token: str = "") -> str:
        """Start a run of an experiment and return its id.

        A second call with the same token answers with the first one's run.
        """
        request = pb.SubmitRunRequest(spec_json=spec_json, request_token=request_token)
        return str((await self._call(self._stub.SubmitRun, request, _SLOW_SECONDS)).run_id)

    async def watch(self, run_id: str, patience_seconds: float = 30.0) -> AsyncIterator[Progress]:
        """Yield the run's progress until it ends; the last has its final state.

        A connection that was there and broke is tried again for ``patience_seconds``.
        """
        clock = asyncio.get_running_loop().time
        give_up_at: float | None = clock()  # no patience with a collector that was never there
        while True:
            trouble: errors.Unreachable | None = None
            try:
                async for progress in self._watch_once(run_id):
                    give_up_at = None
                    yield progress
                    if progress.state.ended:
                        return
            except errors.Unreachable as error:
                trouble = error
            give_up_at = clock() + patience_seconds if give_up_at is None else give_up_at
            if clock() >= give_up_at:
                raise trouble or unreachable(self.address, "went away")
            await asyncio.sleep(_RETRY_SECONDS)

    async def cancel(self, run_id: str) -> Cancelled:
        """Cancel a run on every host."""
        request = pb.CollectorServiceCancelRunRequest(run_id=run_id)
        answer = await self._call(self._stub.CancelRun, request, _SLOW_SECONDS)
        return Cancelled(tuple(answer.reached), tuple(answer.unreached))

    async def runs(self, limit: int = 50) -> tuple[RunInfo, ...]:
        """The latest runs, latest first."""
        answer = await self._call(self._stub.ListRuns, pb.ListRunsRequest(limit=limit))
        return self._many(answer.runs, RunInfo)

    async def result(self, run_id: str) -> Result:
        """A run's result, as far as it has come."""
        answer = await self._call(self._stub.GetRun, pb.GetRunRequest(run_id=run_id), _SLOW_SECONDS)
        with self._translated():
            return Result.model_validate_json(answer.result_json)

    async def trials(self, run_id: str) -> AsyncIterator[Sequence[TrialRow]]:
        """Every trial of a run in the order stored, in batches."""
        request = pb.ExportTrialsRequest(run_id=run_id)
        with self._translated():
            async for batch in self._stub.ExportTrials(request, timeout=_EXPORT_SECONDS):
                yield self._many(batch.trials, TrialRow)

    async def launch(self, host: str, target: Target, ready_timeout_seconds: float) -> Launched:
        """Launch one instance by hand and wait until it is ready."""
        request = pb.LaunchInstanceRequest(
            host=host,
            target=wire.to_message(target),
            ready_timeout_seconds=ready_timeout_seconds,
        )
        seconds = ready_timeout_seconds + _SLOW_SECONDS
        answer = await self._call(self._stub.LaunchInstance, request, seconds)
        with self._translated():
            return Launched(
                wire.from_message(answer.instance, InstanceInfo),
                wire.from_message(answer.trial, Trial),
            )

    async def instances(self, host: str = "") -> Instances:
        """The instances on one host, or on all."""
        request = pb.CollectorServiceListInstancesRequest(host=host)
        answer = await self._call(self._stub.ListInstances, request)
        return Instances(self._many(answer.instances, HostInstance), tuple(answer.unreached))

    async def destroy(self, instance_id: str, host: str = "") -> str:
        """Destroy one instance and return the host it was on."""
        request = pb.CollectorServiceDestroyInstanceRequest(host=host, instance_id=instance_id)
        return str((await self._call(self._stub.DestroyInstance, request, _SLOW_SECONDS)).host)

    async def clean(self, host: str = "") -> Cleaning:
        """Remove what is left over, on one host or on all."""
        request = pb.CleanHostsRequest(host=host)
        answer = await self._call(self._stub.CleanHosts, request, _SLOW_SECONDS)
        return Cleaning(self._many(answer.hosts, HostCleaning), tuple(answer.unreached))

    async def _watch_once(self, run_id: str) -> AsyncIterator[Progress]:
        with self._translated():
            async for update in self._stub.WatchRun(pb.WatchRunRequest(run_id=run_id)):
                head = wire.from_message(update, _Head)
                hosts = self._many(update.hosts, HostProgress)
                yield Progress(head.run_id, head.state, hosts, head.problem)

    async def _call(self, method: Any, request: Any, seconds: float = _QUICK_SECONDS) -> Any:
        with self._translated():
            return await method(request, timeout=seconds)

    def _many(self, messages: Any, cls: type[T]) -> tuple[T, ...]:
        with self._translated():
            return tuple(wire.from_message(message, cls) for message in messages)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The border to gRPC: nothing of it gets past."""
        try:
            yield
        except aio.AioRpcError as error:
            raise rebuild(error, self.address) from error
        except (wire.WireError, ValidationError) as error:
            raise errors.TonnageError(
                f"the collector's answer cannot be read: {str(error).splitlines()[0]}",
                remedy="Use the same version of Tonnage on both sides.",
            ) from error


@dataclass(frozen=True, slots=True)
class _Head:
    run_id: str
    state: RunState
    problem: Problem | None


def rebuild(error: aio.AioRpcError, address: str) -> errors.TonnageError:
    """Return the error that the collector raised, or ``Unreachable``."""
    problem = carried(error)
    if problem is not None:
        return error_of(problem)
    code, details = error.code(), error.details() or ""
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        late = code is grpc.StatusCode.DEADLINE_EXCEEDED
        return unreachable(address, "did not answer in time" if late else "does not answer")
    if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
        return errors.InvalidInput(details.rstrip("."))
    return errors.TonnageError(f"the collector answered {code.name}: {details}".rstrip("."))


def unreachable(address: str, what: str) -> errors.Unreachable:
    """Return the error of a collector that is not there."""
    return errors.Unreachable(
        f"the collector {what}",
        field="--collector",
        value=address,
        remedy="Start one with tonnage serve, or name another address.",
    )
