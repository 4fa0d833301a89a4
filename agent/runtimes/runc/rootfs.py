"""An image's files, unpacked once, and the process that a workload is in it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent.runtimes import images
from agent.runtimes.image_cache import ImageCache
from agent.runtimes.images.command import Process, process_of
from agent.runtimes.images.finding import ImageFinder
from agent.runtimes.images.layers import flatten
from agent.runtimes.images.maker import code_digest
from agent.runtimes.images.tree import Tree
from agent.runtimes.images.unfit import told
from agent.runtimes.images.unpack import write_tree
from agent.runtimes.registry import RuntimeSettings
from agent.runtimes.runc.bundles import Bundles
from tonnage.model import Workload


@dataclass(frozen=True, slots=True)
class Runnable:
    """What ``Prepared.payload`` holds: an image's files and what to run in them."""

    digest: str
    rootfs: Path
    process: Process


class RootfsStore:
    """Finds images by name and unpacks them: once for an image and the code that does it."""

    def __init__(self, bundles: Bundles, settings: RuntimeSettings) -> None:
        self._bundles = bundles
        self._finder = ImageFinder(settings.images_dir, settings.docker_host)
        self._unpacked = ImageCache(bundles.images, settings.image_cache_seconds)
        self._unpacking = asyncio.Lock()

    async def runnable(self, workload: Workload) -> Runnable:
        """A workload's image, unpacked. Raises ``ImageNotFound``, ``InvalidInput`` and
        ``RuntimeUnavailable``."""
        async with self._unpacking:
            return await asyncio.to_thread(self._runnable, workload)

    def _runnable(self, workload: Workload) -> Runnable:
        with told(workload.image, made="container", place=self._bundles.images):
            found = self._finder.find(workload.image)
            rootfs = self._place(found.digest)
            with self._finder.opened(found, self._bundles.scratch) as image:
                tree = flatten(image.layers)
                process = process_of(image.config, workload, tree)
                if not rootfs.is_dir():
                    self._unpack(tree, rootfs)
            self._unpacked.use([rootfs])
            self._unpacked.prune()
            return Runnable(found.digest, rootfs, process)

    def _unpack(self, tree: Tree, rootfs: Path) -> None:
        half_done = Path(tempfile.mkdtemp(dir=self._bundles.scratch))
        try:
            write_tree(tree, half_done)
            half_done.replace(rootfs)
        except BaseException:
            shutil.rmtree(half_done, ignore_errors=True)
            raise

    def _place(self, digest: str) -> Path:
        maker = code_digest(images.__path__)[:12]
        return self._bundles.images / f"{digest.removeprefix('sha256:')}-{maker}"
