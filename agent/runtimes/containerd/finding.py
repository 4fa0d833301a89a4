"""Containers that an earlier object launched, found in containerd by name and label."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from agent.clock import Timeline
from agent.runtimes.base import Scope
from agent.runtimes.containerd.api.containers_pb2 import (
    GetContainerRequest,
    ListContainersRequest,
)
from agent.runtimes.containerd.api.snapshots_pb2 import (
    ListSnapshotsRequest,
    MountsRequest,
    StatSnapshotRequest,
)
from agent.runtimes.containerd.api.tasks_pb2 import GetRequest
from agent.runtimes.containerd.client import Client, Missing
from agent.runtimes.containerd.instance import ContainerdInstance, Held, Known
from agent.runtimes.containerd.labels import (
    AGENT,
    INSTANCE,
    SNAPSHOTTER,
    name_of,
    scope_filter,
)
from agent.runtimes.containerd.store import own_folders
from agent.runtimes.places import Place, Places
from agent.runtimes.records import InstanceFolders


class Finder:
    """Finds what is left of one agent's containers: a task with its processes, a record
    without a task, a snapshot without a record, a folder without any of them."""

    def __init__(
        self, agent_id: str, client: Client, folders: InstanceFolders, places: Places
    ) -> None:
        self._agent_id = agent_id
        self._client = client
        self._folders = folders
        self._places = places

    async def find(self, instance_id: str) -> ContainerdInstance | None:
        """What is left of that instance, if it is this agent's. Raises ``RuntimeUnavailable``."""
        found = await self._labels(name_of(instance_id))
        known = self._folders.read(instance_id) is not None
        if found.get(AGENT) == self._agent_id or (known and not found):
            return await self._adopted(instance_id)
        return None

    async def all_of(self, scope: Scope) -> list[ContainerdInstance]:
        """Whatever is left of a scope's. Raises ``RuntimeUnavailable``."""
        asked = ListContainersRequest(filters=[scope_filter(scope)])
        listed = await self._client.call(lambda api: api.containers.List, asked)
        looked = ListSnapshotsRequest(snapshotter=SNAPSHOTTER, filters=[scope_filter(scope)])
        kept = await self._client.snapshots(looked)
        labelled = [*(one.labels for one in listed.containers), *(one.labels for one in kept)]
        ids = {its[INSTANCE] for its in labelled if INSTANCE in its}
        if scope.agent_id == self._agent_id:
            ids.update(filter(lambda one: self._of_run(one, scope.run_id), self._folders.known()))
        return [await self._adopted(instance_id) for instance_id in sorted(ids)]

    def _of_run(self, instance_id: str, run_id: str) -> bool:
        record = self._folders.read(instance_id)
        return not run_id or (record is not None and record.run_id == run_id)

    async def _labels(self, name: str) -> Mapping[str, str]:
        """Of a container or, where there is no record of it, of its snapshot."""
        with suppress(Missing):
            asked = GetContainerRequest(id=name)
            record = await self._client.call(lambda api: api.containers.Get, asked)
            return record.container.labels
        with suppress(Missing):
            looked = StatSnapshotRequest(snapshotter=SNAPSHOTTER, key=name)
            return (await self._client.call(lambda api: api.snapshots.Stat, looked)).info.labels
        return {}

    async def _adopted(self, instance_id: str) -> ContainerdInstance:
        """Take hold of a container; its console is lost."""
        name = name_of(instance_id)
        folder = self._folders.folder(instance_id)
        paths = [folder] if folder.exists() else []
        with suppress(Missing):
            asked = MountsRequest(snapshotter=SNAPSHOTTER, key=name)
            answer = await self._client.call(lambda api: api.snapshots.Mounts, asked)
            paths += own_folders(answer.mounts)
        known = Known(instance_id, name, await self._place(name), tuple(paths))
        return ContainerdInstance(known, Held(), self._client, self._folders, Timeline())

    async def _place(self, name: str) -> Place | None:
        with suppress(Missing):
            asked = GetRequest(container_id=name)
            task = await self._client.call(lambda api: api.tasks.Get, asked)
            return self._places.learn(name, task.process.pid) if task.process.pid else None
        return None
