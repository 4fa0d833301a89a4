"""Where the runtime keeps things below its state folder.

::

    guests/KEY.cpio            built guests, one per image, workload and maker
    instances/AGENT/ID/vm.json what recovery needs; written before the launch
    instances/AGENT/ID/stderr  what the VMM says
    accelerator.json           the proof, per host boot and VMM version
    scratch/                   unpacked layers while a guest is built
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.runtimes.records import read_json


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of an instance without its process."""

    instance_id: str
    run_id: str
    cgroups: Mapping[str, Path]


class Places:
    """The folders and files of the runtime's state."""

    def __init__(self, root: Path, agent_id: str) -> None:
        self.guests = root / "guests"
        self.instances = root / "instances" / agent_id
        self.scratch = root / "scratch"
        self.accelerator = root / "accelerator.json"

    def make(self) -> None:
        """Make the folders. Raises ``OSError``."""
        for folder in (self.guests, self.instances, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)

    def folder(self, instance_id: str) -> Path:
        """The folder of one instance."""
        return self.instances / instance_id

    def write(self, record: Record) -> Path:
        """Make an instance's folder with its record; returns the folder. Raises ``OSError``."""
        folder = self.folder(record.instance_id)
        folder.mkdir(parents=True)
        cgroups = {key: str(path) for key, path in record.cgroups.items()}
        (folder / "vm.json").write_text(json.dumps({"run_id": record.run_id, "cgroups": cgroups}))
        return folder

    def read(self, instance_id: str) -> Record | None:
        """The record of an instance; ``None`` where there is no folder. A torn record,
        as a crash may leave, reads as one that knows nothing."""
        folder = self.folder(instance_id)
        if not folder.is_dir():
            return None
        data = read_json(folder / "vm.json")
        cgroups = {key: Path(path) for key, path in data.get("cgroups", {}).items()}
        return Record(instance_id, data.get("run_id", ""), cgroups)

    def known(self) -> tuple[str, ...]:
        """The ids of all instances that have a folder."""
        if not self.instances.is_dir():
            return ()
        return tuple(sorted(folder.name for folder in self.instances.iterdir()))

    def forget(self, instance_id: str) -> bool:
        """Remove an instance's folder; whether it is gone."""
        folder = self.folder(instance_id)
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
