"""A workload's image becomes a guest once, or a refusal that says what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import ImageNotFound, InvalidInput
from agent.runtimes.qemu.images import ImageStore
from agent.runtimes.qemu.places import Places
from agent.runtimes.registry import RuntimeSettings
from tests.unit.images.archive_makers import docker_archive, layer, program
from tonnage.model import LogReadiness, Workload

WORKLOAD = Workload("w", "app:1", LogReadiness("up"))
CONFIG = {"Cmd": ["/run"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An images folder with one good image, ``app:1``."""
    folder = tmp_path / "images"
    folder.mkdir()
    docker_archive(
        folder / "app.tar", [layer(program("run", b"x"))], names=["app:1"], config=CONFIG
    )
    return folder


@pytest.fixture
def store(tmp_path: Path, folder: Path) -> ImageStore:
    """A store with no engine behind it."""
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"busybox")
    places = Places(tmp_path / "state", "agent")
    places.make()
    settings = RuntimeSettings(
        "a", tmp_path, docker_host=f"unix://{tmp_path}/none.sock", images_dir=folder
    )
    return ImageStore(settings, places, busybox, in_memory_bytes=1 << 20)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


async def test_a_guest_is_built_once_and_found_again(store: ImageStore) -> None:
    first = await store.guest(WORKLOAD)
    built = first.file.stat().st_ino
    assert await store.guest(WORKLOAD) == first
    assert first.file.stat().st_ino == built


async def test_another_command_is_another_guest_of_the_same_image(store: ImageStore) -> None:
    plain = await store.guest(WORKLOAD)
    other = await store.guest(replace(WORKLOAD, command=("/run", "x")))
    assert plain.digest == other.digest
    assert plain.file != other.file


async def test_a_damaged_archive_beside_it_does_no_harm(store: ImageStore, folder: Path) -> None:
    (folder / "aaa.tar").write_bytes(b"damaged" * 1000)
    await store.guest(WORKLOAD)
    with pytest.raises(ImageNotFound, match=r"unreadable: aaa\.tar"):
        await store.guest(replace(WORKLOAD, image="else:1"))


async def test_an_image_for_another_processor_is_refused(store: ImageStore, folder: Path) -> None:
    docker_archive(folder / "arm.tar", [], names=["arm:1"], architecture="arm64")
    with pytest.raises(InvalidInput, match="linux/arm64, not for linux/amd64") as refused:
        await store.guest(replace(WORKLOAD, image="arm:1"))
    assert refused.value.problem.field == "workload.image"


async def test_a_hostile_layer_is_refused_and_leaves_nothing(
    store: ImageStore, folder: Path, tmp_path: Path
) -> None:
    hostile = layer(("../../escaped", b"x"), program("run", b"x"))
    docker_archive(folder / "bad.tar", [hostile], names=["bad:1"], config=CONFIG)
    with pytest.raises(InvalidInput, match="outside the image"):
        await store.guest(replace(WORKLOAD, image="bad:1"))
    assert not _names(tmp_path) & {"escaped", "guest.cpio"}


async def test_an_image_that_nobody_has_names_the_way_out(store: ImageStore) -> None:
    with pytest.raises(ImageNotFound) as missing:
        await store.guest(replace(WORKLOAD, image="none:1"))
    assert missing.value.problem.value == "none:1"
    assert "docker save none:1" in missing.value.problem.remedy
