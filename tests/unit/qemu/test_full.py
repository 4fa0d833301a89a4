"""What a whole server is made of, and what is missing where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import InvalidInput
from agent.runtimes.base import LaunchSpec, Prepared, Scope
from agent.runtimes.qemu.full import PARAMETERS, Full
from agent.runtimes.qemu.guest import INIT_LINE, WORKLOAD_LINE
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.profile import Bootable
from agent.runtimes.qemu.stub import MODULES, script
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import Accelerator, LogReadiness, Mode, Network, Target, Workload

CHECKOUT = Path(__file__).resolve().parents[3]
WORKLOAD = Workload("w", "i:1", LogReadiness("up"))
BOOTABLE = Bootable(Path("/k"), Path("/i"), Accelerator.TCG, WORKLOAD_LINE)
DRIVES = (Path("/root.qcow2"), Path("/workload.qcow2"))


@pytest.fixture
def full(tmp_path: Path) -> Full:
    settings = RuntimeSettings("a", tmp_path, guest_dir=tmp_path)
    return Full(settings, Places(tmp_path / "state", "a"))


def _spec(variant: str) -> LaunchSpec:
    target = Target("t", "qemu-full", variant, Mode.WARM, Network.NONE, WORKLOAD, 512 << 20)
    return LaunchSpec("vm-1", Scope("a"), target, Prepared(WORKLOAD, "sha256:x"), 60)


def test_with_firmware_the_disk_says_what_is_booted(full: Full) -> None:
    direct = full.machine(_spec("direct"), BOOTABLE, DRIVES)
    firmware = full.machine(_spec("firmware"), BOOTABLE, DRIVES)
    assert direct.boot is not None
    assert direct.boot.kernel == Path("/k")
    assert firmware.boot is None
    assert direct.drives == firmware.drives == DRIVES
    assert direct.serial == firmware.serial == "vm-1"


def test_a_payload_gets_no_network_that_its_row_would_name(full: Full) -> None:
    image = Workload("w", "payload/memtest", LogReadiness("Memtest86"))
    alone = replace(_spec("payload").target, workload=image)
    full.check(alone)
    with pytest.raises(InvalidInput, match="network card"):
        full.check(replace(alone, network=Network.USER))


def test_the_boot_loader_says_the_same_words_to_the_kernel() -> None:
    config = CHECKOUT / "deploy/debian/server/rootfs/boot/grub/grub.cfg"
    (line,) = [text for text in config.read_text().splitlines() if text.startswith("linux ")]
    assert tuple(line.split()[2:]) == PARAMETERS


def test_a_host_without_the_disk_is_told_how_to_make_it(full: Full, tmp_path: Path) -> None:
    assert "base.raw" in full.lack()
    assert "deploy/bootstrap.sh --dev" in full.lack()
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian/base.raw").touch()
    assert "base.raw" not in full.lack()
    assert "vmlinuz" in full.lack()


def test_payloads_are_offered_where_there_are_some(full: Full, tmp_path: Path) -> None:
    assert set(full.capabilities.variants) - set(full.offers().variants) == {"payload"}
    (tmp_path / "payloads").mkdir()
    assert "payload" not in full.offers().variants
    (tmp_path / "payloads/memtest").touch()
    assert full.offers() == full.capabilities


def test_the_stub_says_its_line_first_and_loads_drivers_in_order() -> None:
    text = script().decode()
    assert text.index(INIT_LINE) < text.index("insmod")
    places = [text.index(name, text.index("for module in")) for name in (MODULES[0], MODULES[-1])]
    assert places == sorted(places)
    assert " ".join(MODULES[:6]) in text
