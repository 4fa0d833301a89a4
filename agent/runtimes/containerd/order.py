"""The calls of a start, one after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.any_pb2 import Any as Packed

from agent.clock import Mark, Timeline
from agent.errors import LaunchFailed
from agent.runtimes.containerd.api.containers_pb2 import Container, CreateContainerRequest
from agent.runtimes.containerd.api.snapshots_pb2 import PrepareSnapshotRequest
from agent.runtimes.containerd.api.tasks_pb2 import CreateTaskRequest, StartRequest
from agent.runtimes.containerd.api.types_pb2 import Mount
from agent.runtimes.containerd.client import Client, Missing, NotNow
from agent.runtimes.containerd.labels import SNAPSHOTTER, kept
from agent.runtimes.containerd.pipes import Pipes

_SHIM = "io.containerd.runc.v2"
_SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
_LONG_AGO = "1970-01-01T00:00:00Z"


class CalledOff(Exception):
    """The order was called off between two calls."""


@dataclass(slots=True)
class Order:
    """One launch on its way through containerd.

    ``pid`` and ``mounts`` are set as soon as containerd has told them. Whoever calls off
    waits for ``carry_out`` to end: a call in flight is not stopped, as containerd would be
    left in the middle of it.
    """

    name: str
    labels: Mapping[str, str]
    chain: str
    spec: Mapping[str, Any]
    pipes: Pipes
    timeline: Timeline
    pid: int = 0
    mounts: Sequence[Mount] = field(default_factory=tuple)
    _off: bool = False

    def call_off(self) -> None:
        """Make no further call."""
        self._off = True

    async def carry_out(self, client: Client) -> None:
        """Snapshot, container, task, start. Raises ``LaunchFailed``, ``RuntimeUnavailable``
        and ``CalledOff``."""
        try:
            await self._carry_out(client)
        except (Missing, NotNow) as error:
            raise LaunchFailed(f"containerd could not start it: {error.problem.message}") from error

    async def _carry_out(self, client: Client) -> None:
        prepared = await client.call(
            lambda api: api.snapshots.Prepare, self._snapshot(), LaunchFailed
        )
        self.mounts = tuple(prepared.mounts)
        self._go_on()
        await client.call(lambda api: api.containers.Create, self._container(), LaunchFailed)
        self.timeline.mark(Mark.ACCEPTED)
        self._go_on()
        task = await client.call(lambda api: api.tasks.Create, self._task(), LaunchFailed)
        self.pid = task.pid
        self._go_on()
        start = StartRequest(container_id=self.name)
        await client.call(lambda api: api.tasks.Start, start, LaunchFailed)
        self.timeline.mark(Mark.CREATED)

    def _go_on(self) -> None:
        if self._off:
            raise CalledOff

    def _snapshot(self) -> PrepareSnapshotRequest:
        return PrepareSnapshotRequest(
            snapshotter=SNAPSHOTTER,
            key=self.name,
            parent=self.chain,
            labels=kept(self.labels, _LONG_AGO),
        )

    def _container(self) -> CreateContainerRequest:
        packed = Packed(type_url=_SPEC_TYPE, value=json.dumps(self.spec).encode())
        container = Container(
            id=self.name,
            labels=dict(self.labels),
            runtime=Container.Runtime(name=_SHIM),
            spec=packed,
            snapshotter=SNAPSHOTTER,
            snapshot_key=self.name,
        )
        return CreateContainerRequest(container=container)

    def _task(self) -> CreateTaskRequest:
        return CreateTaskRequest(
            container_id=self.name,
            rootfs=self.mounts,
            stdin=self.pipes.stdin,
            stdout=self.pipes.stdout,
            stderr=self.pipes.stdout,
        )
