"""Images that the engine lacks, and those that it refuses to have."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from agent.errors import ImageNotFound, LaunchFailed
from agent.runtimes.docker.engine import Engine, Inspection
from agent.runtimes.docker.loading import Loading
from tests.unit.images.archive_makers import docker_archive, layer
from tonnage.model import LogReadiness, Workload

NAME = "own/image:1"
WORKLOAD = Workload("w", NAME, LogReadiness("READY"))


class Store:
    """An engine's images: none, until it takes what it is given."""

    def __init__(self) -> None:
        self.refuses = True
        self.has = False
        self.loads = 0

    async def image(self, reference: str, *, pull: bool) -> Inspection:
        """As ``Engine.image``."""
        del pull
        if not self.has:
            raise ImageNotFound("no such image", field="workload.image", value=reference)
        return {"Id": "sha256:1"}

    async def load(self, archive: Path) -> None:
        """As ``Engine.load``."""
        del archive
        self.loads += 1
        if self.refuses:
            raise LaunchFailed("the engine refused the image: operating system is not supported")
        self.has = True


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def loading(store: Store, tmp_path: Path) -> Loading:
    docker_archive(tmp_path / "own.tar", [layer("etc/")], names=[NAME])
    return Loading(cast("Engine", store), tmp_path)


async def test_each_launch_of_a_refused_image_is_refused_anew(
    loading: Loading, store: Store
) -> None:
    assert await loading.image(WORKLOAD) is None
    for _ in range(2):
        with pytest.raises(LaunchFailed, match="operating system"):
            await loading.ask_again(NAME)
    assert store.loads == 3


async def test_an_image_that_is_had_after_all_is_loaded_in_no_timed_window(
    loading: Loading, store: Store
) -> None:
    assert await loading.image(WORKLOAD) is None
    store.refuses = False
    assert await loading.image(WORKLOAD) == {"Id": "sha256:1"}
    loads = store.loads
    await loading.ask_again(NAME)
    assert store.loads == loads
