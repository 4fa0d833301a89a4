"""Kernels that do not boot, through a real agent: a row with its evidence, and nothing left."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from agent.runtimes.qemu import vmm
from agent.runtimes.qemu.machine import agent_prefix
from tests.contracts.runtimes import IDLE
from tests.integration.agents import agent, finished, payloads, plan, startup
from tonnage.model import Mode, Network, Outcome, RunState, Target, Trial, TrialEnd

pytestmark = pytest.mark.qemu

TARGET = Target("vm", "qemu-microvm", "direct", Mode.WARM, Network.NONE, IDLE, 64 << 20)
LAST_WORDS = "all is well so far"
_BASE = 0x100000
_ENTRY_NOTE = 18  # XEN_ELFNOTE_PHYS32_ENTRY: where a PVH kernel begins, in 32-bit mode
_PT_LOAD, _PT_NOTE, _ET_EXEC, _EM_386, _READ_EXECUTE = 1, 4, 2, 3, 5


def hanging_kernel() -> bytes:
    """A whole kernel of 21 bytes and its text: it says the text on the serial port, a line,
    and halts for ever with interrupts off."""
    code = bytes.fromhex(
        "fc"  # cld
        "be 15001000"  # mov esi, text
        "ac"  # next: lodsb
        "84c0"  # test al, al
        "7407"  # jz hang
        "66ba f803"  # mov dx, 0x3f8
        "ee"  # out dx, al
        "ebf4"  # jmp next
        "f4"  # hang: hlt
        "ebfd"  # jmp hang
    )
    assert len(code) == 0x15
    return _elf(code + f"{LAST_WORDS}\r\n\0".encode())


def _elf(image: bytes) -> bytes:
    """An ELF of one segment at ``_BASE`` that begins with its entry, and the note QEMU asks for."""
    note = struct.pack("<3I4sI", 4, 4, _ENTRY_NOTE, b"Xen\0", _BASE)
    note_at = 52 + 2 * 32
    image_at = note_at + len(note)
    identity = b"\x7fELF" + bytes((1, 1, 1)) + bytes(9)
    head = struct.pack(
        "<16s2H5I6H",
        *(identity, _ET_EXEC, _EM_386, 1, _BASE, 52, 0, 0),
        *(52, 32, 2, 0, 0, 0),
    )
    load = (_PT_LOAD, image_at, _BASE, _BASE, len(image), len(image), _READ_EXECUTE, 1)
    told = (_PT_NOTE, note_at, 0, 0, len(note), len(note), 4, 4)
    return head + struct.pack("<8I", *load) + struct.pack("<8I", *told) + note + image


@pytest.fixture
def guest_with(guest_dir: Path, tmp_path: Path) -> Path:
    """A folder of guest files whose kernel is missing still."""
    folder = tmp_path / "guest"
    folder.mkdir()
    (folder / "busybox").symlink_to((guest_dir / "busybox").absolute())
    return folder


async def trial_of(folder: Path, images_dir: Path, data_dir: Path, seconds: float) -> Trial:
    """The one trial of a plan, made by a real agent; nothing of it is left then."""
    flags = ("--runtimes", "qemu-microvm", "--guest-dir", str(folder))
    async with agent(data_dir, *flags, "--images-dir", str(images_dir)) as host:
        events = await host.run(plan(startup(1, timeout=seconds, of="vm"), targets=[TARGET]))
        (trial,), (end,) = payloads(events, Trial), payloads(events, TrialEnd)
        assert finished(events).state is RunState.FINISHED  # every trial was made
        assert (finished(events).removed, finished(events).leaked, end.error) == ((), (), "")
        assert await host.instances() == []
        assert remains(data_dir) == []
    assert isinstance(trial, Trial)
    return trial


def remains(data_dir: Path) -> list[str]:
    """Processes, folders and cgroups of the VMs of an agent."""
    agent_id = (data_dir / "agent-id").read_text().strip()
    folders = (data_dir / "runtimes/qemu-microvm/instances").glob("*/*")
    groups = Path("/sys/fs/cgroup").glob(f"**/tonnage-{agent_id}-*")
    return [*vmm.find(agent_prefix(agent_id)), *map(str, folders), *map(str, groups)]


async def test_a_vm_that_hangs_in_boot_is_timed_out_with_its_last_lines(
    guest_with: Path, images_dir: Path, tmp_path: Path
) -> None:
    (guest_with / "vmlinuz").write_bytes(hanging_kernel())
    trial = await trial_of(guest_with, images_dir, tmp_path / "data", seconds=5)
    assert trial.outcome is Outcome.TIMED_OUT
    assert trial.error == "not ready within 5 s"
    assert f"console:\n{LAST_WORDS}" in trial.evidence
    assert "state:\nQEMU runs" in trial.evidence
    assert str(guest_with / "vmlinuz") in trial.evidence
    assert trial.created_ns is not None
    assert (trial.kernel_ns, trial.init_ns, trial.ready_ns) == (None, None, None)


async def test_a_file_that_is_no_kernel_is_a_failed_trial_with_what_qemu_says(
    guest_with: Path, images_dir: Path, tmp_path: Path
) -> None:
    (guest_with / "vmlinuz").write_bytes(b"no kernel at all" * 4096)
    trial = await trial_of(guest_with, images_dir, tmp_path / "data", seconds=30)
    assert trial.outcome is Outcome.FAILED
    assert "QEMU exited with status 1" in trial.error
    assert "QEMU says:\n" in trial.evidence
    assert str(guest_with / "vmlinuz") in trial.evidence
    assert trial.ready_ns is None


async def test_a_kernel_that_was_cut_short_never_becomes_ready(
    guest_with: Path, guest_dir: Path, images_dir: Path, tmp_path: Path
) -> None:
    whole = (guest_dir / "vmlinuz").read_bytes()
    (guest_with / "vmlinuz").write_bytes(whole[: len(whole) // 2])
    trial = await trial_of(guest_with, images_dir, tmp_path / "data", seconds=6)
    assert trial.outcome in (Outcome.TIMED_OUT, Outcome.FAILED)
    assert trial.error
    assert "console:\n" in trial.evidence
    assert trial.ready_ns is None
