"""Where the runtime keeps things below its state folder.

::

    guests/KEY.initramfs       built guests, one per image, workload and maker:
    guests/KEY.disk            in memory, or as the image of a disk
    guests/KEY.with-card       the first with drivers of a network card behind it
    guests/KEY.qcow2           the empty overlay over a disk
    guests/stub-KEY            the initramfs of guests on a disk
    instances/AGENT/ID/vm.json what recovery needs; written before the launch
    instances/AGENT/ID/stderr  what the VMM says
    instances/AGENT/ID/*.qcow2 its own disks
    accelerator.json           the proof, per host boot and VMM version
    scratch/                   unpacked layers while a guest is built
"""

from __future__ import annotations

from pathlib import Path

from agent.runtimes.records import InstanceFolders


class Places(InstanceFolders):
    """The folders and files of the runtime's state."""

    def __init__(self, root: Path, agent_id: str) -> None:
        super().__init__(root / "instances" / agent_id, "vm.json")
        self.guests = root / "guests"
        self.scratch = root / "scratch"
        self.accelerator = root / "accelerator.json"

    def make(self) -> None:
        """Make the folders. Raises ``OSError``."""
        for folder in (self.guests, self.instances, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)
