"""A VM saved once and restored many times: what template and clones are made of. Pure.

Two kinds of clones, which differ in where the memory of each comes from:

* ``private``: the state file holds the guest's memory; each clone reads all of it
  into memory of its own.
* ``shared-ram``: the template's memory is a file. The state file holds the devices
  alone (capability ``x-ignore-shared``), and each clone maps the memory file
  privately: what it only reads it shares with all others, what it writes is its own.

The file lies with the template, on a disk: a page that no clone has written is page
cache, which the kernel may drop and read again.

A clone is its own machine: a process, memory, disk and console of its own. But what
was in the template's memory is in each: host name, boot id, the state of its random
numbers, its clock at the instant it was saved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from agent.errors import InvalidInput
from agent.runtimes.qemu.machine import Machine
from tonnage.model import SHARED_RAM, ConsoleHealth, Network, Target

STATE, RAM = "state", "ram"
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Saved:
    """What clones are made from. ``template`` is the id of the instance that was saved,
    which owns the files; ``ram`` is there for those that share it."""

    template: str
    state: Path
    ram: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files."""
        return (self.state, self.ram) if self.ram is not None else (self.state,)


def to_save(target: Target, template: str, folder: Path) -> Saved:
    """Where a template of ``target`` is saved."""
    ram = folder / RAM if target.variant == SHARED_RAM else None
    return Saved(template, folder / STATE, ram)


def check_restorable(target: Target) -> None:
    """Raise ``InvalidInput`` unless a clone can be asked whether it lives: its ready line
    was printed before it was saved. Nor for one with a network, in which all clones
    would have one address."""
    if target.network is not Network.NONE:
        raise InvalidInput(
            "clones of one VM would all have its address",
            field="network",
            value=target.network.value,
            remedy="Restore with network: none.",
        )
    if not isinstance(target.workload.health, ConsoleHealth):
        raise InvalidInput(
            "a restored VM has printed its ready line long ago: it must be asked",
            field="workload.health",
            value="none",
            remedy="Declare a question: health: {console: {ask: ping, answer: pong}}.",
        )


def template(machine: Machine, saved: Saved) -> Machine:
    """The machine that boots, to be saved."""
    return _backed(machine, saved, share="on") if saved.ram is not None else machine


def clone(machine: Machine, saved: Saved) -> Machine:
    """The machine that waits for the saved state. ``machine`` is what the template was."""
    own = _backed(machine, saved, share="off") if saved.ram is not None else machine
    return replace(own, options=(*own.options, "-incoming", "defer"))


def _backed(machine: Machine, saved: Saved, share: str) -> Machine:
    """The machine with its memory in a file. A comma in a path is doubled for QEMU's parser."""
    path = str(saved.ram).replace(",", ",,")
    size = f"{machine.memory_bytes // _MEBIBYTE}M"
    memory = f"memory-backend-file,id=ram,size={size},mem-path={path},share={share}"
    return replace(
        machine,
        board=f"{machine.board},memory-backend=ram",
        options=(*machine.options, "-object", memory),
    )
