"""Images that the engine lacks and the images folder has."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.errors import ImageNotFound, LaunchFailed
from agent.runtimes.docker.engine import Engine, Inspection
from agent.runtimes.images.finding import Archived, ImageFinder
from tonnage.model import Workload


class Loading:
    """Has the engine load what it lacks. What it refuses to load, as an image that was made
    for another operating system, is kept in mind: each launch of it is to be refused anew."""

    def __init__(self, engine: Engine, images_dir: Path | None) -> None:
        self._engine = engine
        self._finder = ImageFinder(images_dir, None)
        self._refused: dict[str, Archived] = {}

    async def image(self, workload: Workload) -> Inspection | None:
        """What the engine says of a workload's image; ``None`` if it refuses to have it.
        Raises ``ImageNotFound`` where neither has it."""
        try:
            found = await self._engine.image(workload.image, pull=workload.pull)
        except ImageNotFound:
            archived = await asyncio.to_thread(self._finder.archived_as, workload.image)
            if archived is None:
                raise
            try:
                await self._engine.load(archived.archive)
            except LaunchFailed:
                self._refused[workload.image] = archived
                return None
            found = await self._engine.image(workload.image, pull=False)
        self._refused.pop(workload.image, None)  # another image of that name is there now
        return found

    def digest(self, reference: str) -> str:
        """Of an image that was refused."""
        return self._refused[reference].entry.digest

    async def ask_again(self, reference: str) -> None:
        """Ask for an image that was refused; nothing for any other. Raises ``LaunchFailed``
        with the engine's own words."""
        if archived := self._refused.get(reference):
            await self._engine.load(archived.archive)
