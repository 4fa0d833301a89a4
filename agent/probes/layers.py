"""Whose the memory of an instance's processes is: its helpers', its libraries', its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from agent import process
from agent.probes.base import NoData, Reading, Roots
from agent.probes.pss import Mapping, gone, mappings
from agent.probes.read import text
from agent.process import ProcessView

HELPERS = (
    *("containerd-shim", "conmon", "runc", "runsc", "timeout"),
    *("docker-proxy", "passt", "slirp4netns"),
)
"""How the command names of processes begin that serve an instance and are not its workload:
``runc`` and ``timeout`` keep a bare container. gVisor's sandbox is one too: its system-call
kernel and the workload's memory are one process."""

KEEPER = "tonnage"
"""What the shell is called (``sh -c SCRIPT NAME``) that sees to a bare container's end."""


class Layers:
    """The PSS of each process of the instances but for VMMs, split by whose it is.

    ``helper_bytes``: all of a helper, told by its command's name. Of every other
    process ``library_bytes``: mappings of shared libraries and of the loader;
    ``application_bytes``: the rest, its executable and its own memory. A machine's
    memory is the guest's to split: its VMM is left to ``vmm_overhead``.
    """

    name = "layers"

    def __init__(self, roots: Roots) -> None:
        self._proc = roots.proc

    def read(self, instances: Sequence[ProcessView]) -> Reading | NoData:
        """Read now. A process that ended meanwhile counts as nothing."""
        vmms = {view.vmm_pid for view in instances}
        total = {"helper_bytes": 0, "library_bytes": 0, "application_bytes": 0}
        for pid in sorted({pid for view in instances for pid in view.pids} - vmms):
            folder = self._proc / str(pid)
            content = text(folder / "smaps")
            if isinstance(content, NoData):
                if gone(folder):
                    continue
                return content
            helper = self._is_helper(pid)
            for mapping in mappings(content):
                total["helper_bytes" if helper else _owner(mapping)] += mapping.pss_bytes
        return Reading({**total})

    def _is_helper(self, pid: int) -> bool:
        command = process.cmdline(pid, self._proc)
        if not command:
            return False
        name = PurePath(command[0]).name
        return name.startswith(HELPERS) or (name == "sh" and command[3:4] == (KEEPER,))


def _owner(mapping: Mapping) -> str:
    name = PurePath(mapping.backing).name.removesuffix(" (deleted)")
    library = ".so." in name or name.endswith(".so")
    return "library_bytes" if library else "application_bytes"
