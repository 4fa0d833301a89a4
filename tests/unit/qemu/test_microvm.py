"""What a microVM begins with, by what it is asked for."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agent.runtimes.base import LaunchSpec, Prepared, Scope
from agent.runtimes.qemu import ext4
from agent.runtimes.qemu.accelerator import Verdict
from agent.runtimes.qemu.equipment import Equipment, GuestFiles
from agent.runtimes.qemu.microvm import Microvm
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.profile import Bootable
from agent.runtimes.qemu.stub import MODULES
from agent.runtimes.registry import RuntimeSettings
from tests.unit.images.archive_makers import docker_archive, layer, program
from tonnage.model import Accelerator, LogReadiness, Mode, Network, Target, Workload

WORKLOAD = Workload("w", "app:1", LogReadiness("up"))
TARGET = Target("t", "qemu-microvm", "direct", Mode.WARM, Network.NONE, WORKLOAD, 128 << 20)


@pytest.fixture
def settings(tmp_path: Path) -> RuntimeSettings:
    """A host with an image ``app:1`` and guest files of no use but to be found."""
    images = tmp_path / "images"
    images.mkdir()
    docker_archive(
        images / "app.tar", [layer(program("run", b"x"))], names=["app:1"], config={"Cmd": ["/run"]}
    )
    (tmp_path / "modules").mkdir()
    for name in ("vmlinuz", "busybox", *(f"modules/{module}.ko" for module in MODULES)):
        (tmp_path / name).write_bytes(name.encode())
    engine = f"unix://{tmp_path}/none.sock"
    return RuntimeSettings("a", tmp_path, docker_host=engine, images_dir=images, guest_dir=tmp_path)


@pytest.fixture
def microvm(settings: RuntimeSettings, tmp_path: Path) -> Microvm:
    places = Places(tmp_path / "state", "a")
    places.make()
    return Microvm(settings, places)


async def _prepared(microvm: Microvm, folder: Path) -> Prepared:
    files = GuestFiles(folder / "vmlinuz", folder / "busybox")
    return await microvm.prepare(
        WORKLOAD, Equipment(files, "7.2", "6.1", Verdict(Accelerator.TCG, "no device"))
    )


@pytest.mark.parametrize("network", [Network.NONE, Network.USER])
async def test_the_files_of_a_start_are_those_that_its_machine_boots(
    microvm: Microvm, tmp_path: Path, network: Network
) -> None:
    prepared = await _prepared(microvm, tmp_path)
    assert isinstance(prepared.payload, Bootable)
    target = replace(TARGET, network=network)
    spec = LaunchSpec("vm-1", Scope("a"), target, prepared, 60)
    machine = microvm.machine(spec, prepared.payload, ())
    assert machine.boot is not None
    assert prepared.paths_for(target) == (machine.boot.kernel, machine.boot.initramfs)


async def test_with_a_card_it_begins_with_other_files(microvm: Microvm, tmp_path: Path) -> None:
    prepared = await _prepared(microvm, tmp_path)
    assert prepared.paths_for(TARGET) != prepared.paths_for(replace(TARGET, network=Network.USER))


def test_without_drivers_it_offers_neither_a_network_nor_a_disk(
    microvm: Microvm, tmp_path: Path
) -> None:
    assert microvm.offers() == microvm.capabilities
    shutil.rmtree(tmp_path / "modules")
    offered = microvm.offers()
    assert (offered.networks, offered.readiness) == ((Network.NONE,), ("log",))
    assert "more than 32 MiB need a disk" in microvm.caution()
    assert "modules is missing" in microvm.caution()


def test_without_the_tools_for_disks_it_says_what_it_cannot_boot(
    microvm: Microvm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ext4, "_path", lambda: str(tmp_path))
    assert "mke2fs is not on the PATH" in microvm.caution()
    assert microvm.offers() == microvm.capabilities
