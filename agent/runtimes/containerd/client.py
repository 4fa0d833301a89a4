"""containerd's API on one socket; gRPC's errors become Tonnage's here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio

from agent.errors import RuntimeUnavailable, TonnageError
from agent.runtimes.containerd.api.containers_pb2_grpc import ContainersStub
from agent.runtimes.containerd.api.leases_pb2_grpc import LeasesStub
from agent.runtimes.containerd.api.snapshots_pb2 import Info, ListSnapshotsRequest
from agent.runtimes.containerd.api.snapshots_pb2_grpc import SnapshotsStub
from agent.runtimes.containerd.api.tasks_pb2_grpc import TasksStub
from agent.runtimes.containerd.api.version_pb2_grpc import VersionStub
from agent.runtimes.containerd.labels import NAMESPACE

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

CALL_SECONDS = 120.0
_METADATA = (("containerd-namespace", NAMESPACE),)
_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_OPTIONS = (
    # A path is no authority that a Go server takes.
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", 64 << 20),
    # One connection for each client, whoever else in this process talks to the same daemon.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    # A daemon that is restarted is soon back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class Missing(TonnageError):
    """containerd knows nothing of that name."""


class NotNow(TonnageError):
    """containerd refuses what is asked in this state, as the removal of what still runs."""


class Api:
    """The services of one connection."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.containers = ContainersStub(channel)
        self.leases = LeasesStub(channel)
        self.snapshots = SnapshotsStub(channel)
        self.tasks = TasksStub(channel)
        self.version = VersionStub(channel)


class Client:
    """One containerd. Connects when first used; safe for concurrent calls on one event loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._channel: grpc.aio.Channel | None = None
        self._api: Api | None = None
        self._closed = False

    async def call(
        self,
        method: Callable[[Api], grpc.aio.UnaryUnaryMultiCallable[Asked, Answered]],
        request: Asked,
        refused: type[TonnageError] = RuntimeUnavailable,
        seconds: float = CALL_SECONDS,
    ) -> Answered:
        """The answer to ``request``.

        Raises ``Missing`` and ``NotNow``, ``RuntimeUnavailable`` if there is none, and
        ``refused`` for anything else that containerd says.
        """
        with self._errors_told(refused):
            return await method(self._connected())(request, timeout=seconds, metadata=_METADATA)

    async def snapshots(self, request: ListSnapshotsRequest) -> list[Info]:
        """Every snapshot that is asked for."""
        found: list[Info] = []
        with self._errors_told(RuntimeUnavailable):
            answers = self._connected().snapshots.List(
                request, timeout=CALL_SECONDS, metadata=_METADATA
            )
            async for answer in answers:
                found.extend(answer.info)
        return found

    def _connected(self) -> Api:
        if self._closed:
            raise RuntimeUnavailable(f"the connection to containerd at {self.path} is closed")
        if self._api is None:
            self._channel = grpc.aio.insecure_channel(f"unix://{self.path}", options=_OPTIONS)
            self._api = Api(self._channel)
        return self._api

    @contextmanager
    def _errors_told(self, refused: type[TonnageError]) -> Iterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise self._translated(error, refused) from error

    def _translated(self, error: grpc.aio.AioRpcError, refused: type[TonnageError]) -> TonnageError:
        said = error.details() or error.code().name
        if error.code() in _GONE:
            return RuntimeUnavailable(
                f"containerd at {self.path} does not answer: {said}",
                remedy="Start it, or name another socket with --containerd-address.",
            )
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return Missing(said)
        if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
            return NotNow(said)
        return refused(f"containerd at {self.path} refused: {said}")

    async def close(self) -> None:
        """Let go of the connection. Idempotent."""
        self._closed = True
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
