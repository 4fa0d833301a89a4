"""The guest that is built of a workload's image, once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent.runtimes import images, qemu
from agent.runtimes.images.command import process_of
from agent.runtimes.images.finding import Found, ImageFinder
from agent.runtimes.images.layers import flatten
from agent.runtimes.images.maker import code_digest
from agent.runtimes.images.unfit import told
from agent.runtimes.qemu.cpio import write_newc
from agent.runtimes.qemu.guest import add_init
from agent.runtimes.qemu.places import Places
from tonnage.model import Workload


@dataclass(frozen=True, slots=True)
class Guest:
    """A built initramfs and the id of the image in it."""

    initramfs: Path
    digest: str


class ImageStore:
    """Finds images by name and builds guests of them. Guests are cached by what goes
    into them: image, workload, busybox, and the code that builds."""

    def __init__(
        self, places: Places, busybox: Path, images_dir: Path | None, docker_host: str | None
    ) -> None:
        self._places = places
        self._busybox = busybox
        self._finder = ImageFinder(images_dir, docker_host)
        self._building = asyncio.Lock()

    async def guest(self, workload: Workload) -> Guest:
        """The guest for a workload. Raises ``ImageNotFound``, ``InvalidInput`` and
        ``RuntimeUnavailable``."""
        async with self._building:
            return await asyncio.to_thread(self._guest, workload)

    def _guest(self, workload: Workload) -> Guest:
        with told(workload.image, made="guest", place=self._places.guests):
            found = self._finder.find(workload.image)
            initramfs = self._initramfs(workload, found.digest)
            if not initramfs.exists():
                self._build(workload, found, initramfs)
            return Guest(initramfs, found.digest)

    def _build(self, workload: Workload, found: Found, initramfs: Path) -> None:
        with (
            tempfile.TemporaryDirectory(dir=self._places.scratch) as scratch,
            self._finder.opened(found, self._places.scratch) as image,
        ):
            tree = flatten(image.layers)
            add_init(tree, process_of(image.config, workload, tree), self._busybox)
            half_done = Path(scratch, "guest.cpio")
            with half_done.open("wb") as out:
                write_newc(tree, out)
            half_done.replace(initramfs)

    def _initramfs(self, workload: Workload, image_digest: str) -> Path:
        parts = {
            "image": image_digest,
            "command": workload.command,
            "environment": dict(workload.environment),
            "busybox": hashlib.sha256(self._busybox.read_bytes()).hexdigest(),
            "maker": code_digest(images.__path__, qemu.__path__),
        }
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return self._places.guests / f"{key}.cpio"
