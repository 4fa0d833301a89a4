"""Where a workload's image comes from, and the guest that is built of it, once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import ImageNotFound, InvalidInput, RuntimeUnavailable
from agent.runtimes.qemu import archives, engine
from agent.runtimes.qemu.command import NoProgram, process_of
from agent.runtimes.qemu.cpio import CpioError, write_newc
from agent.runtimes.qemu.guest import add_init
from agent.runtimes.qemu.layers import BadLayer, flatten
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.tree import UnsafePath
from agent.runtimes.qemu.user import UnknownUser
from tonnage.model import Workload

_WRONG_IMAGE = (archives.BadArchive, BadLayer, UnsafePath, CpioError, UnknownUser, NoProgram)


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
        self._images_dir = images_dir
        self._docker_host = docker_host
        self._building = asyncio.Lock()

    async def guest(self, workload: Workload) -> Guest:
        """The guest for a workload. Raises ``ImageNotFound``, ``InvalidInput`` and
        ``RuntimeUnavailable``."""
        async with self._building:
            return await asyncio.to_thread(self._guest, workload)

    def _guest(self, workload: Workload) -> Guest:
        try:
            return self._from_archive(workload) or self._from_engine(workload)
        except _WRONG_IMAGE as error:
            raise InvalidInput(
                f"the image cannot become a VM: {error}",
                field="workload.image",
                value=workload.image,
            ) from error
        except OSError as error:
            raise RuntimeUnavailable(
                f"the guest of the image could not be built: {error}",
                field="workload.image",
                value=workload.image,
                remedy=f"Is there space in {self._places.guests}?",
            ) from error

    def _from_archive(self, workload: Workload) -> Guest | None:
        for archive in self._files():
            try:
                entry = archives.find(archive, workload.image)
            except archives.BadArchive:
                continue  # another image's trouble; told when this one is found nowhere
            if entry is not None:
                initramfs = self._initramfs(workload, entry.digest)
                if not initramfs.exists():
                    self._build(workload, archive, entry, initramfs)
                return Guest(initramfs, entry.digest)
        return None

    def _from_engine(self, workload: Workload) -> Guest:
        try:
            digest = engine.image_id(workload.image, self._docker_host)
            initramfs = self._initramfs(workload, digest)
            if not initramfs.exists():
                with tempfile.TemporaryDirectory(dir=self._places.scratch) as scratch:
                    saved = Path(scratch, "image.tar")
                    engine.save(digest, saved, self._docker_host)
                    self._build(workload, saved, archives.entries(saved)[0], initramfs)
        except engine.NotGiven as reason:
            raise self._not_found(workload.image, str(reason)) from reason
        return Guest(initramfs, digest)

    def _build(
        self, workload: Workload, archive: Path, entry: archives.Entry, initramfs: Path
    ) -> None:
        with (
            tempfile.TemporaryDirectory(dir=self._places.scratch) as scratch,
            archives.opened(archive, entry, Path(scratch)) as image,
        ):
            _check_platform(image.config)
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
            "maker": _maker_digest(),
        }
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return self._places.guests / f"{key}.cpio"

    def _files(self) -> list[Path]:
        return sorted(self._images_dir.glob("*.tar")) if self._images_dir is not None else []

    def _not_found(self, reference: str, reason: str) -> ImageNotFound:
        bad = [archive.name for archive in self._files() if _is_bad(archive)]
        unread = f" (unreadable: {', '.join(bad)})" if bad else ""
        return ImageNotFound(
            f"no archive in the images folder holds the image{unread}, and the Docker engine"
            f" did not give it: {reason}",
            field="workload.image",
            value=reference,
            remedy=f"Save it there: docker save {reference} -o"
            f" {self._images_dir or 'IMAGES_DIR'}/image.tar.",
        )


def _check_platform(config: Mapping[str, Any]) -> None:
    platform = f"{config.get('os', 'linux')}/{config.get('architecture', 'amd64')}"
    if platform != "linux/amd64":
        raise archives.BadArchive(f"it is made for {platform}, not for linux/amd64")


def _is_bad(archive: Path) -> bool:
    try:
        archives.entries(archive)
    except archives.BadArchive:
        return True
    return False


def _maker_digest() -> str:
    """The code that makes a guest is part of what a guest is."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
