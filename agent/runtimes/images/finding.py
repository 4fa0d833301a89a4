"""Where an image comes from: the archives of a folder first, then a Docker engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import ImageNotFound
from agent.runtimes.images import archives, engine


@dataclass(frozen=True, slots=True)
class Archived:
    """One image in an archive that is a file."""

    archive: Path
    entry: archives.Entry


@dataclass(frozen=True, slots=True)
class Found:
    """An image that is there: its id, and its archive unless an engine must save it first."""

    reference: str
    digest: str
    archived: Archived | None


class ImageFinder:
    """Finds images by name. Everything here blocks."""

    def __init__(self, images_dir: Path | None, docker_host: str | None) -> None:
        """``images_dir`` holds archives; ``docker_host`` is as in ``RuntimeSettings``."""
        self._images_dir = images_dir
        self._docker_host = docker_host

    def find(self, reference: str) -> Found:
        """The image of that name or id. Raises ``ImageNotFound`` and ``OSError``."""
        archived = self.archived_as(reference)
        if archived is not None:
            return Found(reference, archived.entry.digest, archived)
        try:
            return Found(reference, engine.image_id(reference, self._docker_host), None)
        except engine.NotGiven as reason:
            raise self._not_found(reference, str(reason)) from reason

    def archived_as(self, reference: str) -> Archived | None:
        """The image of that name or id in an archive of the folder. Raises ``OSError``."""
        for archive in self._files():
            try:
                entry = archives.find(archive, reference)
            except archives.BadArchive:
                continue  # another image's trouble; told when this one is found nowhere
            if entry is not None:
                return Archived(archive, entry)
        return None

    @contextmanager
    def archived(self, found: Found, scratch: Path) -> Iterator[Archived]:
        """The image in an archive; one that an engine saves lies below ``scratch`` meanwhile.

        Raises ``ImageNotFound``, ``UnfitImage`` and ``OSError``.
        """
        if found.archived is not None:
            yield found.archived
            return
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            saved = Path(folder, "image.tar")
            try:
                engine.save(found.digest, saved, self._docker_host)
            except engine.NotGiven as reason:
                raise self._not_found(found.reference, str(reason)) from reason
            yield Archived(saved, archives.entries(saved)[0])

    @contextmanager
    def opened(self, found: Found, scratch: Path) -> Iterator[archives.OpenImage]:
        """The image, open to be read, and made for this kind of machine.

        Raises ``ImageNotFound``, ``UnfitImage`` and ``OSError``.
        """
        with (
            tempfile.TemporaryDirectory(dir=scratch) as folder,
            self.archived(found, scratch) as archived,
            archives.opened(archived.archive, archived.entry, Path(folder)) as image,
        ):
            _check_platform(image.config)
            yield image

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
