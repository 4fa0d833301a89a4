"""Images in containerd: imported once by ``ctr``, and found again by their layers."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import RuntimeUnavailable
from agent.runtimes.containerd.api.snapshots_pb2 import (
    RemoveSnapshotRequest,
    StatSnapshotRequest,
    ViewSnapshotRequest,
)
from agent.runtimes.containerd.api.types_pb2 import Mount
from agent.runtimes.containerd.client import Client, Missing
from agent.runtimes.containerd.labels import NAMESPACE, SNAPSHOTTER
from agent.runtimes.images.command import Process, process_of
from agent.runtimes.images.finding import Found, ImageFinder
from agent.runtimes.images.layers import flatten
from agent.runtimes.images.unfit import UnfitImage, told
from tonnage.model import Workload

PROGRAM = "ctr"
_IMPORT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Runnable:
    """What ``Prepared.payload`` holds: the snapshot of an image's layers, and what to run."""

    digest: str
    chain: str
    process: Process


class Store:
    """Finds images by name, as every runtime without a store of its own does, and has
    containerd unpack those that it lacks. Scratch files lie below ``scratch``."""

    def __init__(self, client: Client, finder: ImageFinder, scratch: Path) -> None:
        self._client = client
        self._finder = finder
        self._scratch = scratch
        self._importing = asyncio.Lock()

    async def runnable(self, workload: Workload) -> Runnable:
        """A workload's image, unpacked. Raises ``ImageNotFound``, ``InvalidInput`` and
        ``RuntimeUnavailable``."""
        with told(workload.image, made="container", place=self._scratch):
            async with self._importing:
                self._scratch.mkdir(parents=True, exist_ok=True)
                found = await asyncio.to_thread(self._finder.find, workload.image)
                runnable = await asyncio.to_thread(self._read, found, workload)
                if not await self._has(runnable.chain):
                    await asyncio.to_thread(self._import, found)
                if not await self._has(runnable.chain):
                    raise UnfitImage(f"{PROGRAM} imported it, but not unpacked as its layers say")
                return runnable

    async def layers(self, chain: str) -> tuple[Path, ...]:
        """The folders of an image's layers, where the snapshotter has such."""
        key = f"tonnage-look-{uuid.uuid4().hex}"
        view = ViewSnapshotRequest(snapshotter=SNAPSHOTTER, key=key, parent=chain)
        answer = await self._client.call(lambda api: api.snapshots.View, view)
        gone = RemoveSnapshotRequest(snapshotter=SNAPSHOTTER, key=key)
        with suppress(Missing):  # nothing refers to it, so containerd may have collected it
            await self._client.call(lambda api: api.snapshots.Remove, gone)
        return lower_folders(answer.mounts)

    def _read(self, found: Found, workload: Workload) -> Runnable:
        with self._finder.opened(found, self._scratch) as image:
            process = process_of(image.config, workload, flatten(image.layers))
            return Runnable(found.digest, chain_id(image.config), process)

    async def _has(self, chain: str) -> bool:
        asked = StatSnapshotRequest(snapshotter=SNAPSHOTTER, key=chain)
        try:
            await self._client.call(lambda api: api.snapshots.Stat, asked)
        except Missing:
            return False
        return True

    def _import(self, found: Found) -> None:
        """Have ``ctr`` import the image and unpack it. Blocks."""
        with self._finder.archived(found, self._scratch) as archived:
            command = (PROGRAM, "--address", str(self._client.path), "--namespace", NAMESPACE)
            importing = ("images", "import", "--digests", "--snapshotter", SNAPSHOTTER)
            try:
                done = subprocess.run(
                    (*command, *importing, str(archived.archive)),
                    check=False,
                    capture_output=True,
                    text=True,
                    timeout=_IMPORT_SECONDS,
                )
            except subprocess.TimeoutExpired as expired:
                raise RuntimeUnavailable(
                    f"{PROGRAM} did not import the image within {_IMPORT_SECONDS:g} s",
                    field="workload.image",
                    value=found.reference,
                ) from expired
        if done.returncode != 0:
            raise UnfitImage(f"{PROGRAM} does not import it: {done.stderr.strip()[-500:]}")


def chain_id(config: Mapping[str, Any]) -> str:
    """The name of the snapshot of all layers of an image, from its configuration.

    github.com/opencontainers/image-spec, config.md, "Layer ChainID". Raises ``UnfitImage``.
    """
    layers = (config.get("rootfs") or {}).get("diff_ids")
    if not layers:
        raise UnfitImage("its configuration names no layers")
    chain, *others = map(str, layers)
    for layer in others:
        chain = f"sha256:{hashlib.sha256(f'{chain} {layer}'.encode()).hexdigest()}"
    return chain


def lower_folders(mounts: Iterable[Mount]) -> tuple[Path, ...]:
    """The folders of layers that a read-only view shows: one by a bind, more by an overlay."""
    found: list[Path] = []
    for mount in mounts:
        lowers = _option(mount.options, "lowerdir")
        found.extend(map(Path, lowers.split(":") if lowers else ()))
        if mount.type == "bind":
            found.append(Path(mount.source))
    return tuple(found)


def own_folders(mounts: Iterable[Mount]) -> tuple[Path, ...]:
    """The folders of a container's own layer; none where its snapshotter has no such."""
    options = [option for mount in mounts for option in mount.options]
    found = (_option(options, name) for name in ("upperdir", "workdir"))
    return tuple(Path(folder) for folder in found if folder)


def _option(options: Iterable[str], name: str) -> str:
    return next((one.partition("=")[2] for one in options if one.startswith(f"{name}=")), "")
