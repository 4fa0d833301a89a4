"""What must outlive the agent: small files, written whole and read with distrust."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of an instance without its processes."""

    instance_id: str
    run_id: str
    cgroups: Mapping[str, Path]


class InstanceFolders:
    """A folder for each instance of one agent, with a record in it."""

    def __init__(self, instances: Path, record_name: str) -> None:
        self.instances = instances
        self._record_name = record_name

    def folder(self, instance_id: str) -> Path:
        """The folder of one instance."""
        return self.instances / instance_id

    def write(self, record: Record) -> Path:
        """Make an instance's folder with its record; returns the folder. Raises ``OSError``."""
        folder = self.folder(record.instance_id)
        folder.mkdir(parents=True)
        cgroups = {key: str(path) for key, path in record.cgroups.items()}
        (folder / self._record_name).write_text(
            json.dumps({"run_id": record.run_id, "cgroups": cgroups})
        )
        return folder

    def read(self, instance_id: str) -> Record | None:
        """The record of an instance; ``None`` where there is no folder. A torn record,
        as a crash may leave, reads as one that knows nothing."""
        folder = self.folder(instance_id)
        if not folder.is_dir():
            return None
        data = read_json(folder / self._record_name)
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


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty where there is none that can be read."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, whole. Raises ``OSError``."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)
