"""What there may be of a container in containerd, by its name, and its removal.

Whatever containerd refuses here may be well in a moment, as while it tidies up after a shim
that was killed: so it is asked again until a deadline.
"""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from agent.errors import InstanceLeaked
from agent.runtimes.containerd.api.containers_pb2 import DeleteContainerRequest
from agent.runtimes.containerd.api.leases_pb2 import CreateRequest, DeleteRequest
from agent.runtimes.containerd.api.snapshots_pb2 import RemoveSnapshotRequest
from agent.runtimes.containerd.api.tasks_pb2 import DeleteTaskRequest, KillRequest, WaitRequest
from agent.runtimes.containerd.client import Client, Missing, NotNow
from agent.runtimes.containerd.labels import SNAPSHOTTER

REMOVE_SECONDS = 30.0
_RETRY_SECONDS = 0.02


async def send(client: Client, name: str, number: signal.Signals, *, to_all: bool) -> None:
    """Send a signal to a container's first process, or to all; none is as good."""
    asked = KillRequest(container_id=name, signal=number, all=to_all)
    with suppress(Missing, NotNow):
        await client.call(lambda api: api.tasks.Kill, asked, NotNow)


async def exit_status(client: Client, name: str, seconds: float) -> int | None:
    """How a container's first process ended, once it has; ``None`` if that cannot be told.

    Raises ``RuntimeUnavailable`` after ``seconds``.
    """
    asked = WaitRequest(container_id=name)
    with suppress(Missing, NotNow):
        answer = await client.call(lambda api: api.tasks.Wait, asked, NotNow, seconds)
        return answer.exit_status
    return None


async def remove(client: Client, name: str, instance_id: str) -> None:
    """Kill and remove task, container and snapshot; what is gone is as good.

    Returns once containerd has said that it knows none of them. Raises ``InstanceLeaked`` if
    it still does after ``REMOVE_SECONDS``, and ``RuntimeUnavailable``.
    """
    await send(client, name, signal.SIGKILL, to_all=True)
    await exit_status(client, name, REMOVE_SECONDS)
    deadline = time.monotonic() + REMOVE_SECONDS
    for delete in (_delete_task, _delete_container, _remove_snapshot):
        await _until_gone(partial(delete, client, name), instance_id, deadline)


async def collect(client: Client) -> None:
    """Have what nothing refers to collected now. containerd does so by itself, but gives no
    more than a fiftieth of its time to it (``pause_threshold``).

    The end of a lease is what it lets one wait for. Raises ``RuntimeUnavailable``.
    """
    name = f"tonnage-collect-{uuid.uuid4().hex}"
    await client.call(lambda api: api.leases.Create, CreateRequest(id=name))
    await client.call(lambda api: api.leases.Delete, DeleteRequest(id=name, sync=True))


async def _until_gone(
    delete: Callable[[], Awaitable[object]], instance_id: str, deadline: float
) -> None:
    while True:
        try:
            await delete()
        except Missing:
            return
        except NotNow as error:
            if time.monotonic() > deadline:
                raise InstanceLeaked(
                    f"containerd does not remove it: {error.problem.message}", value=instance_id
                ) from error
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


async def _delete_task(client: Client, name: str) -> object:
    asked = DeleteTaskRequest(container_id=name)
    return await client.call(lambda api: api.tasks.Delete, asked, NotNow)


async def _delete_container(client: Client, name: str) -> object:
    asked = DeleteContainerRequest(id=name)
    return await client.call(lambda api: api.containers.Delete, asked, NotNow)


async def _remove_snapshot(client: Client, name: str) -> object:
    asked = RemoveSnapshotRequest(snapshotter=SNAPSHOTTER, key=name)
    return await client.call(lambda api: api.snapshots.Remove, asked, NotNow)
