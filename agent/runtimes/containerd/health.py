"""Whether a containerd can launch, and what it is made of."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from google.protobuf.empty_pb2 import Empty

from agent.errors import TonnageError
from agent.runtimes.base import Capabilities
from agent.runtimes.containerd.api.snapshots_pb2 import StatSnapshotRequest
from agent.runtimes.containerd.client import Client, Missing
from agent.runtimes.containerd.labels import SNAPSHOTTER
from agent.runtimes.containerd.store import PROGRAM
from tonnage.model import Fingerprint, Mode, RuntimeState

_CONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 4.0


async def fingerprint(name: str, client: Client, offers: Capabilities) -> Fingerprint:
    """Look at the socket, then ask. Never raises; bounded to some seconds."""
    obstacle = socket_obstacle(client.path)
    if obstacle is not None:
        return Fingerprint(name, *obstacle)
    try:
        version = await _version(client)
        await _check_snapshotter(client)
    except TonnageError as error:
        return Fingerprint(name, RuntimeState.UNHEALTHY, str(error))
    if shutil.which(PROGRAM) is None:
        reason = f"{PROGRAM}, which imports images, is missing (it comes with containerd)"
        return Fingerprint(name, RuntimeState.UNHEALTHY, reason)
    return Fingerprint(
        runtime=name,
        state=RuntimeState.HEALTHY,
        reason=f"containerd at {client.path} answers",
        version=version,
        variants=offers.variants,
        networks=offers.networks,
        modes=tuple(Mode(mode) for mode in offers.modes),
        readiness=offers.readiness,
        components={"containerd": version, "snapshotter": SNAPSHOTTER},
    )


async def _version(client: Client) -> str:
    answer = await client.call(lambda api: api.version.Version, Empty(), seconds=_ANSWER_SECONDS)
    return answer.version


async def _check_snapshotter(client: Client) -> None:
    """Raise unless the snapshotter that keeps our containers' files works here."""
    asked = StatSnapshotRequest(snapshotter=SNAPSHOTTER, key="tonnage-no-such")
    try:
        await client.call(lambda api: api.snapshots.Stat, asked, seconds=_ANSWER_SECONDS)
    except Missing:
        return


def socket_obstacle(path: Path) -> tuple[RuntimeState, str] | None:
    """What stands between us and the socket; ``None`` if nothing does."""
    if not path.exists():
        return RuntimeState.UNDETECTED, f"there is no containerd socket {path}"
    if not os.access(path, os.R_OK | os.W_OK):
        return RuntimeState.UNHEALTHY, f"{path} may not be opened by this user"
    with socket.socket(socket.AF_UNIX) as trial:
        trial.settimeout(_CONNECT_SECONDS)
        try:
            trial.connect(str(path))
        except OSError as error:
            return RuntimeState.UNHEALTHY, f"nobody listens on {path} ({error})"
    return None
