"""Images that an engine lacks: loaded from the images folder, or refused in its own words."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from docker.api.client import APIClient

from agent.clock import Timeline
from agent.errors import LaunchFailed
from agent.runtimes.docker import DockerRuntime, EngineProfile
from agent.runtimes.registry import RuntimeSettings
from deploy.images import archive
from deploy.images.rootfs import file
from tests.contracts.runtimes import IDLE, KINDS, Stand
from tonnage.model import Workload

pytestmark = pytest.mark.docker

FOREIGN = Workload("foreign-os", "tonnage/foreign-os:1", IDLE.readiness)


@pytest.fixture
async def stand(docker_host: str, tmp_path: Path, images_dir: Path) -> AsyncIterator[Stand]:
    name = f"f{uuid.uuid4().hex[:10]}"
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "foreign.tar").symlink_to(images_dir / "tonnage-foreign-os-1.tar")
    settings = RuntimeSettings(name, tmp_path, docker_host=docker_host, images_dir=folder)
    stand = Stand(
        KINDS["docker"], DockerRuntime(EngineProfile("docker"), settings), settings, run_id=name
    )
    try:
        yield stand
    finally:
        await stand.close()


@pytest.fixture
def lacked(docker_host: str, tmp_path: Path, stand: Stand) -> Iterator[str]:
    """An image in the folder that no engine has."""
    reference = f"tonnage-test/{stand.run_id}:1"
    image = archive.Image(reference, "amd64", ("/nothing",), [file("own", stand.run_id)])
    (tmp_path / "images/lacked.tar").write_bytes(archive.write(image).data)
    yield reference
    client = APIClient(base_url=docker_host, version="auto")
    client.remove_image(reference)
    client.close()


async def test_an_image_for_another_system_fails_every_launch_in_the_engines_words(
    stand: Stand,
) -> None:
    prepared = await stand.runtime.prepare(FOREIGN)
    assert prepared.digest.startswith("sha256:")
    for _ in range(2):
        with pytest.raises(LaunchFailed, match="cannot load windows image on linux"):
            await stand.runtime.launch(stand.spec(prepared), Timeline())


async def test_an_image_that_the_engine_lacks_is_loaded(stand: Stand, lacked: str) -> None:
    prepared = await stand.runtime.prepare(replace(IDLE, image=lacked))
    assert prepared.paths
