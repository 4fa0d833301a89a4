"""The guest that is built of a workload's image, once: in memory, or on a disk."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agent.runtimes import images, qemu
from agent.runtimes.images.command import process_of
from agent.runtimes.images.finding import Found, ImageFinder
from agent.runtimes.images.layers import flatten
from agent.runtimes.images.maker import code_digest
from agent.runtimes.images.tree import Tree
from agent.runtimes.images.unfit import told
from agent.runtimes.qemu.cpio import write_newc
from agent.runtimes.qemu.ext4 import content_bytes, write_ext4
from agent.runtimes.qemu.guest import add_init
from agent.runtimes.qemu.places import Places
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import Workload

NOTHING_IN_MEMORY = -1


class GuestRoot(StrEnum):
    """Where a guest's file system lies."""

    INITRAMFS = "initramfs"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Guest:
    """A built file system, an initramfs or the image of a disk, and the id of the image in it."""

    file: Path
    digest: str
    root: GuestRoot


class ImageStore:
    """Finds images by name and builds guests of them. Guests are cached by what goes
    into them: image, workload, busybox, and the code that builds."""

    def __init__(
        self,
        settings: RuntimeSettings,
        places: Places,
        busybox: Path,
        *,
        in_memory_bytes: int,
    ) -> None:
        """An image of up to ``in_memory_bytes`` becomes an initramfs, a larger one a disk."""
        self._places = places
        self._busybox = busybox
        self._in_memory_bytes = in_memory_bytes
        self._finder = ImageFinder(settings.images_dir, settings.docker_host)

    async def guest(self, workload: Workload) -> Guest:
        """The guest for a workload. Its callers see to it that one is made at a time.

        Raises ``ImageNotFound``, ``InvalidInput`` and ``RuntimeUnavailable``.
        """
        return await asyncio.to_thread(self._guest, workload)

    def _guest(self, workload: Workload) -> Guest:
        with told(workload.image, made="guest", place=self._places.guests):
            found = self._finder.find(workload.image)
            key = self._key(workload, found.digest)
            root = self._built(key) or self._build(workload, found, key)
            return Guest(self._file(key, root), found.digest, root)

    def _built(self, key: str) -> GuestRoot | None:
        return next((root for root in GuestRoot if self._file(key, root).exists()), None)

    def _build(self, workload: Workload, found: Found, key: str) -> GuestRoot:
        with (
            tempfile.TemporaryDirectory(dir=self._places.scratch) as scratch,
            self._finder.opened(found, self._places.scratch) as image,
        ):
            tree = flatten(image.layers)
            process = process_of(image.config, workload, tree)
            add_init(tree, process, self._busybox)
            root = self._root_for(tree)
            half_done = Path(scratch, "guest")
            if root is GuestRoot.INITRAMFS:
                with half_done.open("wb") as out:
                    write_newc(tree, out)
            else:
                write_ext4(tree, half_done, Path(scratch))
            half_done.replace(self._file(key, root))
        return root

    def _root_for(self, tree: Tree) -> GuestRoot:
        in_memory = content_bytes(tree) <= self._in_memory_bytes
        return GuestRoot.INITRAMFS if in_memory else GuestRoot.DISK

    def _file(self, key: str, root: GuestRoot) -> Path:
        return self._places.guests / f"{key}.{root}"

    def _key(self, workload: Workload, image_digest: str) -> str:
        parts = {
            "image": image_digest,
            "command": workload.command,
            "environment": dict(workload.environment),
            "busybox": hashlib.sha256(self._busybox.read_bytes()).hexdigest(),
            "in_memory_bytes": self._in_memory_bytes,
            "maker": code_digest(images.__path__, qemu.__path__),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
