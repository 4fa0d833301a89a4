"""Where the runtime keeps things below its state folder.

::

    images/DIGEST-MAKER/             an image's files, unpacked once
    instances/AGENT/ID/config.json   the bundle: what runc is told
    instances/AGENT/ID/rootfs        where its file system is mounted
    instances/AGENT/ID/{upper,work}  its own layer
    instances/AGENT/ID/pid           its first process, as runc says
    instances/AGENT/ID/record.json   what recovery needs; written before the launch
    state/AGENT/                     runc's own state: its --root
    scratch/                         what is being unpacked
"""

from __future__ import annotations

from pathlib import Path

from agent.runtimes.records import InstanceFolders


class Bundles(InstanceFolders):
    """The folders and files of the runtime's state."""

    def __init__(self, root: Path, agent_id: str) -> None:
        super().__init__(root / "instances" / agent_id, "record.json")
        self.images = root / "images"
        self.state = root / "state" / agent_id
        self.scratch = root / "scratch"

    def make(self) -> None:
        """Make the folders. Raises ``OSError``."""
        for folder in (self.images, self.instances, self.state, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)
