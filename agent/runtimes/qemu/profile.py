"""What tells one kind of VM from another: what it offers, what it needs, what it is made of.

The runtime does the rest, the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.clock import Mark
from agent.runtimes.base import Capabilities, LaunchSpec, Prepared
from agent.runtimes.qemu.equipment import Equipment
from agent.runtimes.qemu.machine import Machine
from agent.runtimes.qemu.snapshot import Saved
from tonnage.model import Accelerator, Target, Workload


@dataclass(frozen=True, slots=True)
class Bootable:
    """What ``Prepared.payload`` holds: all that a launch takes from its preparation.

    ``workload_line`` is the console line from which on what is printed is the
    workload's own; empty where all of it is. ``workload_mark`` is what that line marks
    in a trial, if anything. ``overlays`` are empty copy-on-write images over shared
    bases, by the name of the file that each instance gets as its own copy of one; in
    the order of its drives. ``with_card`` is the initramfs for a machine with a network
    card; ``None`` where no drivers for one are there. ``draws`` says that the console
    is a screen: text between commands to a terminal. ``saved``: what instances are
    restored from, instead of being booted.
    """

    kernel: Path
    initramfs: Path | None
    accelerator: Accelerator
    workload_line: str
    overlays: Mapping[str, Path] = field(default_factory=dict)
    with_card: Path | None = None
    draws: bool = False
    saved: Saved | None = None
    workload_mark: Mark | None = None


class Profile(Protocol):
    """One kind of VM. Shared by all launches."""

    @property
    def name(self) -> str:
        """The runtime's name."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can be asked for."""

    def lack(self) -> str:
        """What this host lacks beyond what every VM needs, in a sentence with the way
        out; empty if nothing. Raises nothing."""

    def offers(self) -> Capabilities:
        """What of ``capabilities`` this host has all parts for. Raises nothing."""

    def caution(self) -> str:
        """What of images it cannot boot here, in a sentence with the way out; empty if
        nothing. Raises nothing."""

    def check(self, target: Target) -> None:
        """Raise ``InvalidInput`` for a target that ``capabilities`` alone do not refuse."""

    async def prepare(self, workload: Workload, equipment: Equipment) -> Prepared:
        """Make a workload bootable; the payload is a ``Bootable``. Raises as
        ``Runtime.prepare`` does."""

    def machine(self, spec: LaunchSpec, bootable: Bootable, drives: tuple[Path, ...]) -> Machine:
        """The machine of one launch; ``drives`` are the copies of the overlays."""
